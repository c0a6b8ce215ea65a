"""Fits of runs that repeat their data: recovery, the 161 published runs, what is refused and what is said."""

import csv
import dataclasses

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.errors import FitError, RunsError
from sparseplan.fit.fit_table import FitJob, FitResult, fit_runs
from sparseplan.fit.fitting import fit_law
from sparseplan.fit.repeats import effective_design
from sparseplan.laws.file import law_text, parse_law
from sparseplan.laws.forms.chinchilla import Coefficients as Dense
from sparseplan.laws.forms.repeated import Rate, Repeated
from sparseplan.runs.published import published_folder
from sparseplan.runs.table import Runs
from tests.helpers.laws import T5

FILE = published_folder().parent / "muennighoff2023" / "runs.csv"
needs_repeated_runs = pytest.mark.skipif(not FILE.exists(), reason=f"the published runs aren't at {FILE}")
HOFFMANN = Dense(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)


def made(*, noise: float = 0.0, seed: int = 0) -> Runs:
    """Dense runs, half of them repeating their data, from a law with R_N 5 and R_D 12."""
    U, N, epochs = (
        axis.ravel() for axis in np.meshgrid([1e8, 1e9, 1e10], [1e7, 1e8, 1e9, 8e9], [1.0, 2.0, 6.0, 20.0, 60.0])
    )
    D = U * epochs
    loss = Repeated(HOFFMANN, Rate(5.0), Rate(12.0), U).loss(0.0, N, D)
    return _runs(np.zeros(len(N)), N, D, U, loss * np.exp(noise * np.random.default_rng(seed).standard_normal(len(N))))


def made_sparse() -> Runs:
    """Runs at three sparsities, whose rates double from S = 0 to S = 1."""
    S, U, N, epochs = (
        axis.ravel() for axis in np.meshgrid([0.0, 0.5, 0.75], [1e9, 1e10], [1e7, 1e8, 1e9], [1.0, 4.0, 16.0, 64.0])
    )
    D = U * epochs
    loss = Repeated(T5, Rate(6.0, 1.0), Rate(8.0, 1.0), U).loss(S, N, D)
    return _runs(S, N, D, U, loss)


def _runs(S: np.ndarray, N: np.ndarray, D: np.ndarray, U: np.ndarray, loss: np.ndarray) -> Runs:
    return Runs(
        sparsity=S,
        nonzero_params=N,
        data_seen=D,
        loss=loss,
        family=("unstructured",) * len(S),
        run_id=tuple(map(str, range(len(S)))),
        unique_data=U,
    )


def test_a_fit_recovers_the_law_and_the_rates_that_made_the_runs() -> None:
    fit = fit_law(made(), starts=32)
    assert fit.certificate.status == "converged"
    assert fit.certificate.starts_at_optimum >= 2
    assert fit.rates is not None
    assert (float(fit.rates.R_N.dense), float(fit.rates.R_D.dense)) == pytest.approx((5.0, 12.0), rel=1e-3)
    # ... and predicts runs far beyond them: larger, on more data, repeated more often.
    far = _runs(*(np.array([value]) for value in (0.0, 1e11, 1e13, 1e11, 1.0)))
    expected = Repeated(HOFFMANN, Rate(5.0), Rate(12.0), 1e11).loss(0.0, 1e11, 1e13)
    assert float(fit.predict(far)[0]) == pytest.approx(float(expected), rel=1e-4)


def test_rates_that_change_with_sparsity_are_fitted_where_the_runs_show_it() -> None:
    result = fit_runs(made_sparse(), FitJob(starts=32, draws=0))
    block = result.law.repetition
    assert block is not None
    for name, dense in (("R_N", 6.0), ("R_D", 8.0)):
        assert float(block.rate(name).at(0.0)) == pytest.approx(dense, rel=1e-2)
        assert float(block.rate(name).at(0.75)) == pytest.approx(1.75 * dense, rel=1e-2)
    assert result.answer.repetition is not None
    assert result.answer.repetition.by_sparsity == pytest.approx({"R_N": 10.5, "R_D": 14.0}, rel=1e-2)
    # Of runs at one sparsity that repeat data there is no telling: the rates are numbers.
    few = made_sparse()
    assert few.unique_data is not None
    plain = few.take((few.sparsity == 0) | (few.data_seen <= few.unique_data))
    assert isinstance(getattr(fit_runs(plain, FitJob(starts=32, draws=0)).law.repetition, "R_D", None), float)


def test_the_forms_own_certified_fit_on_effective_data_stands_where_the_joint_one_does() -> None:
    fit = fit_law(made(noise=0.01), starts=32)
    assert fit.joint is not None
    assert fit.rates is not None
    effective = effective_design(fit.fitted, fit.joint.design, fit.theta, fit.rates, fit.runs)
    np.testing.assert_allclose(effective.x, fit.design.x, rtol=1e-12)
    size, data = fit.counted
    assert np.all(size <= fit.runs.nonzero_params * (1 + 1e-12))
    assert np.all(data <= fit.runs.data_seen * (1 + 1e-12))
    assert data.max() < 0.5 * fit.runs.data_seen.max()
    # At fixed effective size and data the form alone gains nothing worth a rerun.
    again = dataclasses.replace(
        fit.runs,
        nonzero_params=np.exp(effective.x + effective.log_N0),
        data_seen=np.exp(effective.y + effective.log_D0),
        unique_data=None,
    )
    alone = fit_law(again, starts=32)
    assert alone.value <= fit.value
    np.testing.assert_allclose(alone.predicted, fit.predicted, rtol=5e-3)


def test_where_nothing_is_repeated_the_column_changes_no_fit() -> None:
    runs = made(noise=0.01)
    assert runs.unique_data is not None
    once = runs.take(runs.data_seen <= runs.unique_data)
    with_column, without = (fit_law(one, starts=16) for one in (once, dataclasses.replace(once, unique_data=None)))
    np.testing.assert_array_equal(with_column.theta, without.theta)
    assert with_column.rates is None
    assert fit_runs(once, FitJob(starts=16, draws=0)).law.repetition is None


def test_the_rates_travel_with_the_law_and_its_draws_into_plans(tmp_path_factory: pytest.TempPathFactory) -> None:
    result = fit_runs(made(noise=0.005), FitJob(name="repeated", starts=32, draws=200))
    law = parse_law(law_text(result.law), source="repeated.yaml")
    assert law.draws is not None
    assert {"repetition.R_N", "repetition.R_D"} <= set(law.draws.columns)
    assert (law.range.unique_data, law.range.epochs) == ((1e8, 1e10), (1.0, 60.0))
    assert result.answer.repetition is not None
    assert result.answer.repetition.intervals is not None
    for name, truth in (("R_N", 5.0), ("R_D", 12.0)):
        low, high = result.answer.repetition.intervals[name]
        assert low < truth < high
        assert high < 3 * low
    answer = sp.optimal(1e20, law=law, unique_data="1B")
    assert answer.repetition is not None
    assert not answer.repetition.borrowed
    assert abs(answer.repetition.R_D / 12.0 - 1) < 0.3
    assert answer.intervals is not None
    assert "repetition-undrawn" not in {one.code for one in answer.warnings}


def test_held_out_runs_are_predicted_at_their_own_epochs() -> None:
    result = fit_runs(made(), FitJob(starts=16, draws=0, holdout="largest-n"))
    assert result.answer.holdout is not None
    assert result.answer.holdout[0].law.rms < 1e-3
    assert result.answer.holdout[0].baseline.rms > 0.02


def test_an_empty_cell_means_unique_data_and_a_bad_one_is_named() -> None:
    runs = made(noise=0.01)
    assert runs.unique_data is not None
    table: dict[str, list[object]] = {
        "sparsity": list(runs.sparsity),
        "nonzero_params": list(runs.nonzero_params),
        "data_seen": list(runs.data_seen),
        "loss": list(runs.loss),
        "unique_data": [U if D > U else "" for U, D in zip(runs.unique_data, runs.data_seen, strict=True)],
    }
    fitted = sp.fit(table, draws=0, starts=16)
    assert fitted.law.repetition is not None
    assert fitted.answer.repetition is not None
    assert fitted.answer.repetition.runs == int(np.sum(runs.data_seen > runs.unique_data))
    assert "Repeated data, from 48 runs of up to 60 epochs: R_D" in str(fitted)
    table["unique_data"][3] = -1
    with pytest.raises(RunsError, match="row 4: unique_data: expected a number above 0"):
        sp.fit(table, draws=0)


def test_a_frozen_base_and_repeated_data_do_not_go_together() -> None:
    with pytest.raises(FitError, match=r"runs that repeat data .* Leave `freeze_dense` out"):
        fit_runs(made_sparse(), FitJob(freeze_dense="besiroglu2024-chinchilla"))


@pytest.fixture(scope="module")
def published() -> FitResult:
    rows = list(csv.DictReader(FILE.read_text(encoding="utf-8").splitlines()))
    U, N, D, loss = (
        np.array([float(row[key]) for row in rows]) for key in ("unique_tokens", "params", "tokens", "loss")
    )
    return fit_runs(_runs(np.zeros(len(N)), N, D, np.minimum(U, D), loss), FitJob(huber_delta=1e-2, draws=200))


@needs_repeated_runs
def test_the_published_runs_are_met_to_a_median_of_three_percent_at_an_r_d_near_25(published: FitResult) -> None:
    fit, answer = published.fit, published.answer
    assert len(fit.runs) == 161
    assert answer.status == "converged"
    assert answer.starts_at_optimum >= answer.starts // 2
    assert np.median(np.abs(fit.predicted / fit.runs.loss - 1)) == pytest.approx(0.026, abs=1e-3)
    assert answer.repetition is not None
    assert 24 < answer.repetition.R_D < 27
    assert answer.repetition.intervals is not None
    low, high = answer.repetition.intervals["R_D"]
    assert low < answer.repetition.R_D < high
    assert (answer.repetition.runs, answer.repetition.epochs) == (134, 3000.0)


@needs_repeated_runs
def test_what_the_published_runs_leave_open_is_said(published: FitResult) -> None:
    # Models larger than the unique data are enough for lose nothing in these runs: R_N is anything but small.
    assert published.answer.repetition is not None
    assert published.answer.repetition.intervals is not None
    low, high = published.answer.repetition.intervals["R_N"]
    assert low > 10
    assert high > 1000
    message = next(one.message for one in published.answer.warnings if one.code == "repetition-open")
    assert message.startswith("these runs don't pin down what size beyond what is unique counts for: R_N")


@needs_repeated_runs
def test_at_no_other_r_d_does_the_law_refitted_meet_the_published_runs_better(published: FitResult) -> None:
    fit = published.fit
    assert fit.joint is not None
    assert fit.rates is not None
    for R_D in (5.0, 15.4, 40.0):
        # The form refitted at effective data under this R_D; at the fitted R_N size counts in full.
        runs = dataclasses.replace(fit.runs, unique_data=None)
        assert fit.runs.unique_data is not None
        counted = Repeated(HOFFMANN, Rate(1e5), Rate(R_D), fit.runs.unique_data).effective_data(0.0, runs.data_seen)
        alone = fit_law(dataclasses.replace(runs, data_seen=counted), objective=fit.objective)
        assert alone.value > fit.value
