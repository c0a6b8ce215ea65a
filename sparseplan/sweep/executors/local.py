"""Workers on this machine."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from sparseplan.common.child import python
from sparseplan.errors import SweepError
from sparseplan.runs.job import Placement
from sparseplan.runs.spec import RunSpec
from sparseplan.sweep.estimate import Speed
from sparseplan.sweep.executors.base import STOP_SECONDS, TRAINER, Ended, Settings, Task
from sparseplan.sweep.machine import Machine, probe_machine
from sparseplan.sweep.probe import measure_speed


class Local(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="local"):
    """Processes on this machine."""


class LocalExecutor:
    """Worker processes on this machine; they end if this process dies.

    Args:
        settings: Devices, workers, threads.
        trainer: Module that does the jobs, as `python -m` takes it.
        machine: What there is here; None asks a process of its own, once, when it has to be known.
    """

    settings_type: ClassVar[type[Settings]] = Local
    can_probe: ClassVar[bool] = True
    poll_seconds = 0.1

    def __init__(self, settings: Local, *, trainer: str = TRAINER, machine: Machine | None = None) -> None:
        self._settings, self._trainer, self._machine = settings, trainer, machine
        self._workers: dict[str, tuple[Task, subprocess.Popen[bytes]]] = {}

    def placements(self) -> tuple[Placement, ...]:
        """One worker per GPU or CPU core, or as many as the settings say."""
        self._machine = self._machine or probe_machine()
        devices = self._machine.devices(self._settings.device, self._settings.workers)
        return tuple(self._settings.placement(device) for device in devices)

    def measure_speed(self, runs: Sequence[RunSpec]) -> Speed:
        """Train every shape for a few steps in every worker, all workers at once."""
        return measure_speed(runs, self.placements(), workers=self)

    def open(self, place: Path) -> None:
        """Nothing: processes need no files beside those of their jobs."""

    def adopt(self) -> list[Task]:
        """None: workers end with their driver."""
        return []

    def start(self, task: Task) -> None:
        """Start a worker."""
        command = python("-m", "sparseplan.sweep.worker", self._trainer, *map(str, task.jobs))
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

    def notes(self) -> list[str]:
        """None: processes either run or have ended."""
        return []

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
