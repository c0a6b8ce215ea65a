"""What a recipe could train beyond its grid, and the recipe that trains it too."""

import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import yaml
from msgspec import Struct

from sparseplan.calibration.recipe import LoadedRecipe, Recipe, SingleRun, parse_recipe, shape_of_size
from sparseplan.calibration.setup import Setup
from sparseplan.common.units import format_count
from sparseplan.errors import PlanError, RecipeError
from sparseplan.plan.candidates import STEP, Span, Trainable, levels
from sparseplan.plan.next_runs import NextRun
from sparseplan.shapes.sizes import DenseGrid, Size
from sparseplan.sparsity.pattern import UNSTRUCTURED

_BLOCK = re.compile(r"^also:.*?(?=^[^\s#\]\-]|\Z)", re.MULTILINE | re.DOTALL)
_NOTE = "# Chosen by `sparseplan next`."


class Reach(Struct, frozen=True, kw_only=True):
    """Sizes and lengths that a recipe's models can have.

    Attributes:
        sizes: By dense parameters.
        tokens_per_step: Data that one update sees.
        longest: Most data that a run may see, by the recipe's data and `max_epochs`.
        trained: Runs of the grid, rows of (S, dense parameters, D).
    """

    sizes: dict[int, Size]
    tokens_per_step: int
    longest: float
    trained: tuple[tuple[float, int, int], ...]

    def trainable(self, data: Span) -> Trainable:
        """Its sizes, and lengths by factors of two in whole updates.

        Raises:
            PlanError: if the recipe's data allows for none.
        """
        if data.low > self.longest:
            raise PlanError(
                f"`data`: the recipe's runs see at most {format_count(self.longest)}, by its data and max_epochs; "
                f"found {format_count(data.low)} and more."
            )
        doublings = math.floor(math.log2(min(data.high, self.longest) / data.low) + 1e-9)
        steps = {max(1, math.floor(data.low * 2**k / self.tokens_per_step + 1e-9)) for k in range(doublings + 1)}
        return Trainable(
            dense_params=np.array(sorted(self.sizes), dtype=np.float64),
            data_seen=np.array([float(each * self.tokens_per_step) for each in sorted(steps)]),
            trained=np.array(self.trained, dtype=np.float64),
        )

    def shaped(self, run: NextRun) -> NextRun:
        """A run of this reach with its shape and its updates."""
        size, steps = self.sizes[round(run.dense_params)], round(run.data_seen / self.tokens_per_step)
        return msgspec.structs.replace(run, layers=size.layers, width=size.width, steps=steps)


def reach(setup: Setup, dense: Span, *, step: float = STEP) -> Reach:
    """The sizes of a recipe's grid, and others of its kind by factors of `step` within a span of dense parameters.

    They have the grid's blocks where it has one number of these, else its middle ratio of width to blocks; widths are
    multiples of what all of the grid's widths are multiples of.
    """
    model = setup.loaded.recipe.model
    shapes = {(run.shape.layers, run.shape.width): run.shape for run in setup.runs}
    layers = {one for one, _ in shapes}
    ratio = float(np.median([width / one for one, width in shapes]))
    kind = DenseGrid(
        params=(1.0,),
        layers=next(iter(layers)) if len(layers) == 1 else None,
        width_per_layer=None if len(layers) == 1 else ratio,
        width_step=math.gcd(*(width for _, width in shapes)),
    )

    def params_of(blocks: int, width: int) -> int:
        return shape_of_size(model, Size(layers=blocks, width=width), setup.inputs).dense_params

    found = {shape.dense_params: Size(layers=one, width=width) for (one, width), shape in shapes.items()}
    for wanted in levels(dense, step).tolist():
        size = kind.nearest(wanted, params_of)
        found.setdefault(params_of(size.layers, size.width), size)
    return Reach(
        sizes=dict(sorted(found.items())),
        tokens_per_step=setup.runs[0].tokens_per_step,
        longest=setup.data.train.tokens * setup.data.max_epochs,
        trained=tuple((run.pruning.sparsity, run.shape.dense_params, run.data_seen) for run in setup.runs),
    )


def with_runs(loaded: LoadedRecipe, runs: Sequence[NextRun]) -> str:
    """The text of a recipe that trains some runs of its reach too; its comments stay."""
    wanted = (*loaded.recipe.also, *(_single_run(run) for run in runs))
    block = "\n".join(["also:", *(f"  - {_line(run)}" for run in wanted)]) + "\n"
    before = _BLOCK.sub("", loaded.text, count=1) if loaded.recipe.also else loaded.text
    text = f"{before.rstrip()}\n{'' if _NOTE in before else _NOTE + chr(10)}{block}"
    expected = msgspec.structs.replace(loaded.recipe, also=wanted)
    if _reads_as(text, expected, loaded.document.source):
        return text
    data = loaded.document.data | {"also": [_facts(run) for run in wanted]}  # written in a way that can't be added to
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def _single_run(run: NextRun) -> SingleRun:
    """How a recipe asks for a run."""
    if run.layers is None or run.width is None or run.steps is None:
        raise ValueError("expected a run with a shape and its updates")
    entry = run.sparsity if run.pattern == str(UNSTRUCTURED) else run.pattern
    return SingleRun(layers=run.layers, width=run.width, sparsity=entry, steps=run.steps)


def _reads_as(text: str, expected: Recipe, source: str) -> bool:
    try:
        found = parse_recipe(text, source=source).recipe
    except RecipeError:
        return False
    return bool(msgspec.to_builtins(found) == msgspec.to_builtins(expected))


def _facts(run: SingleRun) -> dict[str, Any]:
    return dict(msgspec.to_builtins(run))


def _line(run: SingleRun) -> str:
    return str(yaml.safe_dump(_facts(run), default_flow_style=True, sort_keys=False, width=math.inf)).strip()
