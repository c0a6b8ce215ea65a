"""Claims about the committed comparison of strategies: its runs, its laws, and what it says of them."""

from pathlib import Path

import msgspec
import pytest

from sparseplan.calibration.fit_runs import fit_calibration
from sparseplan.calibration.manifest import differences, read_manifest
from sparseplan.calibration.recipe import load_recipe
from sparseplan.fit.against_runs import check_runs
from sparseplan.fit.strategy_answer import StrategyTable
from sparseplan.laws.file import load_law_of, read_law
from sparseplan.laws.law import coefficients
from sparseplan.runs.job import RunRecord, read_result
from sparseplan.runs.reading import Reading
from sparseplan.runs.table import read_runs
from sparseplan.sweep.folder import Folder

SHIPPED = Folder(Path(__file__).parents[2] / "calibration" / "strategies-cpu")


def test_the_shipped_calibration_has_a_record_behind_every_row_and_a_law_for_every_strategy() -> None:
    found = load_recipe(str(SHIPPED.recipe)).recipe
    assert len(found.strategies) >= 6
    table = read_runs(SHIPPED.runs_table, Reading(several_strategies=True))
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
