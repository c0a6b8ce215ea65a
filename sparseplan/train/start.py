"""Put the dense weights in place that a run starts from: those of a dense run, or those of a file.

A file is a checkpoint of ours, which is read without pickle's code and checked against its checksums, or safetensors of
a model whose blocks ours can be (`huggingface`).
"""

from pathlib import Path

from torch import Tensor

from sparseplan.common.files import set_aside
from sparseplan.errors import BrokenFileError, SparseplanError
from sparseplan.runs.job import Needed, kept_checkpoint
from sparseplan.runs.spec import RunSpec
from sparseplan.runs.start import Checkpoint, digest_of, files_of
from sparseplan.shapes.families import Shape
from sparseplan.train import checkpoint
from sparseplan.train.huggingface import read_huggingface
from sparseplan.train.models.base import Model


def load_start(model: Model, run: RunSpec, needed: Needed | None, folder: Path) -> None:
    """Give a fresh model the weights that its run starts from; fresh ones stay where it starts from none.

    Args:
        model: The model.
        run: Its run.
        needed: The last checkpoint of the dense run that it starts from; None where there is none.
        folder: Of checkpoints.

    Raises:
        BrokenFileError: if that checkpoint is broken: it has been set aside, and the dense run has to be trained again.
        SparseplanError: if weights can't be read, have changed, or are of another model.
    """
    if isinstance(run.start, Checkpoint):
        _load(model, _weights_of(run.start, run.shape), run.start.path)
    elif needed is not None:
        path = kept_checkpoint(folder, needed.segment, needed.step)
        try:
            content = checkpoint.read(path, segment_id=needed.segment, step=needed.step)
        except BrokenFileError as problem:
            raise BrokenFileError(f"{problem} It is now {set_aside(path).name}.") from problem
        _load(model, content["model"], str(path))


def _weights_of(start: Checkpoint, shape: Shape) -> dict[str, Tensor]:
    path = Path(start.path)
    try:
        found = digest_of(path)
    except OSError as problem:
        raise SparseplanError(f"{path}: can't read these weights: {problem.strerror or problem}.") from None
    if found != start.sha256:
        raise SparseplanError(
            f"{path}: expected weights with sha256 {start.sha256[:12]}..., found {found[:12]}...; "
            "the weights changed since this run was specified."
        )
    if len(files_of(path)) > 1:
        return read_huggingface(path, shape)
    weights: dict[str, Tensor] = checkpoint.read(path)["model"]
    return weights


def _load(model: Model, weights: dict[str, Tensor], source: str) -> None:
    """Take weights of the same names and shapes, all of them.

    Raises:
        SparseplanError: naming the first that differ.
    """
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if wrong := [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]:
        shown = "; ".join(f"{name} {_shape(wanted, name)}, found {_shape(found, name)}" for name in wrong[:3])
        more = f"; {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise SparseplanError(f"{source}: expected the weights of this run's model: {shown}{more}.")
    model.load_state_dict(weights)


def _shape(shapes: dict[str, tuple[int, ...]], name: str) -> str:
    return " x ".join(map(str, shapes[name])) if name in shapes else "none"
