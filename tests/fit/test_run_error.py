"""The error of a run to be trained is measured on held-out runs: small where the law is right, large where it bends."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fit_coverage import SharedSetup
from sparseplan import fit, predict
from sparseplan.fit.bootstrap import bootstrap
from sparseplan.fit.fitting import fit_law
from sparseplan.fit.run_error import Part, held_out, run_error
from sparseplan.laws.run_error import RunError
from sparseplan.runs.published import t5_runs
from sparseplan.runs.table import Runs
from tests.helpers.paper_runs import needs_paper_runs

LARGEST = 48 * 12 * 1024**2
"""Non-zero parameters of the T5 run that the authors held out."""


def measured(runs: Runs) -> RunError:
    return run_error([part(runs)], seed=0)


def part(runs: Runs, form: str | None = None, weight: float = 1.0) -> Part:
    fitted = fit_law(replace(runs, independent=True), form=form, starts=8)
    return Part(fit=fitted, drawn=bootstrap(fitted, 20, np.random.default_rng(0)), weight=weight)


def bent(runs: Runs, amount: float) -> Runs:
    """Losses that rise above any law with the square of log N D about its middle."""
    place = np.log(runs.nonzero_params * runs.data_seen)
    return replace(runs, loss=runs.loss * np.exp(amount * (place - place.mean()) ** 2))


def test_the_scatter_of_runs_is_found_and_a_law_that_bends_errs_more_beyond_the_runs() -> None:
    runs = SharedSetup(name="", own=0.004).runs(np.random.default_rng(1), given=False)
    right, wrong = measured(runs), measured(bent(runs, 0.004))
    assert right.runs == pytest.approx(0.004, rel=0.35)
    assert right.groups == 0.0
    assert right.cuts >= 3
    assert wrong.beyond > 1.5 * right.beyond


def test_what_forms_disagree_on_is_in_the_draws_of_their_average_and_not_counted_again() -> None:
    runs = bent(SharedSetup(name="", own=0.004).runs(np.random.default_rng(1), given=False), 0.002)
    alone = [run_error([part(runs, form)], seed=0) for form in ("frantar2023", "coupled")]
    both = run_error([part(runs, "frantar2023", 0.5), part(runs, "coupled", 0.5)], seed=0)
    assert both.cuts == min(one.cuts for one in alone)
    assert both.runs == pytest.approx(np.sqrt(np.mean([one.runs**2 for one in alone])), rel=0.01)
    assert both.beyond < max(one.beyond for one in alone)


def test_held_out_runs_are_the_dearest_the_largest_and_the_longest_each_cut_once() -> None:
    runs = SharedSetup(name="").runs(np.random.default_rng(1), given=False)
    masks = list(held_out(runs))
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    product = runs.nonzero_params * runs.data_seen
    assert np.array_equal(masks[0], product > np.median(product))
    assert any(np.array_equal(mask, runs.data_seen == runs.data_seen.max()) for mask in masks)


@needs_paper_runs
def test_the_run_that_the_authors_held_out_lies_in_the_interval_of_a_measured_run() -> None:
    found = predict(params=LARGEST, data=500_000 * 65_536, sparsity=0.75, law="frantar2023-t5-c4-refit")
    assert found.interval is not None
    assert found.prediction_interval is not None
    low, high = found.prediction_interval
    assert low < 1.4828 < high
    assert low < found.interval[0] < found.interval[1] < high
    assert predict(params=LARGEST, data=1e10, sparsity=0.75, law="frantar2023-t5-c4").prediction_interval is None


@needs_paper_runs
def test_a_fit_writes_the_block_into_its_law_and_says_it() -> None:
    runs = t5_runs()
    table = {
        "sparsity": runs.sparsity,
        "nonzero_params": runs.nonzero_params,
        "data_seen": runs.data_seen,
        "loss": runs.loss,
    }
    result = fit(table, draws=50, starts=8, group="none")
    assert result.law.prediction == result.answer.prediction
    assert result.law.prediction is not None
    assert 0.004 < result.law.prediction.runs < 0.012
    assert "A measured run is off the law by" in str(result)
    assert fit(table, draws=0, starts=8).law.prediction is None
