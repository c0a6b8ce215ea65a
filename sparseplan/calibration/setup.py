"""From a recipe to runs and their segments: what a dry run and a real one have in common."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from sparseplan.calibration.corpus import TextCorpus, prepare, read_manifest
from sparseplan.calibration.recipe import Execution, LoadedRecipe, expand, load_recipe
from sparseplan.errors import RecipeError
from sparseplan.runs.job import Placement
from sparseplan.runs.spec import DataSpec, RunSpec
from sparseplan.runs.trunks import SegmentPlan, plan_segments
from sparseplan.sweep.machine import Machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """A recipe with its data, its runs and the plan of their segments."""

    loaded: LoadedRecipe
    data: DataSpec
    data_description: str
    runs: tuple[RunSpec, ...]
    plan: SegmentPlan


def built_in_for(machine: Machine, device: str) -> str:
    """The built-in recipe sized to a machine."""
    return "gpt-stdlib-gpu" if machine.gpus and device != "cpu" else "gpt-stdlib-cpu"


def choose_recipe(name: str | None, machine: Machine | None, execution: dict[str, object]) -> LoadedRecipe:
    """The recipe by name or path, or the built-in one for the machine, with the command line's word on execution.

    Raises:
        RecipeError: if there is none, or it isn't valid.
    """
    if name is None:
        if machine is None:
            raise RecipeError("SLURM jobs need a recipe that is sized to them: name one.")
        name = built_in_for(machine, str(execution.get("device") or "auto"))
    loaded = load_recipe(name)
    changes = {key: value for key, value in execution.items() if value is not None}
    executor = msgspec.structs.replace(loaded.recipe.executor, **changes)
    recipe = msgspec.structs.replace(loaded.recipe, executor=msgspec.convert(msgspec.to_builtins(executor), Execution))
    return LoadedRecipe(recipe=recipe, document=loaded.document, text=loaded.text)


def set_up(loaded: LoadedRecipe, corpus_folder: Path) -> Setup:
    """Prepare a recipe's data and plan its runs.

    Raises:
        CorpusError: if the data can't be read.
        RecipeError: if the grid can't be trained.
    """
    recipe = loaded.recipe
    data, vocab = prepare(recipe.data, corpus_folder, max_epochs=recipe.max_epochs)
    description = f"{data.train.tokens} + {data.valid.tokens} {data.unit}s"
    if isinstance(recipe.data, TextCorpus):
        manifest = read_manifest(corpus_folder)
        description = manifest.description if manifest is not None else description
    runs = expand(loaded, data, vocab)
    return Setup(
        loaded=loaded,
        data=data,
        data_description=description,
        runs=tuple(runs),
        plan=plan_segments(runs, share=recipe.share_trunks),
    )


def placements(execution: Execution, machine: Machine | None) -> tuple[Placement, ...]:
    """Where each worker's jobs run; `machine` None for SLURM, whose nodes can't be asked from here.

    Raises:
        RecipeError: if it can't be known.
        SweepError: if the machine lacks the device.
    """
    if machine is None:
        if execution.device == "auto":
            raise RecipeError(
                "SLURM jobs need a device: this machine can't tell what theirs have. Say --device cuda or --device cpu."
            )
        devices = (execution.device,) * (execution.workers or 4)
    else:
        devices = machine.devices(execution.device, execution.workers)
    return tuple(
        Placement(
            device=device,
            threads=execution.threads,
            accumulate=execution.accumulate,
            semi_structured=execution.semi_structured,
            checkpoint_seconds=execution.checkpoint_seconds,
        )
        for device in devices
    )
