"""The contract between a sweep and a training process: which piece of a run it does, where, and what it reports.

    Segment      the updates that one process makes; `trunks.plan_segments` cuts runs into segments.
    Job          a segment, where it runs and where its files go: the file that `python -m sparseplan.train` reads.
    Progress     one JSON line of the progress file.
    RunRecord    what a finished run reports; TrunkRecord what a shared prefix reports.

All are JSON through `to_json`, `read_job` and `read_result`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from sparseplan.common.files import read_regular
from sparseplan.common.json_struct import decode
from sparseplan.errors import BrokenFileError, SparseplanError
from sparseplan.runs.facts import RunFacts
from sparseplan.runs.spec import Count, RunSpec

EXIT_OUT_OF_MEMORY = 3
"""Exit status of a training process that the device had no memory for; 0, 1, 2 and 130 mean what they do elsewhere."""

Steps = Annotated[int, Meta(ge=0)]


class Placement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and how a segment runs: it may move a loss in its last digits, and never names a run."""

    device: Annotated[str, Meta(pattern=r"^(cpu|cuda(:\d+)?)$")] = "cpu"
    threads: Annotated[
        Count | None, Meta(description="CPU threads; 1 makes a run repeatable bit for bit, None leaves torch's choice.")
    ] = None
    execution: Annotated[
        Literal["auto", "eager", "compile", "graphs"],
        Meta(description="auto: eager on the CPU; on a GPU CUDA graphs for small models, compiled ones for large."),
    ] = "auto"
    accumulate: Annotated[int, Meta(ge=1, description="Pieces that a batch is split into; it must divide it.")] = 1
    semi_structured: Annotated[
        Literal["auto", "off"],
        Meta(description="auto: 2:4 products on tensor cores after the ramp, where right and faster here."),
    ] = "auto"
    checkpoint_seconds: Annotated[float, Meta(gt=0, description="Time between rolling checkpoints.")] = 60.0
    progress_seconds: Annotated[float, Meta(gt=0, description="Time between lines of progress.")] = 1.0


class Needed(NamedTuple):
    """A checkpoint that a segment starts from: whose it is, and at which of its steps."""

    segment: str
    step: int


class Segment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The updates from `from_step` to `to_step` that one process makes.

    Attributes:
        id: Name of the segment: a run's id, a trunk's, or a run's final id.
        run: The run; for a trunk, any run of that trunk (its longest).
        parent: Segment that left the checkpoint at `from_step`; None starts with what its run starts from.
        keep: Steps at which a checkpoint is left for children, ascending.
        finish: Whether the segment ends its run: then it evaluates and writes a RunRecord, else a TrunkRecord. A dense
            run that others start from is trained to its end by a segment of its final id, which leaves its weights for
            them, and for the run itself, which then only evaluates.
    """

    id: str
    run: RunSpec
    from_step: Steps
    to_step: Steps
    parent: str | None = None
    keep: tuple[int, ...] = ()
    finish: bool = True

    def __post_init__(self) -> None:
        if not self.from_step <= self.to_step <= self.run.updates:
            raise ValueError(
                f"expected from_step <= to_step <= {self.run.updates}, found {self.from_step} and {self.to_step}"
            )
        if (self.parent is None) != (self.from_step == 0):
            raise ValueError("expected a parent exactly where from_step is above 0")
        whole = self.parent == self.run.final_id and self.from_step == self.run.updates
        if self.parent is not None and self.from_step > self.run.branch_step and not whole:
            raise ValueError(
                f"expected to branch at step {self.run.branch_step} or before, found from_step {self.from_step}"
            )
        if self.finish and (self.to_step != self.run.updates or self.id != self.run.run_id):
            raise ValueError("expected a segment that finishes its run to end at its last step and bear its run id")
        whole = self.id == self.run.final_id and self.to_step == self.run.updates
        if not self.finish and not whole and (self.to_step > self.run.branch_step or self.id != self.run.trunk_id):
            raise ValueError("expected a trunk to end at its run's branch step and bear its trunk id")
        first = self.from_step if self.from_step == self.to_step else self.from_step + 1  # no update: what it is given
        if any(not first <= step <= self.to_step for step in self.keep):
            raise ValueError(f"expected checkpoints within ({self.from_step}, {self.to_step}], found {self.keep}")

    @property
    def needs(self) -> Needed | None:
        """The checkpoint that has to be there first: its parent's, or of the dense run that its run starts from."""
        if self.parent is not None:
            return Needed(self.parent, self.from_step)
        dense = self.run.dense_run
        return None if dense is None else Needed(dense.final_id, dense.updates)

    @property
    def tokens(self) -> int:
        """Tokens that the segment trains on."""
        return (self.to_step - self.from_step) * self.run.tokens_per_step

    @property
    def train_flops(self) -> float:
        """The part of the run's training FLOPs that this segment does."""
        return 6.0 * self.run.tokens_per_step * self.run.weight_steps(self.from_step, self.to_step)


class Job(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `python -m sparseplan.train JOB.json` reads.

    Attributes:
        segment: What to train.
        placement: Where and how.
        checkpoints: Folder of `kept_checkpoint` and `rolling_checkpoint` files.
        result: File of the record, written once, whole or not at all.
        progress: File to append lines of `Progress` to; None for standard output.
    """

    segment: Segment
    checkpoints: str
    result: str
    progress: str | None = None
    placement: Placement = Placement()
    format: Literal["sparseplan-job/1"] = "sparseplan-job/1"


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of progress; `step` counts from the start of the run, so a trunk's steps are included."""

    event: Literal["start", "step", "checkpoint", "note", "done"]
    segment: str
    step: int
    steps: int
    loss: float | None = None
    tokens_per_second: float | None = None
    seconds: float | None = None
    note: str | None = None


class RunRecord(RunFacts, frozen=True, kw_only=True, tag_field="format", tag="sparseplan-run/1"):
    """What a finished run reports: its facts, with `nonzero_params` as the trained weights were counted, and its loss.

    Attributes:
        loss: Validation loss in nats per token or image that the model predicts; None when diverged.
        bits_per_byte: The same in bits per byte of text; None when diverged or where it has none.
        accuracy: Share of the validation data whose right answer the model takes for the likeliest; None likewise.
        diverged, reason: Whether training left the finite, and how.
        trunk: The trunk it branched from, and at which step; None and 0 when trained alone.
        segment_seconds: Wall time of this run's own segment, all attempts together; the trunk reports its own.
        tokens_per_second: Of the segment's training steps; None where it had none.
        device, versions: Where it ran; python, torch and sparseplan versions, CUDA where used.
        semi_structured: Whether 2:4 products ran on tensor cores.
        semi_structured_reason: Why, or why not; None where the pattern has no such products.
        execution: eager, compile or graphs.
    """

    loss: float | None
    bits_per_byte: float | None
    diverged: bool
    segment_seconds: float
    device: str
    accuracy: float | None = None
    reason: str | None = None
    trunk: str | None = None
    trunk_step: int = 0
    tokens_per_second: float | None = None
    semi_structured: bool = False
    semi_structured_reason: str | None = None
    execution: str = "eager"
    versions: dict[str, str] = msgspec.field(default_factory=dict)


class TrunkRecord(Struct, frozen=True, kw_only=True, tag_field="format", tag="sparseplan-trunk/1"):
    """What a finished trunk reports, or a dense run for those that start from it; a diverged one has left only the
    checkpoints before `step`.
    """

    trunk_id: str
    step: int
    diverged: bool
    segment_seconds: float
    device: str
    reason: str | None = None
    tokens_per_second: float | None = None
    execution: str = "eager"
    versions: dict[str, str] = {}


Record = RunRecord | TrunkRecord


def diverged_record(run: RunSpec, *, reason: str, device: str, seconds: float = 0.0) -> RunRecord:
    """The record of a run that has no loss: it or its trunk diverged."""
    return RunRecord(
        **msgspec.structs.asdict(run.facts()),
        loss=None,
        bits_per_byte=None,
        diverged=True,
        reason=reason,
        segment_seconds=seconds,
        device=device,
    )


def kept_checkpoint(folder: Path | str, segment_id: str, step: int) -> Path:
    """Where a segment leaves the checkpoint at `step` for its children."""
    return Path(folder) / f"{segment_id}-{step:08d}.pt"


def rolling_checkpoint(folder: Path | str, segment_id: str) -> Path:
    """Where a segment saves itself, to go on after being killed; gone when it has finished."""
    return Path(folder) / f"{segment_id}-rolling.pt"


def to_json(message: Struct) -> bytes:
    """Any struct of this module as indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(message), indent=2) + b"\n"


def read_job(path: Path) -> Job:
    """Read a job file.

    Raises:
        SparseplanError: if it can't be read or isn't a valid job.
    """
    job: Job = _read(path, Job, "job", SparseplanError)
    return job


def read_result(path: Path) -> Record:
    """Read the record that a segment wrote.

    Raises:
        BrokenFileError: if it was read and isn't a valid record.
        SparseplanError: if it can't be read.
    """
    record: Record = _read(path, RunRecord | TrunkRecord, "result", BrokenFileError)
    return record


def _read(path: Path, into: Any, kind: str, broken: type[SparseplanError]) -> Any:
    try:
        return decode(read_regular(path), into)
    except OSError as problem:
        raise SparseplanError(f"{path}: can't read this {kind} file: {problem.strerror or problem}.") from None
    except msgspec.DecodeError as problem:
        raise broken(f"{path}: expected a {kind} file, found: {problem}.") from None
