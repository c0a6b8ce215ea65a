"""Errors that runs share are found in their residuals, taken into intervals, and not seen where there are none."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fit_coverage import SharedSetup, shared_coverage, shared_setups
from sparseplan.fit.bootstrap import bootstrap
from sparseplan.fit.derivatives import residual_jacobian
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.shared_errors import error_model
from sparseplan.runs.columns import table_of
from sparseplan.runs.reading import Reading
from sparseplan.runs.table import Runs, runs_from

TRUNKS = next(setup for setup in shared_setups() if setup.name.startswith("5 trunks, .8"))
SEEDS = next(setup for setup in shared_setups() if setup.name.startswith("5 seeds"))


def fitted(setup: SharedSetup, seed: int, *, given: bool = False) -> Fit:
    return fit_law(setup.runs(np.random.default_rng(seed), given=given), starts=8)


def width(fit: Fit, S: float, times: float) -> float:
    """Of the 90 % interval of the loss at a larger size, relative."""
    theta = fit.coefficients("unstructured", bootstrap(fit, 150, np.random.default_rng(0)).theta)
    losses = theta.loss(S, times * 8.5e7, 6.5e10)
    return float(np.subtract(*np.quantile(losses, [0.95, 0.05])) / np.median(losses))


def test_the_restricted_likelihood_is_that_of_the_residuals_covariance() -> None:
    """Against the n-dimensional normal density of the residuals outside the fitted surface, sigma integrated out."""
    fit = fitted(TRUNKS, 1, given=True)
    assert fit.runs.group is not None
    option = error_model(fit).groupings[0]
    assert option is not None
    known = option[1]
    left, _, _ = np.linalg.svd(residual_jacobian(fit.problem, fit.theta), full_matrices=True)
    outside = left[:, len(fit.free) :]
    far = 6.0 * np.median(np.abs(fit.residuals))
    residual = outside.T @ np.clip(fit.residuals, -far, far)
    member = outside.T @ np.eye(5)[fit.runs.group]

    def log_likelihood(ratio: float) -> float:
        covariance = np.eye(len(residual)) + ratio * member @ member.T
        square = residual @ np.linalg.solve(covariance, residual)
        prior = -0.5 * ratio * square / (residual @ residual) / 2.0**2
        return float(-0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * len(residual) * np.log(square) + prior)

    ours = known.log_density - known.log_density[0]
    direct = np.array([log_likelihood(float(ratio)) for ratio in known.ratio])
    assert ours == pytest.approx(direct - direct[0], abs=1e-6)


def test_errors_shared_by_a_dense_size_are_found_without_being_told() -> None:
    fit = fitted(TRUNKS, 3)
    drawn = bootstrap(fit, 150, np.random.default_rng(0))
    best = drawn.errors.found[0]
    assert (best.shared_by, best.groups) == ("dense size", 5)
    assert best.probability > 0.9
    assert best.share > 0.6
    assert 0.003 < best.deviation < 0.03
    assert "shared by dense size" in drawn.method
    plain = replace(fit, runs=replace(fit.runs, independent=True))
    assert width(fit, 0.75, 1.0) > 1.5 * width(plain, 0.75, 1.0)


def test_errors_of_seeds_are_found_by_the_column_that_names_them() -> None:
    fit = fitted(SEEDS, 0)
    assert error_model(fit).found[0].shared_by == "the column seed"


def test_independent_errors_are_mostly_taken_as_such() -> None:
    alone = [error_model(fitted(SharedSetup(name=""), seed)) for seed in range(8)]
    assert sum(one.independent for one in alone) >= 5
    assert np.mean([one.probabilities[0] for one in alone if None in one.groupings]) > 0.7


def test_groups_that_are_given_are_used_and_the_method_says_how_many_draws_take_them() -> None:
    fit = fitted(TRUNKS, 3, given=True)
    drawn = bootstrap(fit, 100, np.random.default_rng(0))
    assert None not in drawn.errors.groupings
    assert drawn.errors.found[0].shared_by == "group"
    assert (
        drawn.method == "refits to simulated losses, percentile intervals: errors shared by group in 100% of the draws"
    )


def test_runs_said_to_be_independent_have_the_draws_of_random_weights_alone() -> None:
    fit = fitted(TRUNKS, 3)
    plain = replace(fit, runs=replace(fit.runs, independent=True))
    assert error_model(plain).independent
    assert bootstrap(plain, 20, np.random.default_rng(0)).method.startswith("weighted bootstrap")


def test_a_table_offers_its_trunks_and_seeds_and_none_says_that_nothing_is_shared() -> None:
    rows = {
        "sparsity": [0.0] * 4,
        "nonzero_params": [1e6, 2e6] * 2,
        "data_seen": [1e9] * 4,
        "loss": [3.0, 2.9, 3.1, 2.8],
    }
    table = table_of({**rows, "seed": [0, 0, 1, 1], "trunk": ["a", "b", "a", "b"]})
    runs = runs_from(table)
    assert runs.grouped_by == "trunk"
    assert {name: numbers.tolist() for name, numbers in runs.labels} == {"trunk": [0, 1, 0, 1], "seed": [0, 0, 1, 1]}
    assert not runs.independent
    alone = runs_from(table, Reading(group="none"))
    assert alone.group is None
    assert alone.independent
    assert isinstance(alone.take(np.array([0, 1])), Runs)
    assert alone.take(np.array([0, 2])).labels[0][1].tolist() == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["4 sizes, .5 % and .5 %", "5 trunks, .5 % and .5 %", "5 seeds, .5 % and .5 %"])
def test_intervals_hold_the_truth_where_few_groups_share_errors(name: str) -> None:
    setup = next(one for one in shared_setups() if one.name == name)
    covered = shared_coverage(setup, 60, 100)
    slack = 3 * np.sqrt(0.9 * 0.1 / 60)  # three standard errors of one question's share
    for letter in "SNL":
        assert 0.85 - slack / 2 <= covered["groups given"][letter].mean() <= 0.95 + slack / 2
    plain = covered["weights"]["L"].mean()  # an error shared by a seed is in every size, and weights do well already
    assert covered["groups not given"]["L"].mean() > (plain - 0.05 if "seeds" in name else plain + 0.05)
