"""A training process that honours the job contract and trains nothing: its state is a chain of hashes.

Equal losses mean an equal history of every step, as with the real one; a run takes milliseconds. Faults are asked for
by files in the folder $FAKE_FAULTS: a file named after a segment (or `any`) holds words, and each attempt at a segment
takes the first one away:

    kill STEP | exit STATUS | memory | diverge STEP | hang
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Literal

import msgspec

from sparseplan.common.files import replacing
from sparseplan.errors import SparseplanError
from sparseplan.runs.job import (
    EXIT_OUT_OF_MEMORY,
    Job,
    Progress,
    RunRecord,
    TrunkRecord,
    diverged_record,
    kept_checkpoint,
    read_job,
    rolling_checkpoint,
    to_json,
)
from sparseplan.runs.spec import RunSpec

SAVE_EVERY = 7


def start_state(run: RunSpec) -> str:
    dense = run.dense_run
    return run.trunk_id if dense is None else state_after(dense)


def next_state(state: str, run: RunSpec, step: int) -> str:
    sparsity = run.pruning.sparsity_at(step, run.steps)
    facts: tuple[object, ...] = (state, step, sparsity, run.pruning.pattern if sparsity else "")
    if step >= run.branch_step:
        facts = (*facts, run.learning_rate.factor(step, run.steps))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def loss_of(state: str, run: RunSpec) -> float:
    """A loss that a law could have made, with digits that only this history gives."""
    digits = int(hashlib.sha256((state + run.run_id).encode()).hexdigest()[:8], 16) / 2**32
    N, D, S = run.nonzero_params, run.data_seen, run.pruning.sparsity
    loss: float = (0.3 * (1 - S) ** 0.7 + 0.7) * (N / 1000) ** -0.25 + (D / 1e4) ** -0.3 + 1.0 + 1e-3 * digits
    return loss


def expected_loss(run: RunSpec) -> float:
    """The loss of a run that was never interrupted and shared nothing."""
    return loss_of(state_after(run), run)


def state_after(run: RunSpec) -> str:
    state = start_state(run)
    for step in range(run.steps):
        state = next_state(state, run, step)
    return state


def fault(segment: str) -> list[str]:
    folder = os.environ.get("FAKE_FAULTS")
    for name in (segment, "any"):
        path = Path(folder or "/nonexistent") / name
        if path.exists():
            first, _, rest = path.read_text().partition("\n")
            if rest.strip():
                path.write_text(rest)
            else:
                path.unlink()
            return first.split()
    return []


def save(path: Path, state: str, step: int) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps({"state": state, "step": step, "ballast": "x" * 2000}))


def keep(job: Job, state: str, step: int) -> None:
    if step in job.segment.keep:
        save(kept_checkpoint(job.checkpoints, job.segment.id, step), state, step)


def resume(job: Job) -> tuple[str, int]:
    segment, folder = job.segment, job.checkpoints
    missing = [step for step in segment.keep if not kept_checkpoint(folder, segment.id, step).exists()]
    limit = missing[0] if missing else segment.run.steps + 1
    own = [rolling_checkpoint(folder, segment.id)]
    own += [kept_checkpoint(folder, segment.id, step) for step in reversed(segment.keep) if step < limit]
    for path in own:
        if path.exists() and (found := json.loads(path.read_text()))["step"] < limit:
            return found["state"], found["step"]
    if segment.needs is not None:
        found = json.loads(kept_checkpoint(folder, segment.needs.segment, segment.needs.step).read_text())
        assert found["step"] == segment.needs.step
        return found["state"], segment.from_step
    return start_state(segment.run), 0


def train(job: Job, stop: list[bool]) -> int:
    segment, run = job.segment, job.segment.run
    if Path(job.result).exists():
        return 0
    pause = float(os.environ.get("FAKE_STEP_SECONDS", "0"))
    what = fault(segment.id)
    if what[:1] == ["exit"]:
        print("the fake trainer was told to fail", flush=True)
        return int(what[1])
    if what[:1] == ["memory"]:
        return EXIT_OUT_OF_MEMORY
    state, step = resume(job)
    say(job, "start", step)
    keep(job, state, step)
    diverged = False
    while step < segment.to_step and not diverged:
        if what[:1] == ["kill"] and step >= int(what[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        diverged = what[:1] == ["diverge"] and step >= int(what[1])
        state = next_state(state, run, step)
        step += 1
        time.sleep(pause)
        if not diverged:
            keep(job, state, step)
        if stop[0] or step % SAVE_EVERY == 0:
            save(rolling_checkpoint(job.checkpoints, segment.id), state, step)
        if stop[0]:
            return 130
        if pause or job.placement.progress_seconds < 0.1:
            say(job, "step", step)
    record: RunRecord | TrunkRecord
    if not segment.finish:
        record = TrunkRecord(
            trunk_id=segment.id, step=step, diverged=diverged, reason="told to", segment_seconds=0.0, device="fake"
        )
    elif diverged:
        record = diverged_record(run, reason="told to", device="fake")
    else:
        record = record_of(run, loss_of(state, run), trunk=segment.parent, trunk_step=segment.from_step)
    with replacing(Path(job.result)) as partial:
        partial.write_bytes(to_json(record))
    rolling_checkpoint(job.checkpoints, segment.id).unlink(missing_ok=True)
    say(job, "done", step)
    return 0


def record_of(run: RunSpec, loss: float, *, trunk: str | None = None, trunk_step: int = 0) -> RunRecord:
    gone = diverged_record(run, reason="", device="fake")
    return msgspec.structs.replace(gone, loss=loss, diverged=False, reason=None, trunk=trunk, trunk_step=trunk_step)


def say(job: Job, event: Literal["start", "step", "done"], step: int) -> None:
    line = Progress(event=event, segment=job.segment.id, step=step, steps=job.segment.to_step, tokens_per_second=1e6)
    assert job.progress is not None
    with Path(job.progress).open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


def main() -> int:
    stop = [False]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.__setitem__(0, True))
    for argument in sys.argv[1:]:
        try:
            status = train(read_job(Path(argument)), stop)
        except SparseplanError as problem:
            print(problem, flush=True)
            return 2
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
