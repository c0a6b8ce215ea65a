"""What is finished and what can start, read off the files: a driver that starts again knows all that the last one did.

A run is finished when its record is there. A trunk is needed only while an unfinished run waits for a checkpoint that
is not there, and only as far as that; a trunk that diverged takes the runs beyond it along. A dense run that others
start from counts as a trunk here; it may itself wait for one.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from sparseplan.common.files import set_aside, write_bytes
from sparseplan.errors import BrokenFileError, SparseplanError, SweepError
from sparseplan.runs.job import (
    Record,
    RunRecord,
    Segment,
    TrunkRecord,
    diverged_record,
    kept_checkpoint,
    read_result,
    rolling_checkpoint,
    to_json,
)
from sparseplan.sweep.folder import Folder

_READ_ATTEMPTS = 4
_READ_PAUSE_SECONDS = 0.25


def _read_patiently(path: Path) -> Record:
    """Read a record; a network file system may fail for a moment.

    Raises:
        BrokenFileError: if it was read and is broken.
        SweepError: if it can't be read.
    """
    for attempt in range(1, _READ_ATTEMPTS + 1):
        try:
            return read_result(path)
        except BrokenFileError:
            raise
        except SparseplanError as problem:
            if attempt == _READ_ATTEMPTS:
                what = "It may be a finished run: make it readable, or move it away"
                raise SweepError(f"{problem} {what}.") from None
        time.sleep(_READ_PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _require_name(record: Record, name: str, path: Path) -> None:
    """A record names files that are removed: it must be of the segment whose file it is in.

    Raises:
        BrokenFileError: if it is of another.
    """
    found = record.trunk_id if isinstance(record, TrunkRecord) else record.run_id
    if found != name:
        raise BrokenFileError(f"{path}: expected the record of {name}, found that of {found}.")


class SweepState:
    """The state of some segments in a folder.

    Args:
        folder: Where their files are.
        segments: All of them, parents before children.
    """

    def __init__(self, folder: Folder, segments: Sequence[Segment]) -> None:
        self._folder = folder
        self._trunks = {segment.id: segment for segment in segments if not segment.finish}
        self._children: dict[str, list[Segment]] = {name: [] for name in self._trunks}
        for segment in segments:
            if segment.needs is not None:
                self._children[segment.needs.segment].append(segment)
        self._runs = {segment.id: segment for segment in segments if segment.finish}
        self._trunk_records: dict[str, TrunkRecord] = {}
        self.finished: dict[str, RunRecord] = {}
        self.set_aside: list[Path] = []
        """Broken records, under their new names."""
        self.refresh()

    @property
    def trunk_records(self) -> dict[str, TrunkRecord]:
        """Records of the trunks that have ended."""
        return dict(self._trunk_records)

    @property
    def unfinished(self) -> list[Segment]:
        """Runs without a record."""
        return [run for name, run in self._runs.items() if name not in self.finished]

    def refresh(self) -> list[Record]:
        """Read what is new; returns the records that weren't there at the last look.

        A record that was read and is broken (a machine that lost power can leave one) is set aside: its segment is
        trained again.

        Raises:
            SweepError: if a record is there and can't be read, again and again: it may well be whole.
        """
        fresh: list[Record] = []
        for name in [*self._trunks, *self._runs]:
            if name in self.finished or name in self._trunk_records:
                continue
            path = self._folder.record(name)
            if not path.exists():
                continue
            try:
                record = _read_patiently(path)
                _require_name(record, name, path)
            except BrokenFileError:
                self.set_aside.append(set_aside(path))
                continue
            if isinstance(record, TrunkRecord):
                self._trunk_records[name] = record
            else:
                self.finished[name] = record
            fresh.append(record)
        fresh.extend(self._spread_divergence())
        for record in fresh:
            self._clear_checkpoints(record)
        return fresh

    def ready(self, busy: Iterable[str]) -> list[Segment]:
        """Segments that can start now, trunks first; `busy` are at work or given up."""
        busy = set(busy)
        trunks: dict[str, Segment] = {}
        runs: list[Segment] = []
        for run in self.unfinished:
            first = self._first_of(run)
            if first.id in busy:
                continue
            if first.finish:
                runs.append(first)
            else:
                trunks[first.id] = first
        for name in trunks:  # its record, if there is one, is void: a checkpoint that it left is gone
            if self._trunk_records.pop(name, None) is not None:
                self._folder.record(name).unlink(missing_ok=True)
        return [*(self._as_far_as_needed(trunk) for trunk in trunks.values()), *runs]

    def remaining(self) -> list[Segment]:
        """Everything that is still to be trained, trunks only as far as they are needed."""
        waited = [trunk for trunk in self._trunks.values() if self._wanted(trunk)]
        return [*(self._as_far_as_needed(trunk) for trunk in waited), *self.unfinished]

    def _checkpoint_is_there(self, segment: Segment) -> bool:
        needed = segment.needs
        return needed is None or kept_checkpoint(self._folder.checkpoints, needed.segment, needed.step).exists()

    def _first_of(self, segment: Segment) -> Segment:
        """The segment that can start now, of those that must be trained for this one."""
        while segment.needs is not None and not self._checkpoint_is_there(segment):
            segment = self._trunks[segment.needs.segment]
        return segment

    def _wanted(self, segment: Segment) -> bool:
        """Whether a run has no record yet, or anyone waits for a trunk."""
        if segment.finish:
            return segment.id not in self.finished
        return any(self._wanted(child) and not self._checkpoint_is_there(child) for child in self._children[segment.id])

    def _as_far_as_needed(self, trunk: Segment) -> Segment:
        """The trunk with only the checkpoints that unfinished runs wait for."""
        keep = tuple(sorted({step for child, step in self._waiting(trunk.id) if self._wanted(child)}))
        return msgspec.structs.replace(trunk, keep=keep, to_step=keep[-1])

    def _waiting(self, trunk: str) -> Iterator[tuple[Segment, int]]:
        """The segments that start from a trunk, each with the step at which it does."""
        return ((child, child.needs.step) for child in self._children[trunk] if child.needs is not None)

    def _runs_beyond(self, trunk: str) -> Iterator[Segment]:
        """Unfinished runs that can't start, since they need a checkpoint that this trunk has not left."""
        for child in self._children[trunk]:
            if self._checkpoint_is_there(child):
                continue
            if not child.finish:
                yield from self._runs_beyond(child.id)
            elif child.id not in self.finished:
                yield child

    def _spread_divergence(self) -> list[Record]:
        """Record runs as diverged whose trunk did before they branched off."""
        fresh: list[Record] = []
        for name, trunk in self._trunk_records.items():
            if not trunk.diverged:
                continue
            what = "its trunk" if trunk.trunk_id.startswith("trunk-") else "the dense run that it starts from"
            for child in list(self._runs_beyond(name)):
                reason = f"{what} diverged at step {trunk.step}: {trunk.reason}"
                record = diverged_record(child.run, reason=reason, device=trunk.device)
                record = msgspec.structs.replace(record, trunk=name, trunk_step=child.from_step)
                write_bytes(self._folder.record(child.id), to_json(record), durable=True)
                self.finished[child.id] = record
                fresh.append(record)
        return fresh

    def _clear_checkpoints(self, record: Record) -> None:
        """Remove checkpoints that nobody will need again: disks fill."""
        folder = self._folder.checkpoints
        if isinstance(record, RunRecord):
            rolling_checkpoint(folder, record.run_id).unlink(missing_ok=True)
        for name in self._children:
            left = {step for child, step in self._waiting(name) if self._wanted(child)}
            if name in self._trunk_records or not left:
                rolling_checkpoint(folder, name).unlink(missing_ok=True)
                for step in {step for _, step in self._waiting(name)} - left:
                    kept_checkpoint(folder, name, step).unlink(missing_ok=True)
