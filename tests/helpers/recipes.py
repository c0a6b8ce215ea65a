"""A small recipe for tests, and what it becomes."""

import msgspec

from sparseplan.calibration.recipe import (
    LoadedRecipe,
    expand,
    parse_recipe,
)
from sparseplan.runs.spec import DataSpec, RunSpec, Split
from sparseplan.shapes.base import Images, Inputs

DATA = DataSpec(
    train=Split(path="t", sha256="a" * 64, tokens=10**9),
    valid=Split(path="v", sha256="b" * 64, tokens=10**6),
    dtype="uint8",
    unit="byte",
)


PLAIN = """\
format: sparseplan-recipe/1
name: plain
description: Two sizes, three sparsities, two lengths.
model:
  context: 32
  head_width: 16
  sizes: {grid: shapes, shapes: [{layers: 1, width: 32}, {layers: 2, width: 32}]}
sparsities: [0, 0.75, "2:4"]
lengths: {steps: [10, 20]}
batch: 4
"""


IMAGES = msgspec.structs.replace(
    DATA, train=Split(path="t", sha256="a" * 64, tokens=60_000), unit="image", max_epochs=1e3
)


def data_of(loaded: LoadedRecipe) -> tuple[DataSpec, Inputs]:
    """Data of the kind that a recipe's family reads."""
    if loaded.recipe.model.reads is Images:
        return IMAGES, Images(side=28, channels=1, classes=10)
    return DATA, 256


def read(text: str = PLAIN) -> LoadedRecipe:
    return parse_recipe(text, source="team.yaml")


def runs_of(text: str = PLAIN) -> list[RunSpec]:
    return expand(read(text), DATA, 256)


def replaced(old: str, new: str) -> str:
    assert old in PLAIN
    return PLAIN.replace(old, new)
