"""Calibration recipes: a YAML file that says which trainings to run, and the run specifications that it means.

A recipe spans a grid: sizes x sparsities x lengths x seeds. Sizes are shapes written out, or parameter counts for
which shapes are chosen, counted before pruning (`dense`) or after it (`nonzero`, as in Frantar et al. 2023,
arXiv:2309.08520, where the sparser of two runs of one size is cut from a larger dense model).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from msgspec import Meta, Struct

from sparseplan.calibration.corpus import Corpus, TextCorpus
from sparseplan.common.json_schema import json_schema
from sparseplan.common.yaml_document import Document, Key, parse_document, read_document
from sparseplan.common.yaml_struct import convert
from sparseplan.errors import RecipeError, SparseplanError, nearest
from sparseplan.runs.spec import AdamW, DataSpec, LearningRate, Optimizer, Pruning, RunSpec
from sparseplan.shapes.gpt import GptShape
from sparseplan.sparsity.pattern import UNSTRUCTURED, parse_pattern
from sparseplan.sparsity.schedule import Schedule

BUILTIN_RECIPES = resources.files("sparseplan") / "builtin" / "recipes"
COUNT_TOLERANCE = 0.25
"""How far the nearest shape may be from a wanted parameter count; the run records the count that it has."""
_MAX_RUNS = 10_000

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
SparsityEntry = Annotated[float, Meta(ge=0, lt=1)] | str


class Size(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dense shape; heads follow from the recipe's `head_width`."""

    layers: Count
    width: Annotated[int, Meta(ge=8, le=65536, description="Multiples of 64 on a GPU.")]


class ShapeGrid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="grid", tag="shapes"):
    """Dense shapes, written out; every sparsity is cut from every one of them."""

    shapes: Annotated[tuple[Size, ...], Meta(min_length=1)]


class _CountGrid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="grid"):
    params: Annotated[tuple[Positive, ...], Meta(min_length=1, description="Prunable parameters.")]
    layers: Annotated[Count | None, Meta(description="Blocks of every size; or give width_per_layer.")] = None
    width_per_layer: Annotated[Positive | None, Meta(description="Width over blocks, kept about constant.")] = None
    width_step: Annotated[int, Meta(ge=2, description="Widths are multiples of this.")] = 64

    def __post_init__(self) -> None:
        if (self.layers is None) == (self.width_per_layer is None):
            raise ValueError("expected either layers or width_per_layer, so that a count names one shape")


class DenseGrid(_CountGrid, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="grid", tag="dense"):
    """Parameter counts before pruning."""


class NonzeroGrid(_CountGrid, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="grid", tag="nonzero"):
    """Parameter counts that are left after pruning: the law's N. A run at S is cut from a model of N / (1 - S)."""


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The models of the grid."""

    sizes: ShapeGrid | DenseGrid | NonzeroGrid
    context: Annotated[int, Meta(ge=2, description="Tokens of a training sequence.")]
    family: Literal["gpt"] = "gpt"
    head_width: Annotated[int, Meta(ge=2, description="Width of an attention head; divides every width.")] = 64


class Lengths(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to train, in exactly one way."""

    steps: Annotated[tuple[Count, ...], Meta(description="Optimizer updates.")] = ()
    tokens: Annotated[tuple[Positive, ...], Meta(description="Tokens (bytes), rounded to whole updates.")] = ()
    tokens_per_dense_param: Annotated[
        tuple[Positive, ...], Meta(description="Tokens per prunable parameter before pruning.")
    ] = ()

    def __post_init__(self) -> None:
        given = [name for name in self.__struct_fields__ if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                "expected exactly one of steps, tokens and tokens_per_dense_param, "
                f"found {' and '.join(given) or 'none'}"
            )

    def in_steps(self, shape: GptShape, batch: int) -> list[int]:
        """The lengths of a shape's runs, in updates."""
        per_step = batch * shape.tokens_per_sequence
        tokens = list(self.tokens) or [ratio * shape.dense_params for ratio in self.tokens_per_dense_param]
        return list(self.steps) or [max(1, round(wanted / per_step)) for wanted in tokens]


class Ramp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How sparse runs are pruned: gradual magnitude pruning along a ramp."""

    schedule: Schedule = Schedule()
    updates: Annotated[int, Meta(ge=1, description="How often the masks shrink on the ramp.")] = 64


class Fitting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the law is fitted to the finished runs."""

    residual: Literal["log", "plain"] = "log"
    loss: Literal["huber", "squared"] = "huber"
    huber_delta: Positive = 1e-3
    bootstrap: Annotated[int, Meta(ge=2, le=10_000, description="Draws that travel with the law.")] = 400


class Execution(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and how the runs are executed: may change between two starts of one sweep, and never names a run."""

    kind: Literal["local", "slurm"] = "local"
    device: Annotated[
        str, Meta(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto takes a GPU if there is one.")
    ] = "auto"
    workers: Annotated[Count | None, Meta(description="Processes at a time; by default one a CPU core or GPU.")] = None
    threads: Annotated[int, Meta(ge=1, description="CPU threads of a worker.")] = 1
    accumulate: Annotated[int, Meta(ge=1, description="Pieces that a batch is split into, to fit in memory.")] = 1
    semi_structured: Literal["auto", "off"] = "auto"
    checkpoint_seconds: Positive = 60.0
    sbatch: Annotated[
        tuple[str, ...], Meta(description="Options for sbatch, such as --partition=gpu and --gres=gpu:1.")
    ] = ()
    setup: Annotated[
        tuple[str, ...], Meta(description="Shell lines that a SLURM job runs first, such as module load.")
    ] = ()


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
    batch: Annotated[int, Meta(ge=1, description="Sequences of a step.")]
    data: Annotated[Corpus, Meta(description="Text or token files; paths are relative to where the command runs.")] = (
        TextCorpus()
    )
    max_epochs: Annotated[Positive, Meta(description="How often a run may see the data; more is refused.")] = 1.0
    optimizer: Optimizer = AdamW()
    learning_rate: LearningRate = LearningRate()
    pruning: Ramp = Ramp()
    clip_norm: Annotated[float, Meta(ge=0)] = 1.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    seeds: Annotated[tuple[Annotated[int, Meta(ge=0, lt=2**32)], ...], Meta(min_length=1)] = (0,)
    evaluation_sequences: Count = 256
    share_trunks: Annotated[bool, Meta(description="Train what runs have in common once.")] = True
    retry_diverged: (
        Annotated[
            float, Meta(gt=0, lt=1, description="Train a diverged run once more, at this share of its learning rate.")
        ]
        | None
    ) = None
    fit: Fitting = Fitting()
    executor: Execution = Execution()


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
    document = read_document(path, kind="recipe", error=RecipeError)
    return _checked(document, path.read_text(encoding="utf-8"))


def parse_recipe(text: str, *, source: str) -> LoadedRecipe:
    """Read and check a recipe from YAML text, as `load_recipe` does."""
    return _checked(parse_document(text, source=source, kind="recipe", error=RecipeError), text)


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of recipes, for editors; shipped as builtin/schemas/recipe.schema.json."""
    return json_schema(Recipe, title="sparseplan calibration recipe")


@cache
def builtin_recipes() -> tuple[Path, ...]:
    """The recipes that ship with the package."""
    with resources.as_file(BUILTIN_RECIPES) as folder:
        return tuple(sorted(folder.glob("*.yaml")))


def _checked(document: Document, text: str) -> LoadedRecipe:
    recipe = cast(Recipe, convert(document, Recipe, error=RecipeError))
    loaded = LoadedRecipe(recipe=recipe, document=document, text=text)
    seen: set[tuple[float, str]] = set()
    for index in range(len(recipe.sparsities)):
        entry = _sparsity(loaded, index)
        if entry in seen:
            raise loaded.refuse(("sparsities", index), "expected each sparsity once, found it twice; remove one")
        seen.add(entry)
    return loaded


def expand(loaded: LoadedRecipe, data: DataSpec, vocab: int) -> list[RunSpec]:
    """The runs of a recipe's grid, in the order sizes, sparsities, lengths, seeds; equal ones once.

    Args:
        loaded: The recipe.
        data: Its prepared data.
        vocab: Size of the data's vocabulary.

    Raises:
        RecipeError: with the recipe's line, for a grid that can't be trained.
    """
    recipe = loaded.recipe
    runs: dict[str, RunSpec] = {}
    for size_key, choose in _sizes(loaded, vocab):
        for index in range(len(recipe.sparsities)):
            sparsity, pattern = _sparsity(loaded, index)
            shape = choose(sparsity)
            pruning = Pruning(
                sparsity=sparsity, pattern=pattern, schedule=recipe.pruning.schedule, updates=recipe.pruning.updates
            )
            for steps in recipe.lengths.in_steps(shape, recipe.batch):
                for seed in recipe.seeds:
                    try:
                        run = _run(recipe, shape, data, pruning, steps, seed)
                    except ValueError as problem:
                        key: Key = ("lengths",) if "passes" in str(problem) else size_key
                        raise loaded.refuse(key, str(problem)) from None
                    runs[run.run_id] = run
                    if len(runs) > _MAX_RUNS:
                        raise loaded.refuse((), f"expected a grid of at most {_MAX_RUNS} runs, found more")
    return list(runs.values())


def _run(recipe: Recipe, shape: GptShape, data: DataSpec, pruning: Pruning, steps: int, seed: int) -> RunSpec:
    return RunSpec(
        shape=shape,
        data=data,
        batch=recipe.batch,
        steps=steps,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        pruning=pruning,
        clip_norm=recipe.clip_norm,
        dtype=recipe.dtype,
        seed=seed,
        evaluation_sequences=recipe.evaluation_sequences,
    )


def _sparsity(loaded: LoadedRecipe, index: int) -> tuple[float, str]:
    """Sparsity and pattern of an entry; 2:2 and the like are dense."""
    entry = loaded.recipe.sparsities[index]
    if not isinstance(entry, str):
        return float(entry), str(UNSTRUCTURED)
    try:
        pattern = parse_pattern(entry)
    except SparseplanError as problem:
        raise loaded.refuse(("sparsities", index), str(problem).removesuffix(".")) from None
    if pattern.sparsity is None:
        raise loaded.refuse(
            ("sparsities", index),
            f"expected a number for unstructured sparsity, or one pattern such as 2:4, found {entry!r}",
        )
    return (pattern.sparsity, str(pattern)) if pattern.sparsity else (0.0, str(UNSTRUCTURED))


def _sizes(loaded: LoadedRecipe, vocab: int) -> "list[tuple[Key, Callable[[float], GptShape]]]":
    """For every size of the grid: its key in the recipe, and the shape that it means at a sparsity."""
    model = loaded.recipe.model
    sizes = model.sizes

    def shape(key: Key, layers: int, width: int) -> GptShape:
        if width % model.head_width:
            raise loaded.refuse(key, f"expected a width that head_width {model.head_width} divides, found {width}")
        try:
            heads = width // model.head_width
            return GptShape(layers=layers, width=width, heads=heads, vocab=vocab, context=model.context)
        except ValueError as problem:
            raise loaded.refuse(key, str(problem)) from None

    def fixed(key: Key, size: Size) -> "Callable[[float], GptShape]":
        return lambda _: shape(key, size.layers, size.width)

    def counted(key: Key, grid: DenseGrid | NonzeroGrid, wanted: float) -> "Callable[[float], GptShape]":
        def choose(sparsity: float) -> GptShape:
            dense = wanted / (1.0 - sparsity) if isinstance(grid, NonzeroGrid) else wanted
            layers, width = nearest_size(grid, dense)
            found = 12 * layers * width * width
            if abs(found / dense - 1.0) > COUNT_TOLERANCE:
                raise loaded.refuse(
                    key,
                    f"expected a shape within {COUNT_TOLERANCE:.0%} of {dense:.4g} prunable parameters, the nearest "
                    f"has {found:.4g} ({layers} blocks of width {width}); lower width_step, or write shapes out",
                )
            return shape(key, layers, width)

        return choose

    if isinstance(sizes, ShapeGrid):
        return [
            (key, fixed(key, size))
            for key, size in ((("model", "sizes", "shapes", i), size) for i, size in enumerate(sizes.shapes))
        ]
    return [
        (key, counted(key, sizes, wanted))
        for key, wanted in ((("model", "sizes", "params", i), count) for i, count in enumerate(sizes.params))
    ]


def nearest_size(grid: DenseGrid | NonzeroGrid, dense_params: float) -> tuple[int, int]:
    """Blocks and width whose 12 * layers * width^2 prunable parameters are nearest to a count, on a log scale.

    >>> nearest_size(DenseGrid(params=[1], layers=2, width_step=32), 98304)
    (2, 64)
    >>> nearest_size(DenseGrid(params=[1], width_per_layer=64, width_step=64), 85e6)
    (12, 768)
    """
    options: list[tuple[float, int, int]] = []
    for multiple in range(1, 65536 // grid.width_step + 1):
        width = multiple * grid.width_step
        layers = grid.layers if grid.layers is not None else max(1, round(width / (grid.width_per_layer or 1.0)))
        ratio = 12 * layers * width * width / dense_params
        options.append((max(ratio, 1.0 / ratio), layers, width))
        if ratio > 1:
            break
    _, layers, width = min(options)
    return layers, width
