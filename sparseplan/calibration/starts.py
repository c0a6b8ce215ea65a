"""What the runs of a recipe start from, where not from fresh weights: dense runs of its own, or a file of weights."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from sparseplan.calibration.lengths import Lengths, Positive
from sparseplan.runs.start import Checkpoint, DenseRun, Start, digest_of
from sparseplan.shapes.families import Shape


class FromDenseRuns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="dense-run"):
    """Train dense runs of every size and seed to their end first; every run starts from those of its own."""

    lengths: Annotated[Lengths, Meta(description="How long the dense runs are trained.")]


class FromFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="checkpoint"):
    """Take dense weights from a file; the grid then has one dense size, that of the weights."""

    path: Annotated[
        str,
        Meta(
            description="A checkpoint of ours, or a folder or file of safetensors with its config.json, as Hugging "
            "Face's Llama, GPT-2 and T5 have; relative to where the command runs."
        ),
    ]
    data_seen: Annotated[
        Positive, Meta(description="Tokens, bytes or images that the weights were trained on; no part of D.")
    ]


RecipeStart = FromDenseRuns | FromFile


def file_of(start: FromFile) -> Checkpoint:
    """The file, hashed.

    Raises:
        OSError: if it can't be read.
    """
    path = Path(start.path)
    return Checkpoint(path=str(path.absolute()), sha256=digest_of(path), data_seen=start.data_seen)


def starts_of(asked: RecipeStart | None, file: Checkpoint | None, shape: Shape, batch: int) -> tuple[Start | None, ...]:
    """Where runs of a shape start, one run for each.

    Raises:
        ValueError: if a dense run would be longer than any training.
    """
    if isinstance(asked, FromDenseRuns):
        return tuple(DenseRun(steps=steps) for steps in asked.lengths.in_steps(shape, batch))
    return (file,)
