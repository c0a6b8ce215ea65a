"""Claims about the strategies that a recipe chooses."""

import jsonschema
import pytest
import yaml

from sparseplan.calibration.recipe import (
    load_recipe,
    parse_recipe,
    recipe_schema,
)
from sparseplan.errors import RecipeError
from sparseplan.runs.strategies import (
    GradualMagnitude,
    OneShot,
    Rewinding,
    RigL,
    SparseEvolution,
    SparseGpt,
    Structured,
)
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.recipes import PLAIN, read, runs_of


def test_a_recipe_chooses_its_strategy_and_one_without_is_gradual() -> None:
    assert {run.pruning.strategy for run in runs_of()} == {GradualMagnitude()}
    named = runs_of(PLAIN + "pruning: {strategy: gradual-magnitude}\n")
    assert [run.run_id for run in named] == [run.run_id for run in runs_of(PLAIN + "pruning: {updates: 64}\n")]
    static = runs_of(PLAIN + "pruning: {strategy: static}\n")
    assert {run.pruning.strategy_name for run in static} == {"dense", "static"}
    shared = {run.run_id for run in static} & {run.run_id for run in named}
    assert shared == {run.run_id for run in named if run.pruning.sparsity == 0}


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ("{strategy: statik}", r"team\.yaml:11: pruning\.strategy: expected one of gradual-magnitude, .*'static'"),
        ("{strategy: static, updates: 3}", r"team\.yaml:11: pruning\.updates: unknown key"),
        ("{updatez: 3}", r"team\.yaml:11: pruning\.updatez: unknown key \(did you mean 'updates'\?\)"),
        ("{schedule: {end: 2}}", r"team\.yaml:11: pruning\.schedule\.end: "),
        (
            "{strategy: sr-ste}",
            r"team\.yaml:8: sparsities\[1\]: expected a pattern n:m, .* found unstructured sparsity",
        ),
        ("static", r"team\.yaml:11: pruning: expected"),
    ],
)
def test_a_wrong_strategy_is_named_at_its_line(pruning: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read(PLAIN + f"pruning: {pruning}\n")


@pytest.mark.parametrize(
    "pruning",
    [
        "{updates: 3}",
        "{strategy: gradual-magnitude, updates: 3}",
        "{strategy: static}",
        "{strategy: sr-ste, decay: 0.001}",
    ],
)
def test_the_schema_knows_strategies_and_that_one_may_go_unnamed(pruning: str) -> None:
    jsonschema.validate(yaml.safe_load(PLAIN + f"pruning: {pruning}"), recipe_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(PLAIN + "pruning: {strategy: static, decay: 3}"), recipe_schema())


def test_scaling_by_density_is_for_adamw() -> None:
    text = load_recipe("gpt-stdlib-cpu").text + "scale_by_density: true\n"
    assert parse_recipe(text, source="r.yaml").recipe.scale_by_density
    own = "optimizer: {name: adamw, learning_rate: 0.006, base_width: 64}"
    assert own in text
    with pytest.raises(RecipeError, match=r"r.yaml:\d+: scale_by_density: expected the optimizer adamw"):
        parse_recipe(text.replace(own, "optimizer: {name: adafactor}"), source="r.yaml")


@pytest.mark.parametrize(
    ("pruning", "strategy"),
    [
        ("{strategy: one-shot, at: 0.5}", OneShot()),
        ("{schedule: {kind: geometric, start: 0, end: 0.5}, scope: global}", None),
        ("{strategy: set, every: 100, drop: 0.1}", SparseEvolution()),
        ("{strategy: rigl, distribution: erdos-renyi}", RigL(distribution="erdos-renyi")),
        ("{strategy: rewinding, share: 0.2, to: 0.1}", Rewinding()),
        ("{strategy: sparsegpt, at: 0.5, batches: 8}", SparseGpt()),
        ("{strategy: structured, updates: 16}", Structured()),
    ],
)
def test_a_recipe_chooses_any_strategy_with_its_settings(pruning: str, strategy: object) -> None:
    text = load_recipe("gpt-stdlib-cpu").text.replace(', "2:4"]', "]")  # not all strategies know groups
    old = "pruning: {schedule: {kind: cubic, start: 0.25, end: 0.75}, updates: 32}"
    assert old in text
    found = parse_recipe(text.replace(old, f"pruning: {pruning}"), source="r.yaml").recipe.pruning
    geometric = Schedule(kind="geometric", start=0, end=0.5)
    assert found == (strategy or GradualMagnitude(schedule=geometric, scope="global"))
