"""Time our training loop against the plainest correct PyTorch loop of the same model, dense and pruned.

    python benchmarks/train_throughput.py [--device cuda] [--rounds 5] [--steps 200]

The plain model shares no code with ours. Every figure comes from one run: each round trains the plain loop, ours dense
and ours pruned by every strategy, one after the other. On the CPU one thread works, its CPU time counts,
and of every update the fastest round does, so that other work on the machine doesn't; on a GPU the fastest whole
training counts, in wall time. The plain loop is a batch sliced from a memory map, forward, backward, clipping and
torch's AdamW; on a GPU its model is compiled and runs in bfloat16. Ours includes checks and progress, pruned runs the
whole ramp of 64 mask updates. The last table trains a small grid with shared trunks and without.
"""

import argparse
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sparseplan.calibration.corpus import TextCorpus, prepare
from sparseplan.runs.job import Job, Placement, RunRecord, Segment
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import AdamW, DataSpec, RunSpec
from sparseplan.runs.strategies import (
    GradualMagnitude,
    OneShot,
    Rewinding,
    RigL,
    SparseEvolution,
    SparseGpt,
    SrSte,
    SSte,
    Static,
    Ste,
    Structured,
    Wanda,
)
from sparseplan.runs.trunks import plan_segments
from sparseplan.shapes.gpt import GptShape
from sparseplan.train.loop import Training

PRUNINGS = {
    "dense": Pruning(),
    "75 %": Pruning(sparsity=0.75),
    "2:4": Pruning(sparsity=0.5, pattern="2:4"),
    "static 75 %": Pruning(sparsity=0.75, strategy=Static()),
    "SR-STE 2:4": Pruning(sparsity=0.5, pattern="2:4", strategy=SrSte()),
    "global 75 %": Pruning(sparsity=0.75, strategy=GradualMagnitude(scope="global")),
    "one-shot 75 %": Pruning(sparsity=0.75, strategy=OneShot()),
    "structured 75 %": Pruning(sparsity=0.75, strategy=Structured()),
    "SET 75 %": Pruning(sparsity=0.75, strategy=SparseEvolution()),
    "RigL 75 %": Pruning(sparsity=0.75, strategy=RigL()),
    "STE 75 %": Pruning(sparsity=0.75, strategy=Ste()),
    "STE 2:4": Pruning(sparsity=0.5, pattern="2:4", strategy=Ste()),
    "S-STE 2:4": Pruning(sparsity=0.5, pattern="2:4", strategy=SSte()),
    "rewinding 75 %": Pruning(sparsity=0.75, strategy=Rewinding()),
    "Wanda 75 %": Pruning(sparsity=0.75, strategy=Wanda()),
    "SparseGPT 75 %": Pruning(sparsity=0.75, strategy=SparseGpt()),
}
SIZES = {  # layers, width, heads, context, batch
    "cpu": [(2, 64, 2, 128, 16), (3, 128, 4, 128, 16)],
    "cuda": [(4, 128, 4, 512, 64), (6, 384, 6, 512, 64), (12, 768, 12, 1024, 32), (24, 1024, 16, 1024, 16)],
}
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bfloat16 peaks, from the vendor's data sheets."""


Seconds = NDArray[np.float64]


class PlainBlock(nn.Module):
    """A decoder block as one would write it down: the same products and norms as ours, nothing of our code."""

    def __init__(self, shape: GptShape) -> None:
        super().__init__()
        w = shape.width
        self.heads = shape.heads
        self.norm1, self.norm2 = nn.RMSNorm(w, eps=1e-6), nn.RMSNorm(w, eps=1e-6)
        self.qkv, self.out = nn.Linear(w, 3 * w, bias=False), nn.Linear(w, w, bias=False)
        self.up, self.down = nn.Linear(w, 4 * w, bias=False), nn.Linear(4 * w, w, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Apply the block to `(B, T, W)`; `cos` and `sin` are `(T, K / 2)` for heads of width K."""
        batch, length, width = x.shape
        split = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        q, k = (
            torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(v.dtype)
            for a, b in (part.chunk(2, dim=-1) for part in (q, k))
        )
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, length, width))
        hidden = functional.relu(self.up(self.norm2(x)))
        streamed: torch.Tensor = x + self.down(hidden * hidden)
        return streamed


class PlainGpt(nn.Module):
    """The plain loop's decoder of a shape; its loss is the mean cross entropy."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, shape: GptShape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(PlainBlock(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=1e-6)
        self.head = nn.Linear(shape.width, shape.vocab, bias=False)
        half = shape.width // shape.heads // 2
        angles = torch.outer(torch.arange(shape.context), 10_000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss in nats per token."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return functional.cross_entropy(self.head(self.norm(x)).flatten(0, 1).float(), targets.flatten())


def plain_loop(run: RunSpec, device: str) -> Seconds:
    """Seconds of every update of the plainest correct loop; on a GPU, of all together."""
    bf16 = device != "cpu"
    assert isinstance(run.shape, GptShape)
    model = PlainGpt(run.shape).to(device)
    forward: Callable[..., torch.Tensor] = torch.compile(model) if bf16 else model
    assert isinstance(run.optimizer, AdamW)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    tokens = np.memmap(run.data.train.path, dtype=run.data.dtype, mode="r")
    random, context = np.random.default_rng(0), run.shape.context

    def update() -> None:
        starts = random.integers(len(tokens) - context - 1, size=run.batch)
        block = torch.from_numpy(np.stack([tokens[s : s + context + 1].astype(np.int64) for s in starts])).to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            loss = forward(block[:, :-1], block[:, 1:])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(10 if bf16 else 0):  # compilation isn't throughput
        update()
    marks = [seconds_now(device)]
    for step in range(1, run.steps + 1):
        update()
        if device == "cpu" or step == run.steps:
            marks.append(seconds_now(device))
    return np.diff(marks)


def our_loop(run: RunSpec, device: str) -> Seconds:
    """Seconds of every update of a run through `Training`, checks and progress included."""
    with tempfile.TemporaryDirectory() as folder:
        (segment,) = plan_segments([run]).segments
        marks: list[float] = []

        def note(step: int) -> None:
            if device == "cpu" or step == run.updates:  # a GPU must not wait at every update
                marks.append(seconds_now(device))

        training = Training(_job(segment, Path(folder), device), stop=threading.Event(), on_step=note)
        marks.append(seconds_now(device))
        training.train()
        return np.diff(marks)


def _job(segment: Segment, folder: Path, device: str) -> Job:
    return Job(
        segment=segment,
        checkpoints=str(folder),
        result=str(folder / "result.json"),
        progress=str(folder / "progress.jsonl"),
        placement=Placement(device=device, threads=1 if device == "cpu" else None),
    )


def _grid(runs: list[RunSpec], folder: Path, device: str, *, share: bool) -> tuple[list[RunRecord], float]:
    records, seconds = [], 0.0
    for segment in plan_segments(runs, share=share).segments:
        training = Training(_job(segment, folder, device), stop=threading.Event())
        start = seconds_now(device)
        records.append(training.train())
        seconds += seconds_now(device) - start
    return [record for record in records if isinstance(record, RunRecord)], seconds


def throughput(data: DataSpec, *, device: str, steps: int, rounds: int) -> None:
    """Print a row a size."""
    columns = [
        "prunable weights",
        "plain tokens/s",
        *(f"ours {name}" for name in PRUNINGS),
        *(f"time for {name}" for name in PRUNINGS if name != "dense"),
    ]
    print("| " + " | ".join(columns) + " | MFU |" if device == "cuda" else "| " + " | ".join(columns) + " |")
    print("| --- " * (len(columns) + (device == "cuda")) + "|")
    for layers, width, heads, context, batch in SIZES[device]:
        shape = GptShape(layers=layers, width=width, heads=heads, vocab=256, context=context)
        run = RunSpec(
            shape=shape,
            data=msgspec.structs.replace(data, max_epochs=1e3),
            batch=batch,
            steps=steps,
            dtype="float32" if device == "cpu" else "bfloat16",
            evaluation_sequences=8,
        )
        loops: dict[str, list[Seconds]] = {name: [] for name in ("plain", *PRUNINGS)}
        for _ in range(rounds):
            loops["plain"].append(plain_loop(run, device))
            for name, pruning in PRUNINGS.items():
                loops[name].append(our_loop(msgspec.structs.replace(run, pruning=pruning), device))
        seconds = {name: float(np.min(found, axis=0).sum()) for name, found in loops.items()}
        cells = [f"{shape.dense_params:,}", f"{run.data_seen / seconds['plain']:,.0f}"]
        cells += [f"{seconds['plain'] / seconds[name]:.2f}x" for name in PRUNINGS]
        cells += [f"{seconds[name] / seconds['dense'] - 1:+.1%}" for name in PRUNINGS if name != "dense"]
        if device == "cuda":
            peak = next((p for name, p in PEAK_FLOPS.items() if name in torch.cuda.get_device_name()), None)
            flops = shape.machine_flops_per_token() * run.data_seen / seconds["dense"]
            cells.append("unknown" if peak is None else f"{flops / peak:.1%}")
        print("| " + " | ".join(cells) + " |", flush=True)


def trunks(data: DataSpec, *, device: str, steps: int) -> None:
    """Print what shared trunks save of a grid of four sparsities and three lengths."""
    layers, width, heads, context, batch = SIZES[device][0]
    shape = GptShape(layers=layers, width=width, heads=heads, vocab=256, context=context)
    gradual = [pruning for pruning in PRUNINGS.values() if not pruning.from_start]
    prunings = [*gradual, Pruning(sparsity=0.875)]
    runs = [
        RunSpec(shape=shape, data=data, batch=batch, steps=n, pruning=pruning)
        for n in (steps // 4, steps // 2, steps)
        for pruning in prunings
    ]
    seconds, losses = {}, {}
    for share in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            records, seconds[share] = _grid(runs, Path(folder), device, share=share)
            losses[share] = {record.run_id: record.loss for record in records}
    print(f"\n{len(runs)} runs, steps {steps // 4}, {steps // 2}, {steps}, in one process")
    print("| | unshared | with trunks | saved |\n| --- | --- | --- | --- |")
    tokens = [sum(segment.tokens for segment in plan_segments(runs, share=share).segments) for share in (False, True)]
    print(f"| seconds | {seconds[False]:.1f} | {seconds[True]:.1f} | {1 - seconds[True] / seconds[False]:.0%} |")
    print(f"| tokens trained | {tokens[0]:,} | {tokens[1]:,} | {1 - tokens[1] / tokens[0]:.0%} |")
    plan = plan_segments(runs)
    print(f"| sparse FLOPs | {plan.unshared_flops:.2e} | {plan.shared_flops:.2e} | {plan.saved:.0%} |")
    print(f"\nEqual losses, bit for bit: {losses[True] == losses[False]}")


def seconds_now(device: str) -> float:
    """CPU time of this process, or wall time on a GPU once it has done its work."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1 if options.device == "cpu" else torch.get_num_threads())
    name = torch.cuda.get_device_name() if options.device == "cuda" else f"{platform.machine()}, 1 thread"
    print(f"{name}, Python {platform.python_version()}, torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as folder:
        data, *_ = prepare(TextCorpus(), Path(folder))
        throughput(data, device=options.device, steps=options.steps, rounds=options.rounds)
        trunks(data, device=options.device, steps=2 * options.steps)


if __name__ == "__main__":
    main()
