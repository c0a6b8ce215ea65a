"""Workers as SLURM jobs: one `sbatch` a task, `squeue` to see which have ended, a file for each exit status.

The jobs outlive a driver that was killed; the next driver finds them by their files and waits for them.
"""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from sparseplan.common.child import python
from sparseplan.common.files import open_regular, set_aside, write_bytes, write_text
from sparseplan.common.json_struct import decode
from sparseplan.errors import SweepError
from sparseplan.runs.job import Placement
from sparseplan.runs.spec import RunSpec
from sparseplan.sweep.estimate import Speed
from sparseplan.sweep.executors.base import STOP_SECONDS, TRAINER, Ended, Settings, Task

_WORKERS = 4
"""Jobs at a time where the settings don't say."""
_ASK_SECONDS = 5.0
_LATE_SECONDS = 60.0
"""How long a job may be gone from the queue before its files are expected: shared file systems lag."""


_NUMBER = r"^[0-9]+(_[0-9]+)?$"
"""What a job may be called towards SLURM; whatever else a file says never reaches a command line."""


class _Submitted(Struct, frozen=True, kw_only=True):
    """What a later driver must know of a job."""

    number: Annotated[str, Meta(pattern=_NUMBER)]
    name: str
    segments: tuple[str, ...]
    jobs: tuple[str, ...]
    log: str

    @property
    def task(self) -> Task:
        return Task(
            name=self.name, segments=self.segments, jobs=tuple(Path(job) for job in self.jobs), log=Path(self.log)
        )


class Slurm(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="slurm"):
    """SLURM jobs."""

    sbatch: Annotated[
        tuple[str, ...], Meta(description="Options for sbatch, such as --partition=gpu and --gres=gpu:1.")
    ] = ()
    setup: Annotated[tuple[str, ...], Meta(description="Shell lines that a job runs first, such as module load.")] = ()


class SlurmExecutor:
    """Starts tasks through sbatch, from a login node, which can't see what the compute nodes have.

    Args:
        settings: Device, workers, options for sbatch, setup lines.
        trainer: Module that does the jobs.
        ask_seconds: Least time between two questions to the queue.
        late_seconds: How long files of an ended job may be late.
    """

    settings_type: ClassVar[type[Settings]] = Slurm
    can_probe: ClassVar[bool] = False

    def __init__(
        self,
        settings: Slurm,
        *,
        trainer: str = TRAINER,
        ask_seconds: float = _ASK_SECONDS,
        late_seconds: float = _LATE_SECONDS,
    ) -> None:
        self._settings, self._trainer = settings, trainer
        self._ask_seconds, self._late_seconds = ask_seconds, late_seconds
        self.poll_seconds = min(2.0, ask_seconds)
        self._asked = -ask_seconds
        self._submitted: dict[str, _Submitted] = {}
        self._gone: dict[str, float] = {}

    def placements(self) -> tuple[Placement, ...]:
        """As many jobs at a time as the settings say, each on the device that they say."""
        if self._settings.device == "auto":
            raise SweepError(
                "SLURM jobs need a device: the login node can't see what the compute nodes have. "
                "Give `device` cuda or cpu."
            )
        return (self._settings.placement(self._settings.device),) * (self._settings.workers or _WORKERS)

    def measure_speed(self, runs: Sequence[RunSpec]) -> Speed:  # noqa: ARG002 - of no run
        """Nothing is known of the nodes before they train."""
        return Speed(tokens_per_second={})

    def open(self, place: Path) -> None:
        """Keep scripts, exit statuses and what is submitted in a folder that the nodes share.

        Raises:
            SweepError: if there is no sbatch or squeue.
        """
        self._place = place
        place.mkdir(parents=True, exist_ok=True)
        _ask(["squeue", "--version"])
        _ask(["sbatch", "--version"])

    def adopt(self) -> list[Task]:
        """The tasks that an earlier driver submitted and whose end nobody has seen.

        Raises:
            SweepError: if a file of a submitted job can't be read, or is another user's.
        """
        for path in sorted(self._place.glob("[!.]*.submitted.json")):
            try:
                with open_regular(path) as file:
                    owner, raw = os.fstat(file.fileno()).st_uid, file.read()
            except OSError as problem:
                raise SweepError(f"{path}: can't read this file: {problem.strerror or problem}.") from None
            if owner != os.getuid():
                raise SweepError(
                    f"{path}: expected a job that this user submitted, found one of user {owner}; "
                    "wait until its driver is done, or choose another `out`."
                )
            try:
                job = decode(raw, _Submitted)
            except msgspec.DecodeError:
                job = None
            if job is None or path != self._note(job.name):
                set_aside(path)
                continue
            self._submitted[job.name] = job
        return [job.task for job in self._submitted.values()]

    def start(self, task: Task) -> None:
        """Submit a task."""
        command = shlex.join(python("-m", self._trainer, *(str(job.absolute()) for job in task.jobs)))
        status = shlex.quote(str(self._status(task.name).absolute()))
        script = "\n".join(
            [
                "#!/bin/bash",
                *self._settings.setup,
                f"cd {shlex.quote(str(Path.cwd()))}",
                f"{command} &",
                "worker=$!; trap 'kill -TERM \"$worker\"' TERM INT  # SLURM signals the script: pass it on and wait",
                'wait "$worker"; status=$?',
                'while kill -0 "$worker" 2>/dev/null; do wait "$worker"; status=$?; done',
                f"echo $status > {status}.partial && mv {status}.partial {status}",
                "",
            ]
        )
        path = self._place / f"{task.name}.sh"
        write_text(path, script)
        self._status(task.name).unlink(missing_ok=True)
        log = str(task.log.absolute())
        command_line = ["sbatch", "--parsable", "--open-mode=append", f"--job-name=sparseplan-{task.name}"]
        answer = _ask([*command_line, f"--output={log}", f"--error={log}", *self._settings.sbatch, str(path)])
        number = answer.strip().split(";")[0]
        if not re.fullmatch(_NUMBER, number):
            raise SweepError(f"expected sbatch --parsable to print a job's number, found {answer.strip()!r:.80}.")
        job = _Submitted(
            number=number,
            name=task.name,
            segments=task.segments,
            jobs=tuple(map(str, task.jobs)),
            log=str(task.log),
        )
        write_bytes(self._note(task.name), msgspec.json.encode(job), durable=True)
        self._submitted[task.name] = job

    def ended(self) -> list[Ended]:
        """Tasks whose jobs have ended: those that left a status, and those that the queue has forgotten for long."""
        now = time.monotonic()
        if now - self._asked < self._ask_seconds:
            return []
        self._asked = now
        alive = self._alive()
        done: list[Ended] = []
        for name, job in list(self._submitted.items()):
            status = self._read_status(name)
            if status is None:
                if job.number in alive:
                    self._gone.pop(name, None)
                    continue
                if now - self._gone.setdefault(name, now) < self._late_seconds:
                    continue
            done.append(Ended(task=job.task, status=status))
            self._forget(name)
        return done

    def stop(self) -> None:
        """Ask all jobs to save themselves and end, cancel those that don't."""
        numbers = [job.number for job in self._submitted.values()]
        if not numbers:
            return
        _ask(["scancel", "--signal=TERM", "--batch", *numbers])
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and self._alive():
            time.sleep(min(1.0, self._ask_seconds))
        _ask(["scancel", *numbers])
        for name in list(self._submitted):
            self._forget(name)

    def _alive(self) -> set[str]:
        numbers = [job.number for job in self._submitted.values()]
        if not numbers:
            return set()
        # squeue fails for numbers that it has forgotten, so all of this user's jobs are asked for
        answer = _ask(["squeue", "--noheader", "--me", "--format=%i"])
        return set(answer.split()) & set(numbers)

    def _read_status(self, name: str) -> int | None:
        try:
            status = int(self._status(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return 128 - status if 128 < status < 128 + 65 and status != 130 else status  # a shell's way to say a signal

    def _forget(self, name: str) -> None:
        self._submitted.pop(name, None)
        self._gone.pop(name, None)
        self._note(name).unlink(missing_ok=True)
        self._status(name).unlink(missing_ok=True)

    def _status(self, name: str) -> Path:
        return self._place / f"{name}.status"

    def _note(self, name: str) -> Path:
        return self._place / f"{name}.submitted.json"


def _ask(command: list[str]) -> str:
    """Run one of SLURM's commands; returns what it prints.

    Raises:
        SweepError: if it is not there or fails.
    """
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SweepError(
            f"expected SLURM's {command[0]} on PATH, found none; run this on a login node, or choose `executor` local."
        ) from None
    if answer.returncode:
        message = answer.stderr.strip() or f"exit status {answer.returncode}"
        raise SweepError(f"{shlex.join(command)} failed: {message}")
    return answer.stdout
