"""Claims about recipes of several strategies: the runs that they mean, their sweep, their laws and their page."""

import csv
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from sparseplan.calibration.calibrate import CalibrationResult, calibrate
from sparseplan.calibration.fit_runs import fit_calibration
from sparseplan.calibration.manifest import differences, read_manifest
from sparseplan.calibration.recipe import load_recipe, parse_recipe
from sparseplan.errors import RecipeError, SweepError
from sparseplan.fit.against_runs import check_runs
from sparseplan.fit.strategy_answer import StrategyTable
from sparseplan.laws.file import load_law_of, read_law
from sparseplan.laws.law import coefficients
from sparseplan.runs.job import RunRecord, read_result
from sparseplan.runs.strategies import GradualMagnitude, OneShot, Static
from sparseplan.runs.table import read_runs
from sparseplan.sparsity.schedule import Schedule
from sparseplan.sweep.folder import Folder
from tests.helpers.sweeps import RECIPE, ROOT, environment, executor_for, recipe, setup_in, sweep_in

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


SHIPPED = Folder(ROOT / "calibration" / "strategies-cpu")


def test_the_shipped_calibration_has_a_record_behind_every_row_and_a_law_for_every_strategy() -> None:
    found = load_recipe(str(SHIPPED.recipe)).recipe
    assert len(found.strategies) >= 6
    table = read_runs(SHIPPED.runs_table, several_strategies=True)
    assert table.strategies is not None
    losses = {
        record.run_id: record.loss
        for record in map(read_result, SHIPPED.records.glob("[!t]*.json"))
        if isinstance(record, RunRecord)
    }
    assert dict(zip(table.run_id, table.loss, strict=True)) == pytest.approx(losses, rel=1e-12)
    manifest = read_manifest(SHIPPED)
    assert manifest is not None
    assert set(manifest.run_ids) == losses.keys()
    assert differences(manifest, found, manifest.data) == []
    for name, strategy in found.strategies.items():
        assert table.strategies.count(name) == 24, "four sparsities, three sizes, two lengths"
        law = read_law(SHIPPED.law_of(name))
        assert law.schedule == strategy.schedule
        against = check_runs(law, SHIPPED.runs_table)
        assert against.outcome == "match", (name, against.message)
        assert load_law_of(str(SHIPPED.law), name) == law


@pytest.mark.slow
def test_the_shipped_laws_are_refitted_from_the_shipped_runs() -> None:
    """To 1e-4 in size multiplier and to 1e-6 in loss: other BLAS kernels stop the solver at other last digits."""
    found = load_recipe(str(SHIPPED.recipe)).recipe
    few = msgspec.structs.replace(found, fit=msgspec.structs.replace(found.fit, bootstrap=2))
    fitted = fit_calibration(few, SHIPPED.runs_table).strategies
    assert fitted is not None
    assert [part.name for part in fitted.parts] == list(found.strategies)
    for part in fitted.parts:
        own, shipped = (coefficients(law, "unstructured") for law in (part.law, read_law(SHIPPED.law_of(part.name))))
        for S in (0.5, 0.75, 0.875, 0.9375):
            assert own.size_multiplier(S, 1e4) == pytest.approx(shipped.size_multiplier(S, 1e4), rel=1e-4), part.name
            assert own.loss(S, 1e4, 3e5) == pytest.approx(shipped.loss(S, 1e4, 3e5), rel=1e-6), part.name


def test_the_shipped_comparison_says_what_its_laws_say() -> None:
    table = msgspec.json.decode(SHIPPED.comparison.read_bytes(), type=StrategyTable)
    for row in table.sets:
        own = coefficients(read_law(SHIPPED.law_of(row.strategy)), row.pattern)
        for at in row.at:
            assert at.multiplier.value == pytest.approx(float(own.size_multiplier(at.sparsity, table.nonzero_params)))
            assert at.multiplier.interval is not None
            assert at.multiplier.interval[0] <= at.multiplier.value <= at.multiplier.interval[1]
    assert {one.of for one in table.differences} == {"multiplier", "loss"}
