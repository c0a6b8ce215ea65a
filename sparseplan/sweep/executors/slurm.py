"""Workers as SLURM jobs: one `sbatch` a task, `squeue` to see which have ended, a file for each exit status.

The jobs outlive a driver that was killed; the next driver finds them by their files and waits for them. A controller
that doesn't answer is waited for, and a job ends for us when the queue says so: one that was requeued, by preemption or
by hand, has left an exit status and is still to run. Of two jobs for one task, as a submission that seemed to fail may
leave, only the first to start does anything.
"""

import os
import re
import shlex
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
from sparseplan.sweep.executors.slurm_commands import ENDED, FULL, AbsentError, ask, queue

_WORKERS = 4
"""Jobs at a time where the settings don't say."""
_ASK_SECONDS = 5.0
_LATE_SECONDS = 60.0
"""How long a job may be gone from the queue before its files are expected: shared file systems lag."""
_PATIENCE_SECONDS = 1800.0
"""How long the controller may be silent before the sweep ends: longer than a restart or a move takes."""
_NUMBER = r"^[0-9]+(_[0-9]+)?$"
"""What a job may be called towards SLURM; whatever else a file says never reaches a command line."""


class _Submitted(Struct, frozen=True, kw_only=True):
    """What a later driver must know of a job; without a number it is about to be submitted, or was just now."""

    number: Annotated[str, Meta(pattern=_NUMBER)] | None
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
        patience_seconds: How long the controller may be silent.
        stop_seconds: How long stopped jobs may take to save themselves.
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
        patience_seconds: float = _PATIENCE_SECONDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._settings, self._trainer = settings, trainer
        self._ask_seconds, self._late_seconds = ask_seconds, late_seconds
        self.poll_seconds = min(2.0, ask_seconds)
        self._asked = -ask_seconds
        self._submitted: dict[str, _Submitted] = {}
        self._gone: dict[str, float] = {}
        self._patience_seconds, self._stop_seconds = patience_seconds, stop_seconds
        self._silent_since: float | None = None
        self._notes: list[str] = []

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
        ask(["squeue", "--version"])
        ask(["sbatch", "--version"])

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
        """Submit a task, as soon as the controller takes it.

        Raises:
            SweepError: if SLURM refuses the job for good.
        """
        command = shlex.join(python("-m", self._trainer, *(str(job.absolute()) for job in task.jobs)))
        status, owner = (shlex.quote(str(self._file(task.name, kind).absolute())) for kind in ("status", "owner"))
        script = "\n".join(
            [
                "#!/bin/bash",
                "# whoever writes this file first has the task: a job that starts once more, or no other one",
                f'(set -C; echo "$SLURM_JOB_ID" > {owner}) 2>/dev/null',
                f'[ "$(cat {owner})" = "$SLURM_JOB_ID" ] || exit 0',
                f"rm -f {status}",
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
        write_text(self._file(task.name, "sh"), script)
        self._submitted[task.name] = _Submitted(
            number=None,
            name=task.name,
            segments=task.segments,
            jobs=tuple(map(str, task.jobs)),
            log=str(task.log),
        )
        self._keep(task.name)  # before there is a job: a driver killed right after sbatch leaves none unknown
        self._submit(task.name)

    def _submit(self, name: str) -> None:
        """Call sbatch; the job stays without a number where the controller is absent, or takes no more for now."""
        job = self._submitted[name]
        log = str(job.task.log.absolute())
        command = ["sbatch", "--parsable", "--open-mode=append", f"--job-name={_label(name)}"]
        command += [f"--output={log}", f"--error={log}", *self._settings.sbatch, str(self._file(name, "sh"))]
        try:
            answer = ask(command)
        except AbsentError:
            return
        except SweepError as problem:
            others = any(each.number is not None for each in self._submitted.values())
            if others and FULL.search(str(problem)):
                return
            self._forget(name)
            raise
        number = answer.strip().split(";")[0]
        if not re.fullmatch(_NUMBER, number):
            raise SweepError(f"expected sbatch --parsable to print a job's number, found {answer.strip()!r:.80}.")
        self._number(name, number)

    def _number(self, name: str, number: str) -> None:
        self._submitted[name] = msgspec.structs.replace(self._submitted[name], number=number)
        self._keep(name)

    def _keep(self, name: str) -> None:
        write_bytes(self._note(name), msgspec.json.encode(self._submitted[name]), durable=True)

    def ended(self) -> list[Ended]:
        """Tasks whose jobs the queue no longer has, or has as ended; none while the controller is silent.

        Raises:
            SweepError: if the controller has been silent for too long.
        """
        now = time.monotonic()
        if now - self._asked < self._ask_seconds or not self._submitted:
            return []
        self._asked = now
        try:
            states = queue()
        except AbsentError as problem:
            self._wait_for_controller(now, problem)
            return []
        if self._silent_since is not None:
            self._silent_since = None
            self._notes.append("SLURM's controller answers again")
        done: list[Ended] = []
        for name in list(self._submitted):
            ended = self._judge(name, states, now)
            if ended is not None:
                done.append(ended)
                self._forget(name)
        return done

    def _judge(self, name: str, states: dict[str, tuple[str, str]], now: float) -> Ended | None:
        """The end of a job, None where it hasn't ended; submits what could not be submitted before."""
        job = self._submitted[name]
        if job.number is None:
            number = next((number for number, (_, label) in states.items() if label == _label(name)), None)
            if number is not None:  # a submission that seemed to fail didn't
                self._number(name, number)
            else:
                self._submit(name)
            return None
        state = states.get(job.number, ("", ""))[0]
        if state and state not in ENDED:
            self._gone.pop(name, None)
            return None
        other = self._owner(name)
        if other not in {"", job.number} and states.get(other, ("COMPLETED", ""))[0] not in ENDED:
            self._number(name, other)  # a submission that seemed to fail came first after all
            return None
        status, reason = self._read_status(name), ENDED.get(state, "")
        if status is None and not reason and now - self._gone.setdefault(name, now) < self._late_seconds:
            return None
        return Ended(task=job.task, status=status, reason=reason)

    def _wait_for_controller(self, now: float, problem: SweepError) -> None:
        if self._silent_since is None:
            self._silent_since = now
            self._notes.append("SLURM's controller doesn't answer: jobs go on, and this waits for it")
        if now - self._silent_since > self._patience_seconds:
            raise SweepError(
                f"SLURM's controller has not answered for {self._patience_seconds:.0f} seconds: {problem} Jobs that "
                "run go on; the same command takes them over."
            )

    def notes(self) -> list[str]:
        """That the controller is silent, or answers again."""
        notes, self._notes = self._notes, []
        return notes

    def stop(self) -> None:
        """Ask all jobs to save themselves and end, cancel those that don't; without a controller they go on.

        What could not be cancelled stays noted, and the next driver takes it over.
        """
        deadline = time.monotonic() + self._stop_seconds
        asked = False
        while self._submitted:
            try:
                states = queue()
                alive = [
                    job.number
                    for job in self._submitted.values()
                    if job.number is not None and states.get(job.number, ("COMPLETED", ""))[0] not in ENDED
                ]
                if not asked:
                    self._cancel(alive, "--state=PENDING")
                    self._cancel(alive, "--signal=TERM", "--batch")
                    asked = True
                elif not alive or time.monotonic() > deadline:
                    self._cancel(alive)
                    break
            except AbsentError:
                if time.monotonic() > deadline:
                    return
            time.sleep(min(1.0, self._ask_seconds))
        for name in list(self._submitted):
            self._forget(name)

    def _cancel(self, numbers: list[str], *how: str) -> None:
        if not numbers:
            return
        try:
            ask(["scancel", *how, *numbers])
        except AbsentError:
            raise
        except SweepError:  # of jobs that have ended just now it says that they are none
            return

    def _read_status(self, name: str) -> int | None:
        try:
            status = int(self._file(name, "status").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return 128 - status if 128 < status < 128 + 65 and status != 130 else status  # a shell's way to say a signal

    def _owner(self, name: str) -> str:
        """The number of the job that has a task; empty where none has begun."""
        try:
            return self._file(name, "owner").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def _forget(self, name: str) -> None:
        self._submitted.pop(name, None)
        self._gone.pop(name, None)
        write_text(self._file(name, "owner"), "closed\n")  # a job of this task that starts after all ends at once
        self._note(name).unlink(missing_ok=True)
        self._file(name, "status").unlink(missing_ok=True)

    def _file(self, name: str, kind: str) -> Path:
        return self._place / f"{name}.{kind}"

    def _note(self, name: str) -> Path:
        return self._file(name, "submitted.json")


def _label(name: str) -> str:
    """What SLURM calls the job of a task: no other job of the user is called so."""
    return f"sparseplan-{name}"
