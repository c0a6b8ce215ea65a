"""Checkpoints: the whole state of a training at a step, written whole or not at all.

Nothing draws random numbers after initialisation and the order of the data is a hash, so weights, optimizer state and
masks are the whole state.
"""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sparseplan.common.files import open_regular, replacing, set_aside
from sparseplan.errors import BrokenFileError, SparseplanError
from sparseplan.runs.job import Segment, kept_checkpoint, rolling_checkpoint
from sparseplan.train.models.base import Model
from sparseplan.train.pruning.base import Pruner

FORMAT = "sparseplan-checkpoint/1"


class State(NamedTuple):
    """What a training changes as it goes."""

    model: Model
    optimizer: torch.optim.Optimizer
    pruner: Pruner


def save(path: Path, state: State, *, segment: Segment, step: int, seconds: float) -> None:
    """Write a checkpoint.

    Args:
        path: The file.
        state: The training.
        segment: Whose it is.
        step: Updates made since the start of the run.
        seconds: Wall time that the segment has taken so far.

    Raises:
        SparseplanError: if it can't be written, as on a full disk.
    """
    content = {
        "format": FORMAT,
        "segment": segment.id,
        "step": step,
        "seconds": seconds,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "masks": state.pruner.state(),
    }
    with replacing(path, durable=True) as partial:
        try:
            torch.save(content, partial)
        except RuntimeError as problem:  # torch's writer reports a full disk so
            raise OSError(str(problem).splitlines()[0]) from problem


def read(path: Path, *, segment_id: str | None = None, step: int | None = None) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        BrokenFileError: if it was read and is broken, by its checksums for one, or is of another segment or step than
            those given.
        SparseplanError: if it can't be read.
    """
    try:
        with open_regular(path) as file:
            with zipfile.ZipFile(file) as archive:  # torch's format; torch itself passes over the checksums
                if (damaged := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"a wrong checksum of {damaged}")
            file.seek(0)
            content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as problem:
        raise SparseplanError(f"{path}: can't read this checkpoint: {problem.strerror or problem}.") from problem
    except MemoryError:
        raise
    except Exception as problem:  # torch and zipfile raise whatever the archive's breakage happens to cause
        if "can't allocate memory" in str(problem):  # how torch's CPU allocator fails: no fault of the file
            raise
        what = str(problem).partition("\n")[0] or type(problem).__name__
        raise BrokenFileError(f"{path}: expected a whole checkpoint, found a broken one: {what}.") from problem
    if not isinstance(content, dict):
        raise BrokenFileError(f"{path}: expected a checkpoint of sparseplan, found {type(content).__name__}.")
    found = (content.get("format"), content.get("segment"), content.get("step"))
    expected = (FORMAT, found[1] if segment_id is None else segment_id, found[2] if step is None else step)
    if found != expected:
        raise BrokenFileError(f"{path}: expected the checkpoint {expected}, found {found}.")
    return content


def apply(content: dict[str, Any], state: State, *, pruned: bool = True) -> None:
    """Put a checkpoint's state in place; that of a prefix that nothing has pruned says nothing to a pruner."""
    state.model.load_state_dict(content["model"])
    settings = [{key: group[key] for key in group if key != "params"} for group in state.optimizer.param_groups]
    state.optimizer.load_state_dict(content["optimizer"])
    for group, ours in zip(state.optimizer.param_groups, settings, strict=True):
        group.update(ours)  # settings are this run's and this device's own; only moments come from the file
    if pruned:
        state.pruner.load(content["masks"])


def resume(folder: Path, state: State, segment: Segment) -> tuple[int, float, str | None]:
    """Bring a segment's training to where it can go on.

    That is its own rolling checkpoint or, for a trunk, the furthest one it has kept, as long as every checkpoint that
    it should have left before is there; else its parent's checkpoint, else the start. Broken ones are set aside.

    Returns:
        The step, the seconds already spent, and a note where a broken checkpoint was passed over.

    Raises:
        BrokenFileError: if the parent's checkpoint is broken; the parent has to be trained again, as far as that.
        SparseplanError: if the parent's checkpoint is missing, or one can't be read.
    """
    rolling = rolling_checkpoint(folder, segment.id)
    note = None
    for path in [rolling, *(kept_checkpoint(folder, segment.id, step) for step in reversed(segment.keep))]:
        # a start beyond a checkpoint that is missing, or was set aside just now, would never make it
        missing = [step for step in segment.keep if not kept_checkpoint(folder, segment.id, step).exists()]
        limit = missing[0] if missing else segment.run.updates + 1
        if path.exists():
            try:
                content = read(path, segment_id=segment.id)
            except BrokenFileError as problem:
                note = f"passed over a checkpoint: {problem} It is now {set_aside(path).name}."
                continue
            if content["step"] < limit:
                apply(content, state)
                return content["step"], content["seconds"], note
    if segment.parent is not None:
        parent = kept_checkpoint(folder, segment.parent, segment.from_step)
        if segment.parent not in (segment.run.trunk_id, segment.run.final_id):
            raise SparseplanError(f"{parent}: expected a branch of {segment.run.trunk_id}, found {segment.parent}.")
        try:
            content = read(parent, segment_id=segment.parent, step=segment.from_step)
        except BrokenFileError as problem:
            raise BrokenFileError(f"{problem} It is now {set_aside(parent).name}.") from problem
        apply(content, state, pruned=segment.run.pruning.from_start)
        return segment.from_step, 0.0, note
    return 0, 0.0, note
