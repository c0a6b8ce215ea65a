"""Calibration recipes: a YAML file that says which trainings to run, and the run specifications that it means.

A recipe spans a grid: sizes x sparsities x lengths x seeds. Sizes are shapes written out, or parameter counts for
which shapes are chosen, counted before pruning (`dense`) or after it (`nonzero`, as in Frantar et al. 2023,
arXiv:2309.08520, where the sparser of two runs of one size is cut from a larger dense model). Several `strategies`
prune the same grid, and have its dense runs in common. Beside the grid stand single runs (`also`), such as those that
`sparseplan next` chooses; a sweep may grow by them, and by strategies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce
from importlib import resources
from itertools import product
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

import msgspec
from msgspec import Meta, Struct, to_builtins

from sparseplan.calibration.corpus import Corpus, TextCorpus
from sparseplan.calibration.defaults import with_defaults
from sparseplan.calibration.images import ImageCorpus
from sparseplan.calibration.lengths import MAX_STEPS, Count, Lengths, Positive
from sparseplan.calibration.starts import FromFile, RecipeStart, file_of, starts_of
from sparseplan.calibration.strategies import StrategyName, misnamed
from sparseplan.common.json_schema import json_schema
from sparseplan.common.yaml_document import Document, Key, parse_document, read_yaml_text, reads_as_text
from sparseplan.common.yaml_struct import convert
from sparseplan.errors import RecipeError, SparseplanError, nearest
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import AdamW, DataSpec, LearningRate, Optimizer, RunSpec, TooManyEpochsError, ZLoss
from sparseplan.runs.start import Checkpoint
from sparseplan.runs.strategies import GradualMagnitude, Strategy, strategy_name
from sparseplan.shapes.base import Images, Inputs
from sparseplan.shapes.families import DEFAULT_MODEL, Model, Shape, tag_of
from sparseplan.shapes.sizes import ShapeGrid, Size
from sparseplan.sparsity.pattern import UNSTRUCTURED, parse_pattern
from sparseplan.sweep.executors import DEFAULT, EXECUTORS, Settings
from sparseplan.sweep.executors.local import Local

BUILTIN_RECIPES = resources.files("sparseplan") / "builtin" / "recipes"
_MAX_RUNS = 10_000

SparsityEntry = Annotated[float, Meta(ge=0, lt=1)] | str


class SingleRun(Size, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run beside the grid, for each of the recipe's seeds."""

    sparsity: SparsityEntry
    steps: Annotated[Count, Meta(description="Optimizer updates.")]


class Fitting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the law is fitted to the finished runs."""

    form: (
        Annotated[
            Literal["auto", "average", "frantar2023", "varying-exponents", "coupled"],
            Meta(
                description="Functional form; auto takes what predicts larger and longer runs best, one form or an "
                "average of close ones; average keeps every form."
            ),
        ]
        | None
    ) = None
    residual: Literal["log", "plain"] = "log"
    loss: Literal["huber", "squared"] = "huber"
    huber_delta: Positive = 1e-3
    bootstrap: Annotated[int, Meta(ge=2, le=10_000, description="Draws that travel with the law.")] = 400


class Verifying(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the law is put to the test by trainings outside its fit."""

    times: Annotated[float, Meta(ge=1, le=1e6, description="Budget, over that of the dearest run of the grid.")] = 2.0
    rivals: Annotated[int, Meta(ge=6, le=100, description="Plans of that budget beside the law's own two.")] = 6


class Recipe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calibration: the grid of trainings, how each is trained, and how the law is fitted."""

    format: Literal["sparseplan-recipe/1"]
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    description: str
    model: Model
    sparsities: Annotated[
        tuple[SparsityEntry, ...],
        Meta(min_length=1, description="A number is unstructured sparsity, 0 is dense; text is a pattern such as 2:4."),
    ]
    lengths: Lengths
    also: Annotated[
        tuple[SingleRun, ...],
        Meta(description="Runs beside the grid. A calibration that is finished may grow by them."),
    ] = ()
    repeat: Annotated[
        tuple[Annotated[float, Meta(ge=1, le=1e6)], ...],
        Meta(
            min_length=1,
            description="How often a run sees its data, D / U: each run once for each, above 1 on a cut of the corpus.",
        ),
    ] = (1.0,)
    start: Annotated[
        RecipeStart | None,
        Meta(
            description="Start every run from dense weights in place of fresh ones: those of dense runs that are "
            "trained first, or of a file."
        ),
    ] = None
    batch: Annotated[int, Meta(ge=1, le=MAX_STEPS, description="Sequences of a step.")]
    data: Annotated[
        Corpus, Meta(description="Text, tokens or images; paths are relative to where the command runs.")
    ] = TextCorpus()
    max_epochs: Annotated[Positive, Meta(description="How often a run may see the data; more is refused.")] = 1.0
    optimizer: Optimizer = AdamW()
    learning_rate: LearningRate = LearningRate()
    pruning: Strategy = GradualMagnitude()
    strategies: Annotated[
        dict[StrategyName, Strategy],
        Meta(
            description="Instead of `pruning`, several ways to prune by names of your own, each at every size, length "
            "and sparsity; one named as a strategy is that strategy. A finished calibration may grow by them."
        ),
    ] = {}
    clip_norm: Annotated[float, Meta(ge=0)] = 1.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    scale_by_density: Annotated[
        bool,
        Meta(
            description="Start prunable weights larger by 1 / sqrt(density) and train them 1 / density as fast, where "
            "runs are sparse from their first step, with no dense weights behind their masks; adamw only."
        ),
    ] = False
    seeds: Annotated[tuple[Annotated[int, Meta(ge=0, lt=2**32)], ...], Meta(min_length=1)] = (0,)
    evaluation_sequences: Count = 256
    z_loss: ZLoss = 0.0
    share_trunks: Annotated[bool, Meta(description="Train what runs have in common once.")] = True
    keep_dense_weights: Annotated[
        bool, Meta(description="Leave the last weights of dense runs in work/checkpoints, for others to start from.")
    ] = False
    retry_diverged: (
        Annotated[
            float, Meta(gt=0, lt=1, description="Train a diverged run once more, at this share of its learning rate.")
        ]
        | None
    ) = None
    fit: Fitting = Fitting()
    verify: Annotated[
        Verifying | None, Meta(description="Train plans of one budget beyond the grid after the fit: is the best best?")
    ] = None
    executor: Settings = Local()

    @property
    def pruned_by(self) -> dict[str, Strategy]:
        """The ways to prune by name: `strategies`, or `pruning` alone by its strategy's name."""
        return self.strategies or {strategy_name(self.pruning): self.pruning}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedRecipe:
    """A recipe with its text, so that later findings still name its lines."""

    recipe: Recipe
    document: Document
    text: str

    def refuse(self, key: Key, what: str) -> RecipeError:
        """The error for what is wrong at a key."""
        return RecipeError(f"{self.document.where(key)}{what}.")


def load_recipe(name: str) -> LoadedRecipe:
    """Find a recipe by path (ending in .yaml or .yml) or by the name of a built-in one.

    Raises:
        RecipeError: if there is no such recipe, or, with file, line and key, if it isn't a valid one.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name or "\\" in name:
        path = Path(name)
    else:
        known = {path.stem: path for path in builtin_recipes()}
        if name not in known:
            raise RecipeError(
                f"no built-in recipe is called {name!r}{nearest(name, list(known))}. "
                f"Known: {', '.join(known)}. A file is given by its path, ending in .yaml."
            )
        path = known[name]
    text = read_yaml_text(path, kind="recipe", error=RecipeError)
    return parse_recipe(text, source=str(path))


def parse_recipe(text: str, *, source: str) -> LoadedRecipe:
    """Read and check a recipe from YAML text, as `load_recipe` does."""
    return _checked(parse_document(text, source=source, kind="recipe", error=RecipeError), text)


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of recipes, for editors; shipped as builtin/schemas/recipe.schema.json."""
    schema = json_schema(_recipe_type(), title="sparseplan calibration recipe")
    schema["$defs"][DEFAULT_MODEL.__name__]["required"].remove("family")  # see `defaults`
    schema["$defs"][EXECUTORS[DEFAULT].settings_type.__name__]["required"].remove("kind")  # see `defaults`
    schema["$defs"][GradualMagnitude.__name__]["required"].remove("strategy")  # see `defaults`
    return schema


@cache
def builtin_recipes() -> tuple[Path, ...]:
    """The recipes that ship with the package."""
    with resources.as_file(BUILTIN_RECIPES) as folder:
        return tuple(sorted(folder.glob("*.yaml")))


def _recipe_type() -> type[Recipe]:
    """The recipe whose `executor` is one of the registry's: a union that is made when it is asked for."""
    settings: Any = reduce(or_, (executor.settings_type for executor in EXECUTORS.values()))
    field = ("executor", settings, Local())
    made = msgspec.defstruct("Recipe", [field], bases=(Recipe,), frozen=True, kw_only=True, forbid_unknown_fields=True)
    made.__doc__ = Recipe.__doc__
    return cast(type[Recipe], made)


def _checked(document: Document, text: str) -> LoadedRecipe:
    document = with_defaults(document)
    recipe = cast(Recipe, convert(document, _recipe_type(), error=RecipeError))
    loaded = LoadedRecipe(recipe=recipe, document=document, text=text)
    if not reads_as_text(recipe.name):
        what = "expected a name that YAML reads as text, since law and profile files carry it"
        raise loaded.refuse(("name",), f"{what}, found {recipe.name!r}; add a letter or a dash")
    if recipe.scale_by_density and not isinstance(recipe.optimizer, AdamW):
        what = "expected the optimizer adamw, whose rate does not follow the size of the weights already"
        raise loaded.refuse(("scale_by_density",), f"{what}, found another; leave it out")
    images = isinstance(recipe.data, ImageCorpus)
    if images != (recipe.model.reads is Images):
        wanted = "data of kind images" if recipe.model.reads is Images else "text or tokens"
        found = to_builtins(recipe.data)["kind"]
        raise loaded.refuse(
            ("data",), f"expected {wanted}, which the family {tag_of(type(recipe.model))} reads, found {found}"
        )
    if recipe.strategies and "pruning" in document.data:
        raise loaded.refuse(("strategies",), "expected one of pruning and strategies, found both; remove one")
    if (wrong := misnamed(recipe.strategies)) is not None:
        raise loaded.refuse(("strategies", wrong[0]), wrong[1])
    for strategy in recipe.pruned_by.values():
        seen: set[Pruning] = set()
        for index, sparsity in enumerate(recipe.sparsities):
            entry = _pruning(loaded, ("sparsities", index), sparsity, strategy)
            if entry in seen:
                raise loaded.refuse(("sparsities", index), "expected each sparsity once, found it twice; remove one")
            seen.add(entry)
    return loaded


def expand(loaded: LoadedRecipe, data: DataSpec, inputs: Inputs) -> list[RunSpec]:
    """The runs of a recipe: its grid, in the order sizes, strategies, sparsities, lengths, seeds; those beside it.

    Equal ones, as the dense runs of several strategies, come once.

    Args:
        loaded: The recipe.
        data: Its prepared data.
        inputs: Size of the data's vocabulary, or what its images are.

    Raises:
        RecipeError: with the recipe's line, for a grid that can't be trained.
    """
    runs: dict[str, RunSpec] = {}
    asked, file = loaded.recipe.start, _file(loaded)
    for one in _wanted(loaded, inputs):
        try:
            starts = starts_of(asked, file, one.shape, loaded.recipe.batch)
        except ValueError as problem:
            raise loaded.refuse(("start", "lengths"), str(problem)) from None
        for seed, start in product(loaded.recipe.seeds, starts):
            try:
                run = msgspec.structs.replace(_run(loaded.recipe, one, data, seed), start=start)
            except TooManyEpochsError as problem:
                raise loaded.refuse(one.length_key, str(problem)) from None
            except ValueError as problem:
                raise loaded.refuse(one.size_key, str(problem)) from None
            runs.setdefault(run.run_id, run)
            if len(runs) > _MAX_RUNS:
                raise loaded.refuse((), f"expected at most {_MAX_RUNS} runs, found more")
    if isinstance(asked, FromFile) and len(shapes := {run.shape for run in runs.values()}) > 1:
        what = "expected runs of one dense size, that of the weights in the file"
        raise loaded.refuse(("start", "path"), f"{what}, found {len(shapes)} sizes")
    return list(runs.values())


def _file(loaded: LoadedRecipe) -> Checkpoint | None:
    """The file of weights that the runs start from, hashed; None where they start from none."""
    if not isinstance(loaded.recipe.start, FromFile):
        return None
    try:
        return file_of(loaded.recipe.start)
    except OSError as problem:
        what = f"can't read the weights {loaded.recipe.start.path}: {problem.strerror or problem}"
        raise loaded.refuse(("start", "path"), what) from None


class _Wanted(NamedTuple):
    """A run of a recipe but for its seed, and where the recipe asks for its size and its length."""

    shape: Shape
    pruning: Pruning
    steps: int
    size_key: Key
    length_key: Key


def _wanted(loaded: LoadedRecipe, inputs: Inputs) -> Iterator[_Wanted]:
    recipe, model = loaded.recipe, loaded.recipe.model
    for place, key in enumerate(model.sizes.keys):
        size_key: Key = ("model", "sizes", *key)
        for strategy, (index, entry) in product(recipe.pruned_by.values(), enumerate(recipe.sparsities)):
            pruning = _pruning(loaded, ("sparsities", index), entry, strategy)
            try:
                shape = model.shape(place, pruning.sparsity, inputs)
            except ValueError as problem:
                raise loaded.refuse(size_key, str(problem)) from None
            try:
                lengths = recipe.lengths.in_steps(shape, recipe.batch)
            except ValueError as problem:
                raise loaded.refuse(("lengths",), str(problem)) from None
            for steps in lengths:
                yield _Wanted(shape, pruning, steps, size_key, ("lengths",))
    for strategy, (index, run) in product(recipe.pruned_by.values(), enumerate(recipe.also)):
        at: Key = ("also", index)
        pruning = _pruning(loaded, (*at, "sparsity"), run.sparsity, strategy)
        try:
            shape = shape_of_size(model, run, inputs)
        except ValueError as problem:
            raise loaded.refuse((*at, "width"), str(problem)) from None
        yield _Wanted(shape, pruning, run.steps, (*at, "width"), (*at, "steps"))


def shape_of_size(model: Model, size: Size, inputs: Inputs) -> Shape:
    """The shape of a size that needn't be in a recipe's grid.

    Raises:
        ValueError: if there is none.
    """
    grid = ShapeGrid(shapes=(Size(layers=size.layers, width=size.width),))
    return msgspec.structs.replace(model, sizes=grid).shape(0, 0.0, inputs)


def _run(recipe: Recipe, wanted: _Wanted, data: DataSpec, seed: int) -> RunSpec:
    return RunSpec(
        shape=wanted.shape,
        data=data,
        batch=recipe.batch,
        steps=wanted.steps,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        pruning=wanted.pruning,
        clip_norm=recipe.clip_norm,
        dtype=recipe.dtype,
        scale_by_density=recipe.scale_by_density,
        seed=seed,
        evaluation_sequences=recipe.evaluation_sequences,
        z_loss=recipe.z_loss,
    )


def _pruning(loaded: LoadedRecipe, key: Key, entry: SparsityEntry, strategy: Strategy) -> Pruning:
    """What an entry of `sparsities`, or one like it at a key, prunes to, by a strategy of the recipe."""
    sparsity, pattern = _sparsity(loaded, key, entry)
    try:
        return Pruning(sparsity=sparsity, pattern=pattern, strategy=strategy)
    except ValueError as problem:
        raise loaded.refuse(key, str(problem)) from None


def _sparsity(loaded: LoadedRecipe, key: Key, entry: SparsityEntry) -> tuple[float, str]:
    """Sparsity and pattern of an entry; 2:2 and the like are dense."""
    if not isinstance(entry, str):
        return float(entry), str(UNSTRUCTURED)
    try:
        pattern = parse_pattern(entry)
    except SparseplanError as problem:
        raise loaded.refuse(key, str(problem).removesuffix(".")) from None
    if pattern.sparsity is None:
        raise loaded.refuse(
            key,
            f"expected a number for unstructured sparsity, or one pattern such as 2:4, found {entry!r}",
        )
    return (pattern.sparsity, str(pattern)) if pattern.sparsity else (0.0, str(UNSTRUCTURED))
