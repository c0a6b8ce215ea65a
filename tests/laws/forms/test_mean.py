"""A mean of laws is a law: hand values, and every optimum of it against a search or a grid."""

import numpy as np
import pytest

from sparseplan.laws.forms import search
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Budget, flops_budget
from sparseplan.laws.forms.mean import Mean, descend
from tests.laws.forms.test_forms import COUPLED, T5, WU

MEAN = Mean((T5, COUPLED, WU), (0.5, 0.3, 0.2))
DRAWN = type(T5)(*(np.asarray(value) * np.array([0.97, 1.0, 1.04]) for value in T5))


def test_its_loss_is_the_weighted_mean() -> None:
    place = (0.5, np.array([1e8, 1e9]), 2e10)
    by_hand = 0.5 * T5.loss(*place) + 0.3 * COUPLED.loss(*place) + 0.2 * WU.loss(*place)
    np.testing.assert_allclose(MEAN.loss(*place), by_hand, rtol=1e-14)
    np.testing.assert_allclose(Mean.of(DRAWN).loss(0.5, 1e8, 2e10), DRAWN.loss(0.5, 1e8, 2e10).mean(), rtol=1e-14)
    assert float(Mean((T5,), (1.0,)).loss(0.75, 85e6, 65.5e9)) == pytest.approx(1.6317, abs=5e-5)


def test_many_draws_in_pieces_have_the_mean_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Mean.of(DRAWN).loss(0.5, 1e8, 2e10)
    monkeypatch.setattr("sparseplan.laws.forms.mean._AT_A_TIME", 2)
    pieces = Mean.of(DRAWN)
    assert pieces.weights == pytest.approx((2 / 3, 1 / 3))
    assert float(pieces.loss(0.5, 1e8, 2e10)) == pytest.approx(float(whole), rel=1e-14)


@pytest.mark.parametrize("theta", [MEAN, Mean.of(DRAWN)], ids=["forms", "draws"])
def test_its_best_size_data_and_cheapest_run_are_those_that_a_search_finds(theta: Theta) -> None:
    budget = flops_budget(np.array([1e17, 1e20]), 0.625)
    for S in (0.0, 0.5):
        found = search.best_size(theta, S, budget, *search.ANY_SIZE)
        np.testing.assert_allclose(theta.best_size(S, budget), found, rtol=1e-5)
    dense = flops_budget(1e19, 0.0)
    N = theta.best_size(0.0, dense)
    reached = theta.reducible(0.0, N, dense.data(0.0, N))
    assert float(theta.cheapest_tokens(reached)) == pytest.approx(1e19, rel=1e-8)
    assert float(theta.optimal_tokens(N)) == pytest.approx(1e19, rel=1e-4)  # a flat optimum, by differences
    assert float(theta.data_for(0.0, 1e8, theta.reducible(0.0, 1e8, 3e10))) == pytest.approx(3e10, rel=1e-8)
    assert np.isinf(theta.data_for(0.0, 1e8, 0.999 * theta.reducible(0.0, 1e8, np.inf)))
    assert np.isinf(theta.cheapest_tokens(0.0))


@pytest.mark.parametrize("theta", [MEAN, Mean.of(DRAWN)], ids=["forms", "draws"])
@pytest.mark.parametrize("saving", [0.0, 0.625, 1.0])
def test_with_the_size_free_no_sparsity_and_size_of_a_grid_are_better(theta: Theta, saving: float) -> None:
    budget = flops_budget(1e20, saving)
    S = float(theta.best_sparsity(budget, highest=0.95))
    reached = theta.reducible(S, theta.best_size(S, budget), budget.data(S, theta.best_size(S, budget)))
    grid, sizes = np.linspace(0.0, 0.95, 96)[:, None], np.geomspace(1e8, 1e11, 301)
    losses = theta.reducible(grid, sizes, budget.data(grid, sizes))
    assert float(reached) <= losses.min() + 1e-12
    assert float(reached) == pytest.approx(losses.min(), abs=1e-4)


def test_a_cost_by_width_is_searched_for_too() -> None:
    def multiplier(S: object, N: object) -> np.ndarray:
        return np.asarray((1.0 + 0.3 * np.exp(-(np.log(np.asarray(N) / 1e9) ** 2))) / (1.0 - np.asarray(S)))

    budget = Budget(tokens=1e19, multiplier=multiplier, depends_on_size=True)
    N = MEAN.best_size(0.5, budget)
    sizes = np.geomspace(1e6, 1e12, 20001)
    assert float(MEAN.reducible(0.5, N, budget.data(0.5, N))) <= MEAN.reducible(
        0.5, sizes, budget.data(0.5, sizes)
    ).min() * (1 + 1e-12)


def test_a_sparse_model_has_at_unlimited_data_the_loss_of_the_dense_one_of_multiplied_size() -> None:
    N = np.geomspace(1e6, 1e10, 5)
    m = MEAN.size_multiplier(0.75, N)
    np.testing.assert_allclose(MEAN.reducible(0.75, N, np.inf), MEAN.reducible(0.0, N * m, np.inf), rtol=1e-9)
    assert np.all((m > 1.5) & (m < 2.6))  # between those of its laws


def test_newtons_method_finds_a_minimum_that_bends_either_way_and_keeps_to_the_ends() -> None:
    def bowl(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(2.0 - np.exp(-((x + 1.0) ** 2) - (x + y - 2.0) ** 2))

    found = descend(bowl, (-2.5, 4.6), -3.0, 0.0)
    assert (found.x, found.y) == pytest.approx((-1.0, 3.0), abs=1e-5)
    held = descend(bowl, (-0.5, 2.0), -0.8, 0.0)
    assert (held.x, held.y) == pytest.approx((-0.8, 2.8), abs=1e-5)
