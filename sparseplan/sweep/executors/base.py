"""What starts workers, and says which have ended: the interface of every executor, and the settings they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

from msgspec import Meta, Struct

from sparseplan.runs.job import Placement
from sparseplan.runs.spec import RunSpec
from sparseplan.sweep.estimate import Speed

TRAINER = "sparseplan.train"
"""Module that does the jobs, as `python -m` takes it."""
STOP_SECONDS = 30.0
"""How long stopped workers may take to save themselves before they are killed."""

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every executor takes, the recipe's `executor`: may change between two starts, and names no run.

    An executor's own settings inherit from these; their tag is the executor's name.
    """

    device: Annotated[
        str, Meta(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto takes a GPU if there is one.")
    ] = "auto"
    workers: Annotated[Count | None, Meta(description="Processes at once; by default one per CPU core or GPU.")] = None
    threads: Annotated[int, Meta(ge=1, description="CPU threads of a worker.")] = 1
    accumulate: Annotated[int, Meta(ge=1, description="Pieces that a batch is split into, to fit in memory.")] = 1
    semi_structured: Literal["auto", "off"] = "auto"
    checkpoint_seconds: Positive = 60.0

    def placement(self, device: str) -> Placement:
        """Where a worker's jobs run, given its device."""
        return Placement(
            device=device,
            threads=self.threads,
            accumulate=self.accumulate,
            semi_structured=self.semi_structured,
            checkpoint_seconds=self.checkpoint_seconds,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Some jobs that one worker does one after the other.

    Attributes:
        name: Unique within a folder.
        segments: Segment of each job.
        jobs: Job files, in order.
        log: Where the worker's output goes.
    """

    name: str
    segments: tuple[str, ...]
    jobs: tuple[Path, ...]
    log: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A worker that has ended; `status` as of `job`, negative for a signal, None where unknown.

    `reason` says what ended it where the executor knows better than the status does, as in "reached its time limit".
    """

    task: Task
    status: int | None
    reason: str = ""


class Workers(Protocol):
    """Starts tasks and says which have ended."""

    def adopt(self) -> list[Task]:
        """Tasks of an earlier driver that are still at work; from now on they are this one's."""

    def start(self, task: Task) -> None:
        """Start a worker.

        Raises:
            SweepError: if it can't be started.
        """

    def ended(self) -> list[Ended]:
        """Workers that have ended since the last call."""

    def notes(self) -> list[str]:
        """What is worth a line since the last call, such as a scheduler that doesn't answer."""

    def stop(self) -> None:
        """Ask all workers to save themselves and end; returns when they have."""


class Executor(Workers, Protocol):
    """A place where trainings run: what can be known of it before a sweep, and its workers.

    Making one asks nothing and starts nothing; `placements` may ask, `measure_speed` may train for a moment.

    Attributes:
        settings_type: The settings it takes from a recipe.
        can_probe: Whether devices and speed can be found out from here, before a task is started in earnest.
        poll_seconds: Between two looks at its workers.
    """

    settings_type: ClassVar[type[Settings]]
    can_probe: ClassVar[bool]
    poll_seconds: float

    def __init__(self, settings: Any, *, trainer: str = TRAINER) -> None:
        """Take settings of `settings_type`."""

    def placements(self) -> tuple[Placement, ...]:
        """Where each worker's jobs run; one entry a worker.

        Raises:
            SweepError: if the device is not there, or cannot be known from here.
        """

    def measure_speed(self, runs: Sequence[RunSpec]) -> Speed:
        """How fast its workers train these runs; an empty speed where that cannot be known from here.

        Raises:
            SweepError: if a worker fails.
        """

    def open(self, place: Path) -> None:
        """Get ready to start tasks, with a folder for the executor's own files; called before the four of `Workers`.

        Raises:
            SweepError: if nothing can be started from here.
        """
