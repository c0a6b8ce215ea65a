"""What starts workers, and says which have ended: the interface, and the one for this machine."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sparseplan.errors import SweepError

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


class LocalExecutor:
    """Worker processes on this machine; they end by themselves if this process dies.

    Args:
        trainer: Module that does the jobs, as `python -m` takes it.
    """

    def __init__(self, trainer: str = "sparseplan.train") -> None:
        self._trainer = trainer
        self._workers: dict[str, tuple[Task, subprocess.Popen[bytes]]] = {}

    def adopt(self) -> list[Task]:
        """None: workers end with their driver."""
        return []

    def start(self, task: Task) -> None:
        """Start a worker."""
        command = [sys.executable, "-m", "sparseplan.sweep.worker", self._trainer, *map(str, task.jobs)]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        try:
            with task.log.open("ab") as log:
                worker = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,  # never written to: its end tells the worker that this process died
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # a Ctrl-C at the terminal is the driver's to handle
                )
        except OSError as problem:
            raise SweepError(f"can't start a worker: {problem.strerror or problem}.") from None
        self._workers[task.name] = (task, worker)

    def ended(self) -> list[Ended]:
        """Workers that have ended since the last call."""
        done = [
            Ended(task=task, status=worker.returncode)
            for task, worker in self._workers.values()
            if worker.poll() is not None
        ]
        for each in done:
            self._forget(each.task.name)
        return done

    def stop(self) -> None:
        """Ask all workers to save themselves and end; kill those that don't."""
        for _, worker in self._workers.values():
            with suppress(ProcessLookupError):
                worker.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        try:
            for _, worker in self._workers.values():
                with suppress(subprocess.TimeoutExpired):
                    worker.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for name, (_, worker) in list(self._workers.items()):
                worker.kill()
                worker.wait()
                self._forget(name)

    def _forget(self, name: str) -> None:
        _, worker = self._workers.pop(name)
        if worker.stdin is not None:
            worker.stdin.close()
