"""The dense weights that a run may start from, in place of fresh ones: a pretrained start.

Only the weights are taken: the optimizer's moments start at zero, the learning rate rises again, and steps, D and the
strategy's schedule count from there. So D is what the run itself sees; what the dense model had seen before it is kept
beside it, and so are the FLOPs of both.

Source: Frantar et al. 2023, arXiv:2309.08520, pruning pretrained models.
"""

import hashlib
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from sparseplan.common.files import open_regular


class DenseRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="dense-run"):
    """A dense run of `steps` updates, trained to its end like the run that starts from it: size, seed, batch, rates.

    The new run goes on in the data where it ended.
    """

    steps: Annotated[int, Meta(ge=1, description="Optimizer updates of the dense run.")]


class Checkpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="checkpoint"):
    """Dense weights from a checkpoint of ours, or from a model in Hugging Face's format: a folder, or its one file."""

    path: Annotated[str, Meta(description="The file or folder; it isn't part of a run's identity.")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="Hash of all its files, checked at the start.")]
    data_seen: Annotated[float, Meta(gt=0, description="Data that the weights were trained on, in D's unit.")]


Start = DenseRun | Checkpoint
"""Where the weights come from, told apart by the key `kind`."""


WEIGHTS, CONFIG, INDEX = ".safetensors", "config.json", "model.safetensors.index.json"
"""Of a folder of weights in Hugging Face's format; larger models are cut into several files, which an index lists."""


def files_of(path: Path) -> list[Path]:
    """The files that a start's path means: one of ours, or a folder or file of safetensors with its config."""
    if path.suffix == WEIGHTS:
        return [path.with_name(CONFIG), path]
    if path.is_dir():
        index = [path / INDEX] if (path / INDEX).exists() else []
        return [path / CONFIG, *index, *sorted(path.glob(f"*{WEIGHTS}"))]
    return [path]


def digest_of(path: Path) -> str:
    """The SHA-256 of a start's file, or of those of all its files.

    Raises:
        OSError: if one can't be read.
    """
    digests = []
    for each in files_of(path):
        with open_regular(each) as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
