"""The loop of a sweep: give ready segments to free workers, look at what they left, until nothing is left to do.

All state is in files, so a driver may die at any moment: the next one sees in the folder what is missing, and every
training goes on from its last checkpoint.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from sparseplan.common.files import write_bytes
from sparseplan.errors import SweepError
from sparseplan.runs.job import EXIT_OUT_OF_MEMORY, Job, Placement, Progress, Record, RunRecord, Segment, to_json
from sparseplan.shapes.families import Shape
from sparseplan.sweep.estimate import Speed, priorities, work_of
from sparseplan.sweep.executors.base import Ended, Task, Workers
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.progress import ProgressReader
from sparseplan.sweep.state import SweepState

ATTEMPTS = 3
"""How often in a row a segment may end a worker without a new checkpoint before it is given up for this sweep."""
EXIT_BAD_INPUT = 2
_LOG_LINES = 5
_PACK_STARTS = 10
"""A worker gets work for at most this many times its start-up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningSegment:
    """A segment that a worker is at, and its last report."""

    segment: Segment
    progress: Progress | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Where a sweep is.

    Attributes:
        runs, finished: Runs of the sweep, and those with a record, diverged ones included.
        at_work: The running trainings.
        seconds_left: Training time that is left, shared among the workers; None where unknown.
        total_seconds: The same, of the whole sweep as it was when this driver started.
    """

    runs: int
    finished: int
    at_work: tuple[RunningSegment, ...]
    seconds_left: float | None
    total_seconds: float | None


class Listener(Protocol):
    """Who is notified how a sweep goes."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def finished(self, record: Record, snapshot: Snapshot) -> None:
        """A run or trunk has ended."""

    def update(self, snapshot: Snapshot) -> None:
        """How it stands; called many times a second."""


@dataclass(kw_only=True)
class Driver:
    """Drives the segments of one sweep.

    Attributes:
        folder: Where the files are; the caller holds its lock.
        state: What there is to do.
        executor: Who does it, opened.
        placements: Where each worker's jobs run; one entry a worker.
        speed: How long segments take, as far as known; corrected by those that finish.
        listener: Who is notified.
        poll_seconds: Between two looks.
    """

    folder: Folder
    state: SweepState
    executor: Workers
    placements: Sequence[Placement]
    speed: Speed
    listener: Listener
    poll_seconds: float = 0.1
    sleep: Callable[[float], None] = time.sleep
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._progress = ProgressReader(self.folder)
        self._free = list(range(len(self.placements)))
        self._workers = len(self.placements)
        self._running: dict[str, tuple[Task, int | None]] = {}  # None: beyond the workers that this driver was given
        self._segments: dict[str, Segment] = {}
        self._crashes: Counter[str] = Counter()
        self._probed, self._samples = self.speed, dict[Shape, tuple[float, float]]()
        self._marks: dict[str, frozenset[tuple[str, int, int]]] = {}
        self._total = self._seconds_left()

    def run(self) -> None:
        """Drive until nothing is left that can be done; `failures` then says what couldn't be.

        Raises:
            SweepError: if a worker found the input bad or a file that can't be written; the workers have been stopped.
            KeyboardInterrupt: passed on, after the workers have saved themselves.
        """
        try:
            self._reattach()
            while True:
                self._look()
                self._hand_out()
                self.listener.update(self.snapshot())
                if not self._running:
                    return
                self.sleep(self.poll_seconds)
        finally:
            self.executor.stop()
            self.state.refresh()

    def snapshot(self) -> Snapshot:
        """Where the sweep is."""
        finished = len(self.state.finished)
        busy = [name for task, _ in self._running.values() for name in task.segments if name in self._progress.latest]
        return Snapshot(
            runs=finished + len(self.state.unfinished),
            finished=finished,
            at_work=tuple(
                RunningSegment(segment=self._segments[name], progress=self._progress.latest[name])
                for name in busy
                if self._progress.latest[name].event != "done"
            ),
            seconds_left=self._seconds_left(),
            total_seconds=self._total,
        )

    def _reattach(self) -> None:
        """Take over what an earlier driver's workers are still at."""
        known = {segment.id: segment for segment in self.state.remaining()}
        for task in self.executor.adopt():
            slot = self._free.pop(0) if self._free else None
            self._running[task.name] = (task, slot)
            for name in task.segments:
                if name in known:
                    self._segments[name] = known[name]
                    self._marks[name] = self._checkpoints_of(name)
                    self._progress.begin(name)

    def _look(self) -> None:
        """See what workers have done, and which have ended."""
        for note in self._progress.read():
            self.listener.note(f"{note.segment}: {note.note}")
        for line in self.executor.notes():
            self.listener.note(line)
        ended = self.executor.ended()  # before the records, so that all that an ended worker left is seen
        for record in self.state.refresh():
            self._learn(record)
            self.listener.finished(record, self.snapshot())
        while self.state.set_aside:
            self.listener.note(
                f"a broken record was set aside as {self.state.set_aside.pop()}; its run is trained again"
            )
        for each in ended:
            self._settle(each)

    def _learn(self, record: Record) -> None:
        """Correct the speed by what a segment took: a probe of a few steps on an idle machine is an optimist."""
        name = record.run_id if isinstance(record, RunRecord) else record.trunk_id
        segment = self._segments.get(name)
        if segment is None or record.diverged or record.segment_seconds <= 0 or not self._probed.known:
            return
        work, seconds = self._samples.get(segment.run.shape, (0.0, 0.0))
        self._samples[segment.run.shape] = (work + work_of(segment), seconds + record.segment_seconds)
        self.speed = self._probed.learned(self._samples)

    def _settle(self, ended: Ended) -> None:
        """Free an ended worker's place, and decide what becomes of the job it broke off at."""
        task, slot = self._running.pop(ended.task.name)
        for name in task.segments:
            self._progress.end(name)
        broken = next((name for name in task.segments if not self.folder.record(name).exists()), None)
        if slot is not None:
            self._free.append(slot)
        if broken is None:
            return
        last = _last_log_lines(task)
        if ended.status == EXIT_BAD_INPUT:
            raise SweepError(f"a worker stopped: {last or 'without a message'}")
        advanced = bool(self._checkpoints_of(broken) - self._marks.get(broken, frozenset()))
        # whoever leaves a checkpoint is on its way: a time limit, a preemption or a requeue is no fault of the run
        self._crashes[broken] = 0 if advanced else self._crashes[broken] + 1
        how = ended.reason or _exit_reason(ended.status)
        if ended.status == EXIT_OUT_OF_MEMORY and self._workers > 1 and slot is not None:
            self._free.remove(slot)
            self._workers -= 1
            how += f"; going on with {self._workers} worker{'s' if self._workers > 1 else ''}"
        if self._crashes[broken] >= ATTEMPTS:
            often = f"{ATTEMPTS} times without a new checkpoint"
            self.failures[broken] = f"{how}, {often}{': ' + last if last else ''} (log: {task.log})"
            self.listener.note(f"{broken}: given up: {self.failures[broken]}")
        else:
            self.listener.note(f"{broken}: its worker {how}; starting it again from its last checkpoint")

    def _hand_out(self) -> None:
        """Give free workers what is most urgent."""
        while self._free:
            busy = {name for task, _ in self._running.values() for name in task.segments} | set(self.failures)
            ready = self.state.ready(busy)
            if not ready:
                return
            urgency = priorities(self.state.remaining(), self.speed)
            ready.sort(key=lambda segment: (segment.finish, -urgency[segment.id]))
            slot = self._free.pop(0)
            self._start(self._pack(ready), slot)

    def _pack(self, ready: list[Segment]) -> list[Segment]:
        """Enough short runs for one worker that its start is worth it, fewer towards the end; a trunk goes alone."""
        pack, seconds, left = [ready[0]], self.speed.seconds(ready[0]), self._seconds_left()
        if not ready[0].finish or left is None:  # without a speed nobody can say what is short: one run a worker
            return pack
        start = self.speed.startup_seconds
        limit = max(min(_PACK_STARTS * start, left / 3), min(start, left))
        for segment in ready[1:]:
            seconds += self.speed.seconds(segment)
            if seconds > limit:
                break
            pack.append(segment)
        return pack

    def _start(self, segments: list[Segment], slot: int) -> None:
        jobs = []
        for segment in segments:
            self._segments[segment.id] = segment
            self._marks[segment.id] = self._checkpoints_of(segment.id)
            path = self.folder.job(segment.id)
            job = Job(
                segment=segment,
                checkpoints=str(self.folder.checkpoints),
                result=str(self.folder.record(segment.id)),
                progress=str(self.folder.progress(segment.id)),
                placement=self.placements[slot],
            )
            write_bytes(path, to_json(job))
            jobs.append(path)
            self._progress.begin(segment.id)
        name = f"{segments[0].id}-{secrets.token_hex(4)}"  # no other driver's task is called so
        task = Task(
            name=name,
            segments=tuple(segment.id for segment in segments),
            jobs=tuple(jobs),
            log=self.folder.log(segments[0].id),
        )
        self._running[name] = (task, slot)
        self.executor.start(task)

    def _checkpoints_of(self, segment_id: str) -> frozenset[tuple[str, int, int]]:
        """What a segment has saved; whatever it saves next makes a difference."""
        found = []
        for path in self.folder.checkpoints.glob(f"{segment_id}-*.pt"):
            with suppress(FileNotFoundError):
                facts = path.stat()
                found.append((path.name, facts.st_mtime_ns, facts.st_ino))
        return frozenset(found)

    def _seconds_left(self) -> float | None:
        if not self.speed.known:
            return None
        total = longest = 0.0
        for segment in self.state.remaining():
            seconds = self.speed.seconds(segment)
            progress = self._progress.latest.get(segment.id)
            if progress is not None:
                length = max(1, segment.to_step - segment.from_step)
                seconds *= max(0.0, min(1.0, (segment.to_step - progress.step) / length))
            total += seconds
            longest = max(longest, seconds)
        return max(total / self._workers, longest)


def _last_log_lines(task: Task) -> str:
    try:
        lines = task.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return " | ".join(lines[-_LOG_LINES:])


def _exit_reason(status: int | None) -> str:
    if status is None or status == 0:
        return "ended without a result"
    if status == EXIT_OUT_OF_MEMORY:
        return "ran out of memory"
    return f"was killed by signal {-status}" if status < 0 else f"crashed with status {status}"
