"""Repeated data: published values, limits, and optima against brute force, for laws of several forms."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseplan.laws.file import load_law
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats, flops_budget
from sparseplan.laws.forms.repeated import Rate, Repeated, effective_epochs
from sparseplan.laws.law import coefficients
from sparseplan.laws.unique_data import limited
from tests.laws.forms.test_forms import BENT, COUPLED, COUPLED_DENSE, HOFFMANN, T5, WU, by_name

R_N, R_D = Rate(11.08763712, 1.90395629, -2.79909313), Rate(4.40474882, 1.82138122, -1.36530917)
SPARSE_FROM_THE_START = 1.0  # kappa: c_mul is 1


def wu(U: float) -> Theta:
    law = load_law("wu2026-llama-c4")
    return limited(law, U).limit(coefficients(law))


# Values of the authors' notebook, recomputed: laws.md has them to five digits after the point.
@pytest.mark.parametrize(
    ("N", "U", "D", "S", "expected"),
    [
        (1e9, 20e9, 20e9, 0.0, 2.75632),
        (1e9, 5e9, 20e9, 0.0, 2.77500),
        (0.5e9, 5e9, 20e9, 0.5, 2.78368),
        (0.5e9, 20e9, 20e9, 0.5, 2.77196),
    ],
)
def test_the_built_in_decoder_law_has_the_published_losses(
    N: float, U: float, D: float, S: float, expected: float
) -> None:
    assert float(wu(U).loss(S, N, D)) == pytest.approx(expected, abs=5e-6)


def test_the_dense_counterpart_is_muennighoffs_law_by_hand() -> None:
    law = load_law("muennighoff2023-c4")
    theta = limited(law, 1e9).limit(coefficients(law))
    # By hand: alpha = beta, so N_opt(U) = U (A / B)^(1 / alpha); 2e9 parameters, 8 epochs.
    A, B, E, alpha = np.exp(6.255414), np.exp(7.3049974), np.exp(0.6254804), 0.3526596
    U_N = 1e9 * (A / B) ** (1 / alpha)
    size = U_N + U_N * 5.309743 * (1 - np.exp(-(2e9 / U_N - 1) / 5.309743))
    data = 1e9 + 1e9 * 15.387756 * (1 - np.exp(-7 / 15.387756))
    expected = A / size**alpha + B / data**alpha + E
    assert float(theta.loss(0.0, 2e9, 8e9)) == pytest.approx(expected, rel=1e-8)


def test_four_epochs_are_nearly_as_good_as_new_data_and_no_number_is_worth_more_than_its_limit() -> None:
    assert effective_epochs(4.0, 15.387756) == pytest.approx(1 + 15.387756 * (1 - np.exp(-3 / 15.387756)))
    assert effective_epochs(1e6, 15.387756) == pytest.approx(16.387756)
    assert effective_epochs(1.0, 15.387756) == 1.0


def test_with_scarce_unique_data_half_sparse_wins_at_dense_cost_and_with_plenty_it_does_not() -> None:
    def best_loss(U: float, S: float) -> float:
        theta, budget = wu(U), flops_budget(1e20 / 6, 0.0)
        N = theta.best_size(S, budget)
        return float(theta.loss(S, N, budget.data(S, N)))

    assert [round(best_loss(1.3e9, S), 3) for S in (0.5, 0.0)] == [2.844, 2.860]
    assert [round(best_loss(1e13, S), 3) for S in (0.5, 0.0)] == [2.783, 2.768]


EXAMPLES = [T5, HOFFMANN, BENT, COUPLED, COUPLED_DENSE, WU]


@pytest.mark.parametrize("theta", EXAMPLES, ids=by_name)
def test_unlimited_data_give_the_law_itself(theta: Theta) -> None:
    N, D = np.geomspace(1e6, 1e12, 7)[:, None], np.geomspace(1e8, 1e14, 7)
    for S in (0.0, 0.75) if theta.form.knows_sparsity else (0.0,):
        plain = theta.loss(S, N, D)
        for U in (np.inf, 1e20):
            np.testing.assert_allclose(Repeated(theta, R_N, R_D, U).loss(S, N, D), plain, rtol=1e-9)
    budget = flops_budget(1e19, 0.625)
    far = Repeated(theta, R_N, R_D, 1e20)
    np.testing.assert_allclose(far.best_size(0.0, budget), theta.best_size(0.0, budget), rtol=1e-7)
    assert float(far.best_sparsity(budget)) == pytest.approx(float(theta.best_sparsity(budget)), abs=1e-4)
    np.testing.assert_allclose(far.optimal_tokens(N), theta.optimal_tokens(N), rtol=1e-7)
    reached = theta.reducible(0.0, 1e9, 1e10)
    np.testing.assert_allclose(far.cheapest_tokens(reached), theta.cheapest_tokens(reached), rtol=1e-7)


@pytest.mark.parametrize("theta", EXAMPLES, ids=by_name)
def test_data_that_are_not_repeated_give_the_law_itself_up_to_the_size_that_they_are_enough_for(theta: Theta) -> None:
    limit = Repeated(theta, R_N, R_D, 1e10)
    N = float(limit.unique_size(0.0)) * np.array([0.01, 0.5, 1.0])
    D = np.array([[1e8], [1e10]])
    np.testing.assert_array_equal(limit.loss(0.0, N, D), theta.loss(0.0, N, D))
    # Beyond either edge the loss goes on without a jump, and a repeat is worth less than new data.
    assert float(limit.loss(0.0, N[1], 1e10 * (1 + 1e-9))) == pytest.approx(
        float(theta.loss(0.0, N[1], 1e10)), rel=1e-9
    )
    assert float(limit.loss(0.0, N[1], 4e10)) > float(theta.loss(0.0, N[1], 4e10))
    assert float(limit.loss(0.0, N[1], 4e10)) < float(theta.loss(0.0, N[1], 1e10))


@settings(max_examples=25)
@given(
    st.sampled_from(EXAMPLES),
    st.floats(15.5, 21.0),
    st.floats(8.0, 12.0),
    st.sampled_from([0.0, 0.3, 0.875]),
    st.sampled_from([0.0, 0.625, 1.0]),
)
def test_the_best_size_under_limited_data_beats_every_size_of_a_fine_grid(
    theta: Theta, log_tokens: float, log_unique: float, S: float, saving: float
) -> None:
    S = S if theta.form.knows_sparsity else 0.0
    limit, budget = Repeated(theta, R_N, R_D, 10.0**log_unique), flops_budget(10.0**log_tokens, saving)
    N = limit.best_size(S, budget)
    tried = float(N) * np.exp(np.concatenate([np.linspace(-9, 9, 2001), np.linspace(-0.01, 0.01, 201)]))
    losses = limit.reducible(S, tried, budget.data(S, tried))
    assert float(limit.reducible(S, N, budget.data(S, N))) <= losses.min() * (1 + 1e-12)


@settings(max_examples=12)
@given(
    st.sampled_from([T5, BENT, COUPLED, WU]),
    st.floats(16.0, 20.0),
    st.floats(8.0, 12.0),
    st.sampled_from([0.0, 0.625, 1.0]),
    st.sampled_from(["free", "N", "M"]),
)
def test_the_best_sparsity_under_limited_data_beats_every_one_of_a_fine_grid(
    theta: Theta, log_tokens: float, log_unique: float, saving: float, size: str
) -> None:
    limit, budget = Repeated(theta, R_N, R_D, 10.0**log_unique), flops_budget(10.0**log_tokens, saving)
    fixed = {} if size == "free" else {size: 3e8}

    def reached(S: np.ndarray) -> np.ndarray:
        N = limit.best_size(S, budget) if size == "free" else 3e8 * (1 - S) if size == "M" else np.full(S.shape, 3e8)
        return limit.reducible(S, N, budget.data(S, N))

    best = limit.best_sparsity(budget, highest=0.9375, **fixed)
    assert float(reached(np.asarray(best))) <= reached(np.linspace(0.0, 0.9375, 1501)).min() * (1 + 1e-9)


@settings(max_examples=25)
@given(st.sampled_from(EXAMPLES), st.floats(16.0, 20.0), st.floats(8.0, 12.0))
def test_costs_of_a_loss_invert_the_loss_of_a_cost_under_limited_data(
    theta: Theta, log_tokens: float, log_unique: float
) -> None:
    limit, budget = Repeated(theta, R_N, R_D, 10.0**log_unique), flops_budget(10.0**log_tokens, 0.0)
    N = limit.best_size(0.0, budget)
    D = budget.data(0.0, N)
    reached = limit.reducible(0.0, N, D)
    if float(D) < 30 * 10.0**log_unique:  # far beyond R_D epochs a loss has no digits left that tell data apart
        assert float(limit.data_for(0.0, N, reached)) == pytest.approx(float(D), rel=1e-4)
        assert float(limit.cheapest_tokens(reached)) == pytest.approx(10.0**log_tokens, rel=1e-4)
        assert float(limit.optimal_tokens(N)) == pytest.approx(10.0**log_tokens, rel=1e-4)


def test_a_loss_below_what_the_unique_data_can_reach_costs_infinitely_much() -> None:
    limit = Repeated(WU, R_N, R_D, 1e9)
    least = float(limit.reducible(0.0, np.inf, np.inf))
    assert np.isfinite(limit.cheapest_tokens(1.05 * least))
    assert np.isinf(limit.cheapest_tokens(0.999 * least))
    assert np.isinf(limit.data_for(0.0, 1e9, 0.999 * float(limit.reducible(0.0, 1e9, np.inf))))


def test_draws_are_planned_one_by_one() -> None:
    factors = np.exp(0.05 * np.random.default_rng(0).standard_normal((5, 2)))
    drawn = Repeated(replace(T5, b_N=T5.b_N * factors[:, 0]), R_N, Rate(10.0 * factors[:, 1]), 1e10)
    budget = flops_budget(1e19, 0.625)
    together = drawn.best_sparsity(budget)
    for k in range(5):
        alone = Repeated(replace(T5, b_N=T5.b_N * factors[k, 0]), R_N, Rate(10.0 * factors[k, 1]), 1e10)
        assert float(together[k]) == pytest.approx(float(alone.best_sparsity(budget)), abs=1e-6)
        assert float(drawn.best_size(0.5, budget)[k]) == pytest.approx(float(alone.best_size(0.5, budget)), rel=1e-8)


def test_a_cost_that_depends_on_the_size_is_searched() -> None:
    def multiplier(S: Floats, N: Floats) -> Array:
        return np.asarray((1.0 + 1.0 / (1.0 + np.asarray(N) / 1e9)) / (1.0 - np.asarray(S)))

    budget = Budget(tokens=1e19, multiplier=multiplier, depends_on_size=True)
    limit = Repeated(WU, R_N, R_D, 1.3e9)
    N = limit.best_size(0.5, budget)
    tried = float(N) * np.exp(np.linspace(-3, 3, 3001))
    best = float(limit.reducible(0.5, N, budget.data(0.5, N)))
    assert best <= limit.reducible(0.5, tried, budget.data(0.5, tried)).min() * (1 + 1e-12)
