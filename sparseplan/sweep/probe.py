"""How fast this device trains each shape: a few real steps, by as many workers at once as the sweep will have."""

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sparseplan.errors import SweepError
from sparseplan.runs.job import Job, Placement, Progress, Segment, to_json
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import RunSpec
from sparseplan.shapes.families import Shape
from sparseplan.sweep.estimate import Speed
from sparseplan.sweep.executors.base import Ended, Task, Workers

STEPS = 24
_ANY_EPOCHS = 1e12  # a run on a small cut of its data may be shorter than a probe
_POLL_SECONDS = 0.05


def measure_speed(runs: Sequence[RunSpec], placements: Sequence[Placement], *, workers: Workers) -> Speed:
    """Train every shape for a few steps in every worker, all workers at once.

    Args:
        runs: What will be trained.
        placements: One a worker.
        workers: Who trains; none of them may be at work yet, and none is afterwards.

    Raises:
        SweepError: if a worker fails, with the end of its log.
    """
    shapes: dict[Shape, RunSpec] = {}
    for run in runs:
        shapes.setdefault(run.shape, run)
    specs = [
        msgspec.structs.replace(
            run,
            steps=STEPS,
            pruning=Pruning(),
            start=None,
            evaluation_sequences=run.batch,
            data=msgspec.structs.replace(run.data, max_epochs=_ANY_EPOCHS),
        )
        for run in shapes.values()
    ]
    with tempfile.TemporaryDirectory(prefix="sparseplan-probe-") as name:
        folder = Path(name)
        tasks = [_task(folder, slot, specs, placement) for slot, placement in enumerate(placements)]
        started = time.perf_counter()
        try:
            for task in tasks:
                workers.start(task)
            ended: list[Ended] = []
            while len(ended) < len(tasks):
                ended += workers.ended()
                time.sleep(_POLL_SECONDS)
        finally:
            workers.stop()
        elapsed = time.perf_counter() - started
        for each in ended:
            if each.status != 0:
                last = each.task.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
                raise SweepError("a worker failed at a short probe of this device: " + " | ".join(last))
        rates = {
            spec.shape: math.fsum(_rate(task.jobs[index]) for task in tasks) / len(tasks)
            for index, spec in enumerate(specs)
        }
    training = sum(spec.steps * spec.tokens_per_step / rates[spec.shape] for spec in specs)
    return Speed(tokens_per_second=rates, startup_seconds=max(0.0, elapsed - training))


def _task(folder: Path, slot: int, specs: list[RunSpec], placement: Placement) -> Task:
    jobs: list[Path] = []
    for index, spec in enumerate(specs):
        place = folder / f"{slot}-{index}"
        job = Job(
            segment=Segment(id=spec.run_id, run=spec, from_step=0, to_step=spec.updates),
            checkpoints=str(place),
            result=str(place / "result.json"),
            progress=str(place.with_suffix(".jsonl")),
            placement=msgspec.structs.replace(placement, progress_seconds=1e-3),
        )
        path = place.with_suffix(".json")
        path.write_bytes(to_json(job))
        jobs.append(path)
    return Task(name=str(slot), segments=(), jobs=tuple(jobs), log=folder / f"{slot}.log")


def _rate(job: Path) -> float:
    """Tokens per second of a probe: the median step, which neither the first ones nor an interruption move."""
    lines = job.with_suffix(".jsonl").read_bytes().splitlines()
    rates = sorted(
        line.tokens_per_second
        for line in (msgspec.json.decode(text, type=Progress) for text in lines)
        if line.event == "step" and line.tokens_per_second is not None
    )
    if not rates:
        raise SweepError("a worker reported no speed at a short probe of this device.")
    return rates[len(rates) // 2]
