"""Workers on this machine."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from sparseplan.errors import SweepError
from sparseplan.sweep.executors.base import STOP_SECONDS, Ended, Task


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
