"""The planners against the paper's numbers, closed forms and brute force."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparseplan.cost.flops import Cost, flops_cost
from sparseplan.laws.forms import frantar2023_optimum as optimum
from sparseplan.laws.forms.frantar2023 import Coefficients, loss, shape
from sparseplan.laws.forms.search import LOWEST_DENSITY
from sparseplan.plan.question import Question, best_plan, dense_flops_for, dense_plan, plan_at
from sparseplan.sparsity.pattern import parse_pattern
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.laws import T5, VIT

SPARSE, DENSE = flops_cost("sparse", Schedule()), flops_cost("dense", Schedule())
SPARSE_VIT = flops_cost("sparse", Schedule(), tokens_per_unit=196)

coefficients = st.builds(
    Coefficients,
    a_S=st.floats(1, 300),
    b_S=st.floats(0.2, 2),
    c_S=st.floats(1, 500),
    b_N=st.floats(0.1, 0.8),
    a_D=st.floats(1e6, 1e10),
    b_D=st.floats(0.1, 1.5),
    c=st.floats(0, 5),
)
savings = st.floats(0, 0.95)


def overtraining_where_half_is_optimal(theta: Coefficients, saving: float) -> float:
    """Budget, over the compute-optimal one, at which S_opt = 0.5: by bisection on the planner's answer."""
    N = 1e8
    start = float(theta.optimal_tokens(N))
    low, high = 0.0, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        if float(optimum.sparsity_at_size(theta, saving, N, start * np.exp(middle))) < 0.5:
            low = middle
        else:
            high = middle
    return float(np.exp(low))


@pytest.mark.parametrize(
    ("theta", "saving", "expected"), [(VIT, 0.625, 1.68), (T5, 0.625, 2.44), (VIT, 0.0, 4.82), (T5, 0.0, 70.2)]
)
def test_half_sparsity_is_optimal_at_the_papers_overtraining(
    theta: Coefficients, saving: float, expected: float
) -> None:
    assert overtraining_where_half_is_optimal(theta, saving) == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize(("theta", "best", "ratio"), [(VIT, 0.503, 0.862), (T5, 0.499, 0.866)])
def test_with_the_size_free_the_best_sparsity_and_its_saving_are_the_papers(
    theta: Coefficients, best: float, ratio: float
) -> None:
    question = Question(train_flops=1e22, cost=SPARSE)
    plan = best_plan(theta, question)
    assert float(plan.sparsity) == pytest.approx(best, abs=6e-4)
    assert 1e22 / float(dense_flops_for(theta, question, plan.reducible)) == pytest.approx(ratio, abs=6e-4)


@given(coefficients, st.floats(1e6, 1e11), st.floats(1e16, 1e25))
def test_under_dense_flops_the_optimum_is_the_papers_closed_form(theta: Coefficients, N: float, C: float) -> None:
    density = ((theta.b_D / (theta.a_S * theta.b_S)) * (6 * theta.a_D * N / C) ** theta.b_D * N**theta.b_N) ** (
        1 / (theta.b_S + theta.b_D)
    )
    expected = max(0.0, 1 - float(density))
    assert float(optimum.sparsity_at_size(theta, 0.0, N, C / 6)) == pytest.approx(
        min(expected, 1 - LOWEST_DENSITY), abs=1e-9
    )


def grid_optimum(theta: Coefficients, question: Question) -> tuple[float, float]:
    """The best S and its loss by looking: a fine grid of densities, then the best one's neighbourhood again."""
    density = np.geomspace(1.0, 1e-6, 200_001)
    for _ in range(2):
        losses = plan_at(theta, question, 1 - density).loss
        index = int(np.argmin(losses))
        best = float(losses[index]), float(1 - density[index])
        density = np.geomspace(density[max(index - 1, 0)], density[min(index + 1, len(density) - 1)], 20_001)
    return best[1], best[0]


@settings(max_examples=25, deadline=None)
@given(
    coefficients,
    savings,
    st.sampled_from(["nonzero_params", "dense_params", None]),
    st.floats(1e7, 1e10),
    st.floats(1e17, 1e24),
)
def test_brute_force_over_sparsity_finds_no_lower_loss(
    theta: Coefficients, saving: float, given_size: str | None, size: float, C: float
) -> None:
    cost = flops_cost("sparse", Schedule(kind="linear", start=1 - saving, end=1 - saving))
    givens = {given_size: size} if given_size else {}
    question = Question(train_flops=C, cost=cost, max_sparsity=1 - 1e-6, **givens)  # type: ignore[arg-type]
    S, lowest = grid_optimum(theta, question)
    plan = best_plan(theta, question)
    assert float(plan.loss) <= lowest * (1 + 1e-12)
    assert abs(float(plan.sparsity) - S) < 1e-4 or float(plan.loss) == pytest.approx(lowest, rel=1e-9)


@pytest.mark.parametrize("theta", [T5, VIT])
@pytest.mark.parametrize("cost", [SPARSE, DENSE])
def test_brute_force_over_sparsity_size_and_data_agrees_with_the_free_plan(theta: Coefficients, cost: object) -> None:
    question = Question(train_flops=1e20, cost=cost)  # type: ignore[arg-type]
    plan = best_plan(theta, question)
    S, N = np.linspace(0, 0.95, 400)[:, None], np.geomspace(plan.nonzero_params / 3, plan.nonzero_params * 3, 2000)
    D = question.budget.tokens / (N * question.cost.multiplier(S))
    losses = loss(theta, S, N, D)
    row, column = np.unravel_index(np.argmin(losses), losses.shape)
    assert float(plan.loss) <= losses.min()
    assert float(plan.loss) == pytest.approx(losses.min(), rel=1e-6)
    assert float(plan.sparsity) == pytest.approx(float(S[row, 0]), abs=0.02)
    assert float(plan.nonzero_params) == pytest.approx(N[column], rel=0.02)


@pytest.mark.parametrize("saving", [0.0, 0.625])
@pytest.mark.parametrize("theta", [T5, VIT])
def test_contours_run_parallel_to_the_compute_optimal_line(theta: Coefficients, saving: float) -> None:
    N = np.geomspace(1e6, 1e11, 6)
    line = theta.optimal_tokens(N)
    for factor in (3.0, 100.0, 1e4):
        S = optimum.sparsity_at_size(theta, saving, N, line * factor)
        assert np.ptp(S) < 1e-9


def test_the_compute_optimal_line_is_where_the_free_dense_plan_lies() -> None:
    question = Question(train_flops=3e21, cost=SPARSE)
    N = dense_plan(T5, question).nonzero_params
    assert float(T5.optimal_tokens(N)) == pytest.approx(3e21 / 6, rel=1e-12)


@pytest.mark.parametrize("saving", [0.0, 0.625])
def test_sparsity_begins_exactly_at_its_budget(saving: float) -> None:
    N = np.geomspace(1e6, 1e10, 5)
    begins = optimum.budget_where_sparsity_is(T5, saving, 0.0, N)
    assert np.all(optimum.sparsity_at_size(T5, saving, N, begins * 0.999) == 0)
    assert np.all(optimum.sparsity_at_size(T5, saving, N, begins * 1.001) > 0)


def test_sparsity_rises_with_the_budget_and_stays_below_one() -> None:
    C = np.geomspace(1e10, 1e60, 2000)
    S = optimum.sparsity_at_size(T5, 0.625, 1e8, C)
    assert np.all(np.diff(S) >= 0)
    assert S[0] == 0.0
    assert 0.999 < S[-1] < 1.0


def test_where_sparse_training_costs_nothing_extra_sparsity_runs_to_its_cap() -> None:
    # Sparse from the start with free zeros: c_mul = 1 at every S, and f(S) falls with S.
    free = flops_cost("sparse", Schedule(start=0, end=0))
    plan = best_plan(T5, Question(train_flops=1e20, cost=free, nonzero_params=1e9, max_sparsity=0.9))
    assert float(plan.sparsity) == 0.9


def test_a_law_without_sparsity_gain_stays_dense() -> None:
    dense_only = replace(T5, a_S=0.0, c_S=61.8)
    for given_size in ({"nonzero_params": 1e6}, {"dense_params": 1e6}, {}):
        plan = best_plan(dense_only, Question(train_flops=1e25, cost=DENSE, **given_size))  # type: ignore[arg-type]
        assert float(plan.sparsity) == 0.0


def test_draws_are_planned_exactly_as_one_by_one() -> None:
    random = np.random.default_rng(0)
    draws = Coefficients(*(value * np.exp(0.1 * random.standard_normal(20)) for value in T5))
    sizes: tuple[dict[str, Any], ...] = ({"nonzero_params": 3e8}, {"dense_params": 3e8}, {})
    for givens in sizes:
        for pattern in ("unstructured", "n:4", "2:4"):
            question = Question(train_flops=1e21, cost=SPARSE, pattern=parse_pattern(pattern), **givens)
            together = best_plan(draws, question)
            for index in range(20):
                alone = best_plan(Coefficients(*(float(np.asarray(values)[index]) for values in draws)), question)
                np.testing.assert_allclose(
                    [float(np.broadcast_to(value, 20)[index]) for value in together],
                    [float(v) for v in alone],
                    rtol=1e-9,
                )


@pytest.mark.parametrize("pattern", ["n:4", "n:8", "n:16"])
def test_a_family_picks_the_best_of_the_sparsities_it_makes(pattern: str) -> None:
    family = parse_pattern(pattern)
    question = Question(train_flops=1e20, cost=SPARSE, nonzero_params=2e8, pattern=family)
    plan = best_plan(T5, question)
    assert family.sparsities is not None
    losses = {S: float(plan_at(T5, question, S).loss) for S in family.sparsities}
    assert float(plan.sparsity) == min(losses, key=lambda S: losses[S])


def test_every_plan_spends_its_budget() -> None:
    C = np.geomspace(1e18, 1e24, 7)
    for cost in (flops_cost(name, Schedule(), tokens_per_unit=196) for name in ("sparse", "dense")):
        plan = best_plan(VIT, Question(train_flops=C, cost=cost, nonzero_params=1e8))
        spent = 6 * plan.nonzero_params * plan.data_seen * cost.multiplier(plan.sparsity) * 196
        np.testing.assert_allclose(spent, C, rtol=1e-12)


@pytest.mark.parametrize("givens", [{}, {"nonzero_params": 1e9}, {"dense_params": 1e9}])
def test_the_dense_run_of_equal_loss_reaches_that_loss(givens: dict[str, float]) -> None:
    question = Question(train_flops=1e20, cost=SPARSE, **givens)  # type: ignore[arg-type]
    target = float(dense_plan(T5, question).loss) - 0.01
    needed = float(dense_flops_for(T5, question, target - T5.c))
    again = dense_plan(T5, Question(train_flops=needed, cost=SPARSE, **givens))  # type: ignore[arg-type]
    assert float(again.loss) == pytest.approx(target, rel=1e-10)


def test_no_dense_budget_reaches_what_lies_below_the_size_s_floor() -> None:
    question = Question(train_flops=1e20, cost=SPARSE, nonzero_params=1e6)
    floor = float(shape(T5, 0.0)) * 1e6**-0.245
    assert np.isinf(dense_flops_for(T5, question, floor - 1e-6))


def test_a_million_pairs_agree_with_single_answers() -> None:
    random = np.random.default_rng(1)
    N: NDArray[np.float64] = 10 ** random.uniform(6, 12, 1_000_000)
    C: NDArray[np.float64] = 10 ** random.uniform(15, 26, 1_000_000)
    S = optimum.sparsity_at_size(T5, 0.625, N, C / 6)
    for index in range(0, 1_000_000, 99_991):
        single = float(optimum.sparsity_at_size(T5, 0.625, N[index], C[index] / 6))
        assert S[index] == pytest.approx(single, abs=1e-12)


def test_newtons_method_does_not_go_in_circles() -> None:
    # Found by a reviewer's search: here plain Newton steps alternate inside the bracket for ever.
    theta = Coefficients(
        a_S=20.547166321701518,
        b_S=0.14961236664980468,
        c_S=0.4048004192172913,
        b_N=0.14585397651782442,
        a_D=54275397.59199655,
        b_D=0.01670295257905211,
        c=0.0,
    )
    question = Question(train_flops=6 * 2.6041283339231078e20, cost=Cost(name="x", saving=0.99), dense_params=4.1e12)
    S, lowest = grid_optimum(theta, question)
    plan = best_plan(theta, question)
    assert float(plan.loss) <= lowest * (1 + 1e-12)
    assert float(plan.sparsity) == pytest.approx(S, abs=1e-4)


wild = st.builds(
    Coefficients,
    a_S=st.floats(-3, 4).map(lambda e: 10**e),
    b_S=st.floats(-2, 1).map(lambda e: 10**e),
    c_S=st.floats(-3, 4).map(lambda e: 10**e),
    b_N=st.floats(-2, 0.5).map(lambda e: 10**e),
    a_D=st.floats(3, 12).map(lambda e: 10**e),
    b_D=st.floats(-2, 0.5).map(lambda e: 10**e),
    c=st.just(0.5),
)


@settings(max_examples=300)
@given(
    wild,
    st.floats(0, 9).map(lambda e: 1 - 10**-e),
    st.sampled_from(["nonzero_params", "dense_params", None]),
    st.floats(6, 13).map(lambda e: 10**e),
    st.floats(14, 27).map(lambda e: 10**e),
)
def test_wild_coefficients_and_costs_still_give_a_plan_that_looking_around_does_not_beat(
    theta: Coefficients, saving: float, given_size: str | None, size: float, C: float
) -> None:
    givens = {given_size: size} if given_size else {}
    question = Question(train_flops=C, cost=Cost(name="wild", saving=saving), max_sparsity=1 - 1e-6, **givens)  # type: ignore[arg-type]
    with np.errstate(all="ignore"):
        plan = best_plan(theta, question)
        losses = plan_at(theta, question, 1 - np.geomspace(1.0, 1e-6, 2001)).loss
    finite = losses[np.isfinite(losses)]
    if np.isfinite(plan.loss) and finite.size:
        assert float(plan.loss) <= finite.min() * (1 + 1e-9)
    assert 0 <= float(plan.sparsity) <= 1 - 1e-6


@pytest.mark.parametrize("pattern", ["2:4", "n:4", "n:8"])
@pytest.mark.parametrize("givens", [{}, {"nonzero_params": 3e8}, {"dense_params": 3e8}])
def test_pattern_plans_agree_with_looking_at_sizes_and_data(pattern: str, givens: dict[str, Any]) -> None:
    family = parse_pattern(pattern)
    question = Question(train_flops=1e21, cost=SPARSE_VIT, pattern=family, **givens)
    plan = best_plan(VIT, question)
    best = np.inf
    for S in family.sparsities or ():
        free = np.geomspace(1e5, 1e11, 60_001)
        N = np.asarray([givens["nonzero_params"]]) if "nonzero_params" in givens else free
        if "dense_params" in givens:
            N = np.asarray([givens["dense_params"] * (1 - S)])
        # Written out from the paper: C = 6 N D c_mul 196, c_mul = (1 - 0.625 S) / (1 - S).
        D = 1e21 / (6 * N * (1 - 0.625 * S) / (1 - S) * 196)
        best = min(best, float(np.min((294 * (1 - S) ** 0.821 + 468) * N**-0.392 + (2.37e8 / D) ** 0.89 + 4.517)))
    assert float(plan.loss) <= best
    assert float(plan.loss) == pytest.approx(best, rel=1e-7)


@pytest.mark.parametrize("saving", [0.0, 0.625])
@pytest.mark.parametrize("S", [0.1, 0.5, 0.9])
def test_the_budget_for_a_sparsity_inverts_the_optimal_sparsity(saving: float, S: float) -> None:
    N = np.geomspace(1e6, 1e10, 5)
    budget = optimum.budget_where_sparsity_is(T5, saving, S, N)
    np.testing.assert_allclose(optimum.sparsity_at_size(T5, saving, N, budget), S, atol=1e-9)
