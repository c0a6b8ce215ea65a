"""From a recipe to runs and their segments: what a dry run and a real one have in common."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from sparseplan.calibration.corpus import prepare
from sparseplan.calibration.recipe import LoadedRecipe, Recipe, expand, load_recipe
from sparseplan.calibration.repeats import with_repeats
from sparseplan.errors import RecipeError
from sparseplan.runs.spec import DataSpec, RunSpec
from sparseplan.runs.trunks import SegmentPlan, plan_segments
from sparseplan.shapes.base import Inputs
from sparseplan.sweep.executors import DEFAULT, EXECUTORS, Executor, Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """A recipe with its data, its runs and the plan of their segments."""

    loaded: LoadedRecipe
    data: DataSpec
    data_description: str
    inputs: Inputs
    runs: tuple[RunSpec, ...]
    plan: SegmentPlan


class Changes(NamedTuple):
    """What the command line changes of a recipe's `executor`; None leaves it as it is."""

    kind: str | None = None
    device: str | None = None
    workers: int | None = None


def choose_recipe(name: str | None, changes: Changes) -> tuple[LoadedRecipe, Executor]:
    """The recipe by name or path, or the built-in one sized to the executor's devices, and its executor.

    Raises:
        RecipeError: if there is none, it isn't valid, or the devices can't be known from here.
    """
    if name is None:
        name = _built_in_for(changes)
    loaded = load_recipe(name)
    settings = changed(loaded.recipe.executor, changes)
    recipe = msgspec.structs.replace(loaded.recipe, executor=settings)
    return replace(loaded, recipe=recipe), executor_of(recipe)


def executor_of(recipe: Recipe) -> Executor:
    """The executor that a recipe asks for."""
    return EXECUTORS[kind_of(recipe.executor)](recipe.executor)


def kind_of(settings: Settings) -> str:
    """The name of the executor that some settings are for."""
    return str(msgspec.to_builtins(settings)["kind"])


def changed(settings: Settings, changes: Changes) -> Settings:
    """Settings with the command line's changes; another kind keeps what all executors have in common.

    Raises:
        RecipeError: for a value out of its range.
    """
    own = msgspec.to_builtins(settings)
    if changes.kind is not None and changes.kind != own["kind"]:
        own = {key: own[key] for key in Settings.__struct_fields__} | {"kind": changes.kind}
    own |= {key: value for key, value in changes._asdict().items() if value is not None}
    try:
        return msgspec.convert(own, EXECUTORS[own["kind"]].settings_type)
    except msgspec.ValidationError as problem:
        raise RecipeError(f"the executor's settings: {problem}.") from None


def _built_in_for(changes: Changes) -> str:
    """The built-in recipe sized to what the workers of an executor find."""
    executor = EXECUTORS[changes.kind or DEFAULT]
    if not executor.can_probe:
        raise RecipeError(
            f"the devices of {changes.kind} workers can't be seen from here: name a recipe that is sized to them."
        )
    settings = changed(executor.settings_type(), changes)
    on_gpu = any(each.device.startswith("cuda") for each in executor(settings).placements())
    return "gpt-stdlib-gpu" if on_gpu else "gpt-stdlib-cpu"


def set_up(loaded: LoadedRecipe, corpus_folder: Path) -> Setup:
    """Prepare a recipe's data and plan its runs.

    Raises:
        CorpusError: if the data can't be read.
        RecipeError: if the grid can't be trained, or a cut of the data is larger than they are.
    """
    recipe = loaded.recipe
    data, inputs, description = prepare(recipe.data, corpus_folder, max_epochs=recipe.max_epochs)
    runs = with_repeats(loaded, expand(loaded, data, inputs), inputs, corpus_folder)
    return Setup(
        loaded=loaded,
        data=data,
        data_description=description,
        inputs=inputs,
        runs=tuple(runs),
        plan=plan_segments(runs, share=recipe.share_trunks, keep_dense=recipe.keep_dense_weights),
    )
