"""What starts workers, and says which have ended: the interface."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

STOP_SECONDS = 30.0
"""How long stopped workers may take to save themselves before they are killed."""


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
    """A worker that has ended; `status` as of `job`, negative for a signal, None where unknown."""

    task: Task
    status: int | None


class Executor(Protocol):
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

    def stop(self) -> None:
        """Ask all workers to save themselves and end; returns when they have."""
