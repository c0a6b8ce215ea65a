"""Checkpoints: the whole state of a training at a step, written whole or not at all.

Nothing draws random numbers after initialisation and the order of the data is a hash, so weights, optimizer state and
masks are the whole state.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from sparseplan.common.files import replacing
from sparseplan.errors import SparseplanError
from sparseplan.runs.job import Segment, kept_checkpoint, rolling_checkpoint
from sparseplan.train.models.gpt import Gpt
from sparseplan.train.pruning.base import Pruner

FORMAT = "sparseplan-checkpoint/1"


class State(NamedTuple):
    """What a training changes as it goes."""

    model: Gpt
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
    with replacing(path) as partial:
        try:
            torch.save(content, partial)
        except RuntimeError as problem:  # torch's writer reports a full disk so
            raise OSError(str(problem).splitlines()[0]) from problem


def read(path: Path, *, segment_id: str, step: int | None = None) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        SparseplanError: if it can't be read, or belongs to another segment or step.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # torch raises whatever the archive's breakage happens to cause
        raise SparseplanError(f"{path}: can't read this checkpoint: {str(problem).splitlines()[0]}") from problem
    expected = (FORMAT, segment_id, content.get("step") if step is None else step)
    found = (content.get("format"), content.get("segment"), content.get("step"))
    if found != expected:
        raise SparseplanError(f"{path}: expected the checkpoint {expected}, found {found}.")
    return content


def apply(content: dict[str, Any], state: State) -> None:
    """Put a checkpoint's state in place."""
    state.model.load_state_dict(content["model"])
    settings = [{key: group[key] for key in group if key != "params"} for group in state.optimizer.param_groups]
    state.optimizer.load_state_dict(content["optimizer"])
    for group, ours in zip(state.optimizer.param_groups, settings, strict=True):
        group.update(ours)  # settings are this run's and this device's own; only moments come from the file
    state.pruner.load(content["masks"])


def resume(folder: Path, state: State, segment: Segment) -> tuple[int, float, str | None]:
    """Bring a segment's training to where it can go on.

    That is its own rolling checkpoint or, for a trunk, the furthest one it has kept, as long as every checkpoint that
    it should have left before is there; else its parent's checkpoint, else the start.

    Returns:
        The step, the seconds already spent, and a note where a broken checkpoint was passed over.

    Raises:
        SparseplanError: if the parent's checkpoint is missing or broken.
    """
    rolling = rolling_checkpoint(folder, segment.id)
    note = None
    missing = [step for step in segment.keep if not kept_checkpoint(folder, segment.id, step).exists()]
    limit = missing[0] if missing else segment.run.steps + 1
    kept = [kept_checkpoint(folder, segment.id, step) for step in reversed(segment.keep) if step < limit]
    for path in [rolling, *kept]:
        if path.exists():
            try:
                content = read(path, segment_id=segment.id)
            except SparseplanError as problem:
                note = f"passed over a checkpoint: {problem}"
                continue
            if content["step"] < limit:
                apply(content, state)
                return content["step"], content["seconds"], note
    if segment.parent is not None:
        parent = kept_checkpoint(folder, segment.parent, segment.from_step)
        if segment.parent != segment.run.trunk_id:
            raise SparseplanError(f"{parent}: expected a branch of {segment.run.trunk_id}, found {segment.parent}.")
        apply(read(parent, segment_id=segment.parent, step=segment.from_step), state)
        return segment.from_step, 0.0, note
    return 0, 0.0, note
