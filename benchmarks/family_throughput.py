"""Time our training loop against the plainest correct PyTorch loop of the same model, family by family, on the CPU.

    python benchmarks/family_throughput.py [--rounds 3] [--steps 100]

As `train_throughput.py`, which has decoders in all their strategies: one thread, CPU time, of every update the fastest
round. The plain loop slices a batch, for encoder-decoders cutting spans row by row, and trains with torch's AdamW, all
in torch's defaults; its models are those of `plain_models.py`. Images are made up: their values don't matter here.
"""

import argparse
import hashlib
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.plain_models import PlainLlama, PlainT5, PlainVit, cut_spans, windows
from benchmarks.train_throughput import Seconds, our_loop, seconds_now
from sparseplan.calibration.corpus import TextCorpus, prepare
from sparseplan.runs.spec import DataSpec, RunSpec, Split
from sparseplan.shapes.families import Shape
from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.t5 import T5Shape
from sparseplan.shapes.vit import VitShape

LLAMA = GptShape(layers=2, width=64, heads=4, kv_heads=2, mlp="gated", mlp_width=176, vocab=256, context=128)
VIT = VitShape(layers=2, width=64, heads=4, side=28, channels=1, patch=4, classes=10, pooling="mean")
T5 = T5Shape(layers=2, width=64, heads=4, mlp_width=168, vocab=256, context=128)
BATCH = 16


def plain_loop(run: RunSpec) -> Seconds:
    """Seconds of every update of the plain loop."""
    random, shape = np.random.default_rng(0), run.shape
    entries = np.memmap(run.data.train.path, dtype=np.uint8, mode="r")
    model: nn.Module
    make: Callable[[], tuple[Tensor, ...]]
    if isinstance(shape, VitShape):
        rows = entries.reshape(run.data.train.tokens, -1)
        model = PlainVit(shape)

        def make() -> tuple[Tensor, ...]:
            chosen = torch.from_numpy(rows[random.integers(len(rows), size=run.batch)])
            pictures = chosen[:, 1:].float() / 127.5 - 1
            return pictures.view(-1, shape.channels, shape.side, shape.side), chosen[:, 0].long()

    elif isinstance(shape, T5Shape):
        model = PlainT5(shape)

        def make() -> tuple[Tensor, ...]:
            return cut_spans(windows(entries, random, batch=run.batch, length=shape.spans.window), shape, random)

    else:
        assert isinstance(shape, GptShape)
        model = PlainLlama(shape)

        def make() -> tuple[Tensor, ...]:
            block = torch.from_numpy(windows(entries, random, batch=run.batch, length=shape.context + 1))
            return block[:, :-1], block[:, 1:]

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    marks = [seconds_now("cpu")]
    for _ in range(run.steps):
        loss = model(*make())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        marks.append(seconds_now("cpu"))
    return np.diff(marks)


def images(folder: Path) -> DataSpec:
    """1,000 images of noise."""
    content = np.random.default_rng(0).integers(256, size=(1000, 1 + 28 * 28)).astype(np.uint8)
    content[:, 0] %= 10
    path = folder / "images.bin"
    content.tofile(path)

    split = Split(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), tokens=1000)
    return DataSpec(train=split, valid=split, dtype="uint8", unit="image")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, 1 thread, Python {platform.python_version()}, torch {torch.__version__}\n")
    print("| family | prunable weights | plain tokens/s | ours |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as place:
        text, pictures = prepare(TextCorpus(), Path(place))[0], images(Path(place))
        shapes: dict[str, tuple[Shape, DataSpec]] = {
            "gpt, Llama-like": (LLAMA, text),
            "vit": (VIT, pictures),
            "t5": (T5, text),
        }
        for name, (shape, data) in shapes.items():
            run = RunSpec(
                shape=shape,
                data=msgspec.structs.replace(data, max_epochs=1e3),
                batch=BATCH,
                steps=options.steps,
                evaluation_sequences=8,
            )
            plain, ours = [], []
            for _ in range(options.rounds):
                plain.append(plain_loop(run))
                ours.append(our_loop(run, "cpu"))
            took, own = (float(np.min(found, axis=0).sum()) for found in (plain, ours))
            rate = run.steps * run.tokens_per_step / took
            print(f"| {name} | {shape.dense_params:,} | {rate:,.0f} | {took / own:.2f}x |", flush=True)


if __name__ == "__main__":
    main()
