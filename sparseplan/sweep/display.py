"""How a sweep is shown: bars with the time left on a terminal, plain lines where piped."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from sparseplan.common.console import say
from sparseplan.common.units import format_count, format_duration, format_sparsity
from sparseplan.runs.job import Record, RunRecord, Segment
from sparseplan.runs.spec import RunSpec
from sparseplan.sweep.driver import Listener, Snapshot


def describe(run: RunSpec) -> str:
    """A run in a few words."""
    size = f"{format_count(run.shape.dense_params)} dense"
    pruning = run.pruning
    before = "" if run.dense_data_seen is None else f" after {format_count(run.dense_data_seen)} dense"
    data = f"{format_count(run.data_seen)} {run.data.unit}s{before}"
    if pruning.sparsity == 0:
        return f"{size}, S = 0, {data}"
    pattern = "" if pruning.parsed.group is None else f" ({pruning.pattern})"
    return f"{size}, S = {format_sparsity(pruning.sparsity)}{pattern}, {data}"


def describe_segment(segment: Segment) -> str:
    """A segment in a few words."""
    if segment.finish:
        return describe(segment.run)
    if segment.id == segment.run.final_id:
        return f"{describe(segment.run)}, dense run that others start from"
    return f"{format_count(segment.run.shape.dense_params)} dense, trunk that runs share"


@contextmanager
def open_display(console: Console, runs: dict[str, RunSpec]) -> Iterator[Listener]:
    """Show a sweep on a console for as long as the context lasts."""
    if not console.is_terminal:
        yield PlainDisplay(console, runs)
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
    ) as progress:
        yield BarDisplay(progress, runs)


def _outcome(record: Record, runs: dict[str, RunSpec]) -> str:
    if not isinstance(record, RunRecord):
        end = f"diverged: {record.reason}" if record.diverged else "done"
        return f"{record.trunk_id}: shared by its branches, {end}"
    what = describe(runs[record.run_id]) if record.run_id in runs else record.run_id
    return f"{what}: diverged: {record.reason}" if record.loss is None else f"{what}: loss {record.loss:.4f}"


def _left(snapshot: Snapshot) -> str:
    return "" if snapshot.seconds_left is None else f"about {format_duration(snapshot.seconds_left)} left"


def _left_after(snapshot: Snapshot) -> str:
    left = _left(snapshot)
    return f"; {left}" if left else ""


def _place(snapshot: Snapshot) -> str:
    return f"[{snapshot.finished}/{snapshot.runs}]"


class PlainDisplay:
    """One line per finished run, and per trunk at its start and end: runs wait for those."""

    def __init__(self, console: Console, runs: dict[str, RunSpec]) -> None:
        self._console, self._runs = console, runs
        self._trunks: dict[str, Segment] = {}

    def note(self, text: str) -> None:
        """Something worth a line."""
        self._say(text)

    def finished(self, record: Record, snapshot: Snapshot) -> None:
        """A run or trunk has ended."""
        what = _outcome(record, self._runs)
        if not isinstance(record, RunRecord) and record.trunk_id in self._trunks:
            what = f"{describe_segment(self._trunks[record.trunk_id])}: {'diverged' if record.diverged else 'done'}"
        self._say(f"{_place(snapshot)} {what}{_left_after(snapshot)}")

    def update(self, snapshot: Snapshot) -> None:
        """Say which trunks have begun; a pipe wants no bars."""
        for work in snapshot.at_work:
            if not work.segment.finish and work.segment.id not in self._trunks:
                self._trunks[work.segment.id] = work.segment
                what = f"{describe_segment(work.segment)}: training, {work.segment.to_step} steps"
                self._say(f"{_place(snapshot)} {what}{_left_after(snapshot)}")

    def _say(self, line: str) -> None:
        say(self._console, line)


class BarDisplay:
    """A bar for the sweep and one for every running training, redrawn in place; finished runs scroll by above."""

    def __init__(self, progress: Progress, runs: dict[str, RunSpec]) -> None:
        self._progress, self._runs = progress, runs
        self._sweep = progress.add_task("sweep", total=None, note="")
        self._bars: dict[str, TaskID] = {}
        self._drawn = 0.0

    def note(self, text: str) -> None:
        """Something worth a line."""
        say(self._progress.console, text, style="yellow")

    def finished(self, record: Record, snapshot: Snapshot) -> None:
        """A run or trunk has ended."""
        if isinstance(record, RunRecord):
            say(self._progress.console, f"{_place(snapshot)} {_outcome(record, self._runs)}")

    def update(self, snapshot: Snapshot) -> None:
        """Move the bars."""
        now = time.monotonic()
        if now - self._drawn < 0.2:
            return
        self._drawn = now
        trunks = sum(not work.segment.finish for work in snapshot.at_work)
        shared = f", {trunks} trunk{'s' if trunks > 1 else ''} at work" if trunks else ""
        done = f"{snapshot.finished}/{snapshot.runs} runs{shared}, {_left(snapshot)}".removesuffix(", ")
        if snapshot.total_seconds and snapshot.seconds_left is not None:
            completed = max(0.0, snapshot.total_seconds - snapshot.seconds_left)
            self._progress.update(self._sweep, total=snapshot.total_seconds, completed=completed, note=done)
        else:
            self._progress.update(self._sweep, total=snapshot.runs, completed=snapshot.finished, note=done)
        present = {work.segment.id for work in snapshot.at_work}
        for name in [name for name in self._bars if name not in present]:
            self._progress.remove_task(self._bars.pop(name))
        for work in snapshot.at_work:
            segment, report = work.segment, work.progress
            if segment.id not in self._bars:
                label = "  " + describe_segment(segment)
                self._bars[segment.id] = self._progress.add_task(label, total=segment.to_step, note="")
            if report is not None:
                speed = f", {format_count(report.tokens_per_second)}/s" if report.tokens_per_second else ""
                loss = f"loss {report.loss:.3f}{speed}" if report.loss is not None else ""
                self._progress.update(self._bars[segment.id], completed=report.step, note=loss)
