"""The shipped refits are what their runs give, and predict the authors' held-out run."""

import numpy as np
import pytest

from scripts import refit_builtin_laws
from sparseplan.fit.fit_table import FitJob, fit_runs
from sparseplan.laws.file import load_law
from sparseplan.laws.forms.frantar2023 import Coefficients
from sparseplan.laws.forms.frantar2023_optimum import sparsity_at_free_size
from sparseplan.laws.law import coefficient_draws, coefficients
from sparseplan.runs.published import t5_runs
from tests.helpers.paper_runs import FOLDER, needs_paper_runs

HELD_OUT = (0.75, 48 * (12 * 1024**2), 500_000 * 65_536)  # S, N, D of the authors' one larger T5 run
MEASURED = 1.4827780204906797


@needs_paper_runs
def test_refitting_the_authors_runs_gives_the_shipped_laws_again() -> None:
    for result in refit_builtin_laws.refits(FOLDER):
        assert refit_builtin_laws.differences(result) == []


@needs_paper_runs
def test_a_shipped_law_that_was_changed_by_hand_is_noticed() -> None:
    runs = t5_runs()
    other = fit_runs(runs.take(np.arange(len(runs)) > 0), FitJob(draws=100, name="frantar2023-t5-c4-refit"))
    assert any("b_D is" in line for line in refit_builtin_laws.differences(other))


def test_both_t5_laws_predict_the_held_out_larger_run_and_the_refit_says_how_surely() -> None:
    published, refit = (load_law(name) for name in ("frantar2023-t5-c4", "frantar2023-t5-c4-refit"))
    by_published = float(coefficients(published, "unstructured").loss(*HELD_OUT))
    by_refit = float(coefficients(refit, "unstructured").loss(*HELD_OUT))
    assert by_published == pytest.approx(MEASURED, rel=0.03)
    assert by_refit == pytest.approx(MEASURED, rel=0.03)
    draws = coefficient_draws(refit, "unstructured")
    assert draws is not None
    low, high = np.quantile(draws.loss(*HELD_OUT), [0.05, 0.95])
    assert low < by_refit < high
    assert high - low < 0.1


def test_the_coupled_refit_comes_closer_to_the_larger_run_than_the_plain_one() -> None:
    errors, beyond = [], []
    for name in ("frantar2023-t5-c4-coupled", "frantar2023-t5-c4-refit"):
        law = load_law(name)
        draws = coefficient_draws(law, "unstructured")
        assert draws is not None
        errors.append(abs(float(coefficients(law, "unstructured").loss(*HELD_OUT)) / MEASURED - 1))
        beyond.append(MEASURED - float(np.quantile(draws.loss(*HELD_OUT), 0.95)))
    assert errors[0] < 0.012 < errors[1]
    assert beyond[0] < 0.001 < beyond[1]  # nats above the 90 % interval, which knows of no measured run's own scatter


def test_best_sparsity_with_free_size_is_stable_where_exponents_are_not() -> None:
    draws = coefficient_draws(load_law("frantar2023-t5-c4-refit"), "unstructured")
    assert isinstance(draws, Coefficients)
    low, high = np.quantile(sparsity_at_free_size(draws, 0.625), [0.05, 0.95])
    assert 0.45 < low < high < 0.55
    b_D = np.quantile(np.asarray(draws.b_D), [0.05, 0.95])
    assert b_D[1] > 4 * b_D[0]
