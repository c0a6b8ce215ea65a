"""Claims about recipes of several strategies: the runs that they mean, their sweep, their laws and their page."""

import csv
import json
from pathlib import Path

import pytest
from rich.console import Console

from sparseplan.calibration.calibrate import CalibrationResult, calibrate
from sparseplan.calibration.recipe import load_recipe, parse_recipe
from sparseplan.errors import RecipeError, SweepError
from sparseplan.laws.file import load_law_of, read_law
from sparseplan.runs.strategies import GradualMagnitude, OneShot, Static
from sparseplan.sparsity.schedule import Schedule
from sparseplan.sweep.folder import Folder
from tests.helpers.sweeps import RECIPE, environment, executor_for, recipe, setup_in, sweep_in

ONE = RECIPE.replace('[0, 0.75, "2:4"]', "[0, 0.5, 0.75]")
STRATEGIES = "strategies:\n  gradual-magnitude: {updates: 8}\n  static: {}\n"
SEVERAL = ONE.replace("pruning: {updates: 8}\n", STRATEGIES)
FEW = SEVERAL.replace(", {layers: 1, width: 16}", "").replace("[20, 40, 80]", "[20, 40]").replace("[0, 0.5,", "[0,")
LATE = "  late: {strategy: one-shot, at: 0.7}\n"


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def calibrate_in(folder: Path, root: Path, text: str = FEW) -> CalibrationResult:
    loaded = recipe(folder, text)
    return calibrate(root, loaded, executor_for(loaded), Console(stderr=True, width=200))


def test_the_dense_runs_are_trained_once_and_every_strategy_has_the_rest_of_the_grid(tmp_path: Path) -> None:
    runs = setup_in(tmp_path, tmp_path / "sweep", SEVERAL).runs
    grid = {(run.shape.width, run.pruning.sparsity, run.steps) for run in runs}
    assert len(grid) == 18  # 2 sizes, 3 sparsities, 3 lengths
    assert len(runs) == 6 + 2 * 12
    for strategy in ("gradual-magnitude", "static"):
        own = [run for run in runs if run.pruning.strategy_name in (strategy, "dense")]
        assert {(run.shape.width, run.pruning.sparsity, run.steps) for run in own} == grid


def test_a_recipe_of_one_strategy_means_the_runs_that_it_meant_as_pruning(tmp_path: Path) -> None:
    listed = ONE.replace("pruning: {updates: 8}", "strategies: {gradual-magnitude: {updates: 8}}")
    ids = [
        {run.run_id for run in setup_in(tmp_path, tmp_path / name, text).runs}
        for name, text in (("one", ONE), ("listed", listed))
    ]
    assert ids[0] == ids[1]


def test_names_say_which_strategy_unless_the_entry_does() -> None:
    text = ONE.replace(
        "pruning: {updates: 8}",
        "strategies:\n  static: {}\n  global: {scope: global}\n  late: {strategy: one-shot, at: 0.7}",
    )
    found = parse_recipe(text, source="r.yaml").recipe.pruned_by
    assert found == {"static": Static(), "global": GradualMagnitude(scope="global"), "late": OneShot(at=0.7)}
    assert parse_recipe(ONE, source="r.yaml").recipe.pruned_by == {"gradual-magnitude": GradualMagnitude(updates=8)}


@pytest.mark.parametrize(
    ("strategies", "says"),
    [
        ("pruning: {updates: 8}\nstrategies: {static: {}}", "strategies: expected one of pruning and strategies"),
        ("strategies: {static: {strategy: set}}", r"strategies.static: expected the strategy static under its name"),
        ("strategies: {dense: {strategy: set}}", r"strategies.dense: expected another name than dense"),
        ("strategies: {a: {strategy: set}, b: {strategy: set}}", r"strategies.b: expected each strategy once, .* of a"),
        ("strategies: {a b: {strategy: set}}", r"strategies"),
        ("strategies: {static: {updates: 8}}", r"strategies.static.updates"),
        ("strategies: {sr-ste: {}}", r"sparsities\[1\]: expected a pattern n:m, .* as the strategy sr-ste needs"),
    ],
)
def test_strategies_that_contradict_themselves_are_refused_at_their_line(strategies: str, says: str) -> None:
    with pytest.raises(RecipeError, match=rf"r.yaml:\d+: .*{says}"):
        parse_recipe(ONE.replace("pruning: {updates: 8}", strategies), source="r.yaml")


@pytest.mark.slow
def test_a_finished_sweep_grows_by_a_strategy_and_loses_none(tmp_path: Path) -> None:
    root = tmp_path / "small"
    first = sweep_in(tmp_path, root, FEW)
    grown = sweep_in(tmp_path, root, FEW.replace(STRATEGIES, STRATEGIES + LATE))
    assert len(first.records) == 2 + 2 * 2
    assert len(grown.records) == 2 + 3 * 2
    assert grown.records.items() >= first.records.items()
    rows = list(csv.DictReader((root / "runs.csv").read_text().splitlines()))
    counts = {name: sum(row["strategy"] == name for row in rows) for name in {row["strategy"] for row in rows}}
    assert counts == {"dense": 2, "gradual-magnitude": 2, "static": 2, "late": 2}
    with pytest.raises(SweepError, match="strategies or also: 2 of the folder's runs are no longer asked for"):
        sweep_in(tmp_path, root, FEW)


@pytest.mark.slow
def test_a_calibration_of_several_strategies_leaves_a_law_for_each_and_their_comparison(tmp_path: Path) -> None:
    root = tmp_path / "small"
    result = calibrate_in(tmp_path, root)
    assert result.conclusion is not None
    assert result.conclusion.written
    folder = Folder(root)
    assert {path.name for path in (root / "laws").iterdir()} == {"gradual-magnitude.yaml", "static.yaml"}
    first, static = read_law(folder.law), read_law(folder.law_of("static"))
    assert (first.name, static.name) == ("small", "small-static")
    assert (first.provenance["strategy"], static.provenance["strategy"]) == ("gradual-magnitude", "static")
    assert (first.schedule, static.schedule) == (Schedule(), Schedule(start=0.0, end=0.0))
    assert first.coefficients == static.coefficients
    assert load_law_of(str(folder.law), "static") == static
    assert load_law_of(str(folder.law_of("static")), "gradual-magnitude").schedule == first.schedule
    table = json.loads(folder.comparison.read_text())
    assert table["format"] == "sparseplan-strategies/1"
    assert [row["strategy"] for row in table["sets"]] == ["gradual-magnitude", "static"]
    page = folder.readme.read_text()
    assert "- 6 runs" in page
    assert "| static |" in page
    assert "gradual-magnitude: cubic ramp" in page
    folder.law_of("static").unlink()
    again = calibrate_in(tmp_path, root)
    assert again.conclusion is not None
    assert again.conclusion.written
    assert folder.law_of("static").exists()


def test_the_built_in_recipe_compares_six_strategies_at_four_sparsities_three_sizes_and_two_lengths() -> None:
    found = load_recipe("strategies-cpu").recipe
    assert len(found.strategies) == 6
    assert len([one for one in found.sparsities if one]) == 4
    assert len(found.model.sizes.keys) == 3
    assert len(found.lengths.steps) == 2
