"""The error of a measured run: hand values of its distance and size, and what a law file may say of it."""

import numpy as np
import pytest

from sparseplan.errors import LawError
from sparseplan.laws.file import law_text, parse_law
from sparseplan.laws.law import Range
from sparseplan.laws.run_error import RunError

COVERED = Range(sparsity=(0.0, 0.75), nonzero_params=(1e6, 1e8), data_seen=(1e9, 1e10))
ERROR = RunError(runs=0.03, groups=0.04, beyond=0.12, product=(1e15, 1e18))

LAW = """
format: sparseplan-law/1
name: mine
description: by hand
form: chinchilla
data_unit: token
coefficients: {E: 1.8, A: 400, alpha: 0.34, B: 2000, beta: 0.37}
prediction: {runs: 0.004, beyond: 0.01, product: [1.0e+15, 1.0e+18]}
"""


def test_the_distance_is_the_log_of_the_furthest_factor_outside_on_any_axis() -> None:
    S, N, D = (
        np.array([0.5, 0.5, 0.5, 0.875, 0.0]),
        np.array([1e8, 2e8, 1e6, 1e7, 5e5]),
        np.array([1e10, 1e9, 1e9, 1e9, 4e9]),
    )
    assert ERROR.distance(COVERED, S, N, D) == pytest.approx(np.log([1, 2, 1, 2, 2]))
    assert RunError(runs=0, beyond=0, product=(1e15, 5e17)).distance(COVERED, 0.5, 1e8, 1e10) == pytest.approx(
        np.log(2)
    )


def test_the_three_parts_add_up_as_variances() -> None:
    assert ERROR.deviation(0.0) == pytest.approx(0.05)
    assert ERROR.deviation(1.0) == pytest.approx(0.13)


def test_the_interval_of_a_run_is_that_of_its_error_around_a_known_mean_and_of_the_draws_without_one() -> None:
    low, high = ERROR.interval(np.full(10, 2.0), 0.0)
    assert np.log(high / 2.0) == pytest.approx(1.645 * 0.05, rel=0.01)  # the normal distribution in 2,001 points
    assert np.log(low / 2.0) == pytest.approx(-1.645 * 0.05, rel=0.01)
    draws = np.linspace(1.9, 2.1, 201)
    sure = RunError(runs=0.0, beyond=0.1, product=(1e15, 1e18))
    assert sure.interval(draws, 0.0) == pytest.approx((1.91, 2.09), abs=1e-3)


def test_a_law_file_keeps_its_prediction_block() -> None:
    law = parse_law(LAW, source="mine.yaml")
    assert law.prediction == RunError(runs=0.004, beyond=0.01, product=(1e15, 1e18))
    assert parse_law(law_text(law), source="again.yaml") == law


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("beyond: -0.01", "expected"),
        ("product: [1.0e+18, 1.0e+15]", "smallest, largest"),
        ("beyound: 0.01", "beyond"),
    ],
)
def test_a_wrong_prediction_block_is_refused_by_line(wrong: str, words: str) -> None:
    key = wrong.partition(":")[0]
    old = {"beyond": "beyond: 0.01", "beyound": "beyond: 0.01", "product": "product: [1.0e+15, 1.0e+18]"}[key]
    with pytest.raises(LawError, match=words) as problem:
        parse_law(LAW.replace(old, wrong), source="mine.yaml")
    assert "mine.yaml:8" in str(problem.value)
