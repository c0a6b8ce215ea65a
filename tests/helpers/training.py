"""Tiny real trainings for tests: a small text, a model of a few thousand weights, a second or less a run."""

import hashlib
import itertools
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparseplan.runs.job import Job, Placement, Record, RunRecord, Segment, TrunkRecord
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import AdamW, DataSpec, LearningRate, RunSpec, Split
from sparseplan.runs.strategies import GradualMagnitude
from sparseplan.runs.trunks import plan_segments
from sparseplan.shapes.bert import BertShape
from sparseplan.shapes.gpt import GptShape

SHAPE = GptShape(layers=2, width=32, heads=2, vocab=256, context=32)
BERT = BertShape(layers=2, width=32, heads=2, vocab=256, context=32)
STEPS = 40


def write_tokens(path: Path, tokens: NDArray[np.generic]) -> Split:
    tokens.tofile(path)
    return Split(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), tokens=len(tokens))


def write_text(folder: Path, *, tokens: int = 20_000) -> DataSpec:
    """A text with something to learn: words of a small vocabulary in an order that a generator draws."""
    generator = np.random.default_rng(7)
    words = [bytes(generator.integers(97, 123, size=size).tolist()) + b" " for size in range(2, 10)]
    text = b"".join(words[i] for i in generator.integers(len(words), size=tokens // 4))[:tokens]
    letters = np.frombuffer(text, dtype=np.uint8)
    return DataSpec(
        train=write_tokens(folder / "train.bin", letters[: tokens * 9 // 10]),
        valid=write_tokens(folder / "valid.bin", letters[tokens * 9 // 10 :]),
        dtype="uint8",
        unit="byte",
        bytes_per_token=1.0,
    )


def write_images(folder: Path) -> DataSpec:
    """300 and 100 images of 8 x 8 with something to learn: a bright square whose place is its class, under noise."""
    generator = np.random.default_rng(7)
    classes = generator.integers(10, size=400).astype(np.uint8)
    images = generator.integers(120, size=(400, 8, 8)).astype(np.uint8)
    for image, place in zip(images, classes, strict=True):
        row, column = divmod(int(place), 4)
        image[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 100
    entries = np.concatenate([classes[:, None], images.reshape(400, 64)], axis=1)
    splits = {}
    for name, part in (("train", entries[:300]), ("valid", entries[300:])):
        split = write_tokens(folder / f"{name}-images.bin", part)
        splits[name] = msgspec.structs.replace(split, tokens=len(part))
    return DataSpec(train=splits["train"], valid=splits["valid"], dtype="uint8", unit="image", max_epochs=100)


def tiny_run(data: DataSpec, sparsity: float = 0.0, pattern: str = "unstructured", **changes: Any) -> RunSpec:
    plain = RunSpec(
        shape=SHAPE,
        data=data,
        batch=4,
        steps=STEPS,
        optimizer=AdamW(learning_rate=1e-2, base_width=32),
        learning_rate=LearningRate(warmup=5),
        pruning=Pruning(sparsity=sparsity, pattern=pattern, strategy=GradualMagnitude(updates=6)),
        evaluation_sequences=16,
    )
    return msgspec.structs.replace(plain, **changes)


def job_of(segment: Segment, folder: Path, **placement: Any) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    return Job(
        segment=segment,
        checkpoints=str(folder),
        result=str(folder / f"{segment.id}.json"),
        progress=str(folder / f"{segment.id}.jsonl"),
        placement=Placement(threads=1, **placement),
    )


def train_segment(segment: Segment, folder: Path, *, stop: threading.Event | None = None, **placement: Any) -> Record:
    from sparseplan.train.loop import Training

    return Training(job_of(segment, folder, **placement), stop=stop or threading.Event()).train()


def train_alone(run: RunSpec, folder: Path, **placement: Any) -> RunRecord:
    record = train_segment(plan_segments([run]).segments[0], folder, **placement)
    assert isinstance(record, RunRecord)
    return record


def train_all(runs: list[RunSpec], folder: Path) -> dict[str, RunRecord]:
    records = [train_segment(segment, folder) for segment in plan_segments(runs).segments]
    assert all(isinstance(record, RunRecord | TrunkRecord) for record in records)
    return {record.run_id: record for record in records if isinstance(record, RunRecord)}


class StopAfter(threading.Event):
    """Asks to stop when it has been looked at a number of times: once an update."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = itertools.count(1)
        self._limit = looks

    def is_set(self) -> bool:
        return next(self._looks) >= self._limit
