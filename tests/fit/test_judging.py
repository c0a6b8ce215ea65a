"""Intervals hold the truth as often as they say, and the tests of the law find what is there and only that."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.fit_coverage import coverage, ours, setups
from sparseplan.fit.compare import average_parameter_law, exponent_depends_on_sparsity
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.holdout import power_law
from sparseplan.fit.influence import level_errors, notable_runs, without_each_run
from sparseplan.fit.levels import level_of
from sparseplan.fit.shared_errors import INDEPENDENT, error_model
from sparseplan.laws.forms.frantar2023 import loss
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule
from tests.fit.test_fit import simulate as t5_like_grid

T5 = setups()[0]


def t5_like(seed: int) -> Runs:
    return replace(T5, spread=0.003).runs(np.random.default_rng(seed))


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 3, 6, 7, 9])
def test_ninety_percent_intervals_of_sparsity_and_loss_hold_the_truth_in_85_to_97_percent(number: int) -> None:
    setup = setups()[number]
    covered = coverage(setup, {"ours": ours}, simulations=300, draws=200)["ours"]
    chance = 3 * np.sqrt(0.9 * 0.1 / 300)  # three standard errors of one question's share
    # Up to 97: draws allow for errors that runs may share, which few independent runs can't rule out.
    assert 0.85 <= covered[:9].mean() <= 0.97
    assert 0.85 <= covered[9:].mean() <= 0.97
    assert covered.min() >= 0.85 - chance
    assert covered.max() <= 0.97 + chance


def test_a_few_tables_already_show_intervals_of_the_right_order() -> None:
    covered = coverage(T5, {"ours": ours}, simulations=30, draws=100)["ours"]
    assert 0.8 <= covered.mean() <= 1.0


def test_an_exponent_that_depends_on_sparsity_is_found_and_the_other_is_not_blamed() -> None:
    runs = t5_like(3)
    tilted = replace(runs, loss=runs.loss + _extra_capacity(runs))
    b_N, b_D = exponent_depends_on_sparsity(fit_law(tilted), 150, np.random.default_rng(0))
    assert (b_N.exponent, b_D.exponent) == ("b_N", "b_D")
    assert b_N.p_value < 0.05
    assert b_N.interval[0] > 0 or b_N.interval[1] < 0
    assert b_N.objective_ratio < 0.9
    assert b_D.objective_ratio > b_N.objective_ratio


def _extra_capacity(runs: Runs) -> np.ndarray:
    """What a b_N that is 0.04 smaller at S = 0.875 than at S = 0 adds to the loss, about the runs' centre."""
    x = np.log(runs.nonzero_params) - np.log(runs.nonzero_params).mean()
    u = np.log1p(-runs.sparsity)
    free = replace(T5.truth, a_D=1e-30, c=0.0)
    capacity = loss(free, runs.sparsity, runs.nonzero_params, runs.data_seen)
    return np.asarray(capacity * (np.exp(-0.02 * u * x) - 1.0))


def test_a_law_that_is_right_is_rarely_rejected() -> None:
    values = [
        one.p_value
        for seed in range(12)
        for one in exponent_depends_on_sparsity(fit_law(t5_like(seed), starts=16), 60, np.random.default_rng(seed))
    ]
    assert len(values) == 24
    assert np.mean(np.array(values) < 0.05) <= 0.25  # 0.05 expected, 24 tables


def test_errors_that_trunks_share_are_not_taken_for_an_exponent_that_depends_on_sparsity() -> None:
    """Each trunk strays as a whole: taken as independent runs, two of these three tables reject a law that is right."""
    alone: list[float] = []
    grouped: list[float] = []
    for seed in (2, 3, 9):
        runs = t5_like_grid(noise=0.001, seed=seed)
        trunk = level_of(np.log(runs.nonzero_params / (1 - runs.sparsity)))
        stray = 0.008 * np.random.default_rng(100 + seed).standard_normal(int(trunk.max()) + 1)[trunk]
        fit = fit_law(replace(runs, loss=runs.loss * np.exp(stray), group=trunk, grouped_by="trunk"), starts=16)
        for values, errors in ((alone, INDEPENDENT), (grouped, error_model(fit))):
            b_N, _ = exponent_depends_on_sparsity(fit, 60, np.random.default_rng(0), errors)
            values.append(b_N.p_value)
    assert np.sum(np.array(alone) < 0.05) == 2
    assert np.sum(np.array(grouped) < 0.05) == 0
    assert all(p < q for p, q in zip(alone, grouped, strict=True))


def test_the_average_parameter_law_wins_on_runs_that_it_made() -> None:
    runs = t5_like(0)
    active = runs.nonzero_params * Schedule().mean_density(runs.sparsity) / (1 - runs.sparsity)
    noise = np.exp(0.003 * np.random.default_rng(1).standard_normal(len(runs)))
    made = replace(runs, loss=loss(T5.truth, 0.0, active, runs.data_seen) * noise)
    rival = average_parameter_law(fit_law(made), Schedule(), starts=16, draws=200, seed=0, rng=np.random.default_rng(0))
    assert rival is not None
    assert rival.p_law_better < 0.95
    assert rival.error < 0.005
    sparse = average_parameter_law(
        fit_law(runs), Schedule(), starts=16, draws=200, seed=0, rng=np.random.default_rng(0)
    )
    assert sparse is not None
    assert sparse.p_law_better > 0.99
    assert sparse.law_error < sparse.error


def spoiled(row: int) -> Fit:
    runs = t5_like(1)
    losses = runs.loss.copy()
    losses[row] *= 1.05
    return fit_law(replace(runs, loss=losses))


def test_a_spoiled_run_is_the_worst_fitted_one_and_barely_moves_a_huber_fit() -> None:
    fit = spoiled(17)
    influential, worst = notable_runs(fit, without_each_run(fit))
    assert worst[0].run_id == "17"
    assert worst[0].error == pytest.approx(-0.05, abs=0.01)
    assert worst[0].shift < 0.01
    assert influential[0].shift >= influential[-1].shift


def test_leaving_out_agrees_with_fitting_the_table_without_that_run() -> None:
    fit = spoiled(17)
    without = without_each_run(fit)
    rest = fit.runs.take(np.arange(len(fit.runs)) != 17)
    again = fit_law(rest)
    assert fit.predict(rest, without[17]) == pytest.approx(again.predicted, rel=1e-7)


def test_errors_by_level_count_every_run_once_on_each_axis() -> None:
    fit = fit_law(t5_like(0))
    rows = level_errors(fit)
    for axis, levels in (("S", 4), ("N", 4), ("D", 3)):
        chosen = [row for row in rows if row.axis == axis]
        assert len(chosen) == levels
        assert sum(row.runs for row in chosen) == 48
        assert all(row.rms >= abs(row.mean) for row in chosen)


def test_scattered_sizes_are_binned_with_every_run_in_one_bin() -> None:
    runs = t5_like(0)
    scattered = replace(runs, nonzero_params=runs.nonzero_params * np.geomspace(1, 2, 48))
    rows = [row for row in level_errors(fit_law(scattered, starts=8)) if row.axis == "N"]
    assert len(rows) == 6
    assert sum(row.runs for row in rows) == 48
    assert all(6 <= row.runs <= 10 for row in rows)
    assert all(one.high < other.low for one, other in pairwise(rows))
    assert all(row.low <= row.value <= row.high for row in rows)


def test_the_baseline_is_exact_on_a_plain_power_law() -> None:
    runs = t5_like(0)
    plain = 30 * runs.nonzero_params**-0.1 * runs.data_seen**-0.05 * (1 - runs.sparsity) ** 0.03
    table = replace(runs, loss=plain)
    assert power_law(table.take(np.arange(24)), table) == pytest.approx(plain, rel=1e-9)
