"""Plans on given, limited or proportional data: the givens hold, brute force, limits, contradictions."""

import json
from typing import Any

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.laws.file import load_law
from sparseplan.laws.law import coefficients
from sparseplan.laws.unique_data import limited
from tests.plan.test_target_loss import there_and_back

T5, WU = "frantar2023-t5-c4", "wu2026-llama-c4"
S = np.linspace(0, 0.875, 4001)
SAVING = {"sparse": 0.625, "dense": 0.0}


def multiplier(cost: str) -> Any:
    """c_mul of the paper's ramp, by hand."""
    return SAVING[cost] + (1 - SAVING[cost]) / (1 - S)


@pytest.mark.parametrize("cost", ["sparse", "dense"])
def test_on_given_data_the_budget_buys_the_size_and_no_sparsity_does_better(cost: str) -> None:
    plan = sp.optimal(1e20, data="20B", law=T5, cost=cost).plan
    assert plan.data_seen == 20e9
    N = 1e20 / (6 * 20e9 * multiplier(cost))
    losses = coefficients(load_law(T5)).loss(S, N, 20e9)
    assert plan.loss <= losses.min() + 1e-12
    assert plan.loss == pytest.approx(losses.min(), abs=1e-7)
    assert plan.sparsity == pytest.approx(S[np.argmin(losses)], abs=3e-4)
    assert plan.train_flops == 1e20


@pytest.mark.parametrize("cost", ["sparse", "dense"])
def test_at_a_given_ratio_the_budget_buys_size_and_data_and_no_sparsity_does_better(cost: str) -> None:
    plan = sp.optimal(1e20, tokens_per_param=20, law=T5, cost=cost).plan
    assert plan.data_seen == pytest.approx(20 * plan.nonzero_params, rel=1e-12)
    N = np.sqrt(1e20 / (6 * 20 * multiplier(cost)))
    losses = coefficients(load_law(T5)).loss(S, N, 20 * N)
    assert plan.loss <= losses.min() + 1e-12
    assert plan.loss == pytest.approx(losses.min(), abs=1e-7)


def test_a_limit_that_does_not_bind_changes_nothing_and_one_that_does_is_the_data_that_are_seen() -> None:
    free = sp.optimal(1e20, law=T5).plan
    loose = sp.optimal(1e20, law=T5, max_data=1.01 * free.data_seen).plan
    assert loose.loss == pytest.approx(free.loss, abs=1e-9)
    assert loose.sparsity == pytest.approx(free.sparsity, abs=1e-4)
    tight = sp.optimal(1e20, law=T5, max_data="10B").plan
    assert tight.data_seen == 10e9
    assert tight.loss == pytest.approx(sp.optimal(1e20, law=T5, data="10B").plan.loss, abs=1e-9)


def test_where_size_and_data_are_held_the_budget_is_not_all_spent_and_the_answer_says_so() -> None:
    answer = sp.optimal(1e21, law=T5, params="300M", max_data="50B")
    assert answer.plan.sparsity == 0.875  # nothing else is left to spend on
    assert answer.plan.train_flops == pytest.approx(6 * 3e8 * 50e9 * (0.625 + 0.375 / 0.125))
    assert answer.dense.train_flops == pytest.approx(6 * 3e8 * 50e9)
    text = " ".join(str(answer).split())
    assert "FLOPs of 1e21" in text
    assert "part of the budget is left" in text
    assert "Overtrained" in text
    facts = json.loads(answer.to_json())
    assert (facts["given"]["train_flops"], facts["given"]["max_data"]) == (1e21, 50e9)
    # Between, the optimum lies where the limit begins to bind: at a kink of the loss over S.
    between = sp.optimal(2e20, law=T5, params="300M", max_data="50B").plan
    D = np.minimum(2e20 / (6 * 3e8 * multiplier("sparse")), 50e9)
    losses = coefficients(load_law(T5)).loss(S, 3e8, D)
    assert between.loss <= losses.min() + 1e-12
    assert between.loss == pytest.approx(losses.min(), abs=1e-5)
    assert between.data_seen == pytest.approx(50e9, rel=1e-6)


def test_the_cheapest_run_of_a_loss_on_given_data_is_that_of_a_fine_grid() -> None:
    theta = coefficients(load_law(WU))
    for cost, kept in (("sparse", 0 * S + 1.0), ("dense", 1 - S)):
        plan = sp.optimal(loss=2.7, data="30B", law=WU, cost=cost, max_sparsity=0.875).plan
        flops = 6 * theta.size_for(S, 30e9, 2.7 - theta.floor) * 30e9 / kept  # sparse from step 0: c_mul is 1
        assert plan.train_flops <= flops.min() * (1 + 1e-12)
        assert plan.train_flops == pytest.approx(flops.min(), rel=1e-6)
        assert plan.data_seen == 30e9


@pytest.mark.parametrize(
    "given",
    [{"data": 2e10}, {"max_data": 5e9}, {"tokens_per_param": 30}, {"max_data": 2e10, "params": 4e8}],
    ids="-".join,
)
@pytest.mark.parametrize(("cost", "pattern"), [("sparse", "unstructured"), ("dense", "n:4"), ("h100", "2:4")])
def test_the_budget_found_for_a_loss_gives_it_back_on_given_data(
    given: dict[str, Any], cost: str, pattern: str
) -> None:
    there_and_back(1.75, law=T5, cost=cost, pattern=pattern, **given)


def test_repeated_data_are_those_of_the_given_amount() -> None:
    law = load_law(WU)
    theta = limited(law, 5e9).limit(coefficients(law))
    answer = sp.optimal(1e21, law=law, data="20B", unique_data="5B")
    assert answer.plan.epochs == 4.0
    losses = theta.loss(S, 1e21 / 6 / 20e9, 20e9)  # sparse from step 0: c_mul is 1
    assert answer.plan.loss == pytest.approx(losses.min(), abs=1e-7)
    assert answer.given.data_seen == 20e9
    there_and_back(2.75, law=law, data="40B", unique_data="5B")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"data": "20B", "tokens_per_param": 20}, "expected `data` or `tokens_per_param`, found both"),
        ({"data": "20B", "params": "1B"}, "expected `params` or `data`, found both; the goal fixes the other"),
        ({"tokens_per_param": 20, "dense_params": "1B"}, "expected `dense_params` or `tokens_per_param`, found both"),
        ({"data": "20B", "max_data": "30B"}, "found both"),
        ({"data": "20B", "unique_data": "30B"}, r"`unique_data`: expected at most the 20\.0B of `data`, found 30\.0B"),
        ({"max_data": 0}, "`max_data`: expected a number above 0"),
        ({"tokens_per_param": "many"}, "`tokens_per_param`: expected a number"),
        ({"data": 1e35}, "which is not a possible run"),
    ],
)
def test_contradicting_data_are_one_error(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(sp.errors.SparseplanError, match=message):
        sp.optimal(1e20, law=T5, **asked)


def test_a_loss_below_what_the_data_allow_is_refused_with_where_they_end() -> None:
    theta = coefficients(load_law(T5))
    end = float(theta.loss(0.875, np.inf, 1e9))
    givens: list[dict[str, Any]] = [{"data": "1B"}, {"max_data": "1B"}]
    for given in givens:
        with pytest.raises(sp.errors.PlanError, match=rf"given `{next(iter(given))}`: these runs end at {end:.4f}"):
            sp.optimal(loss=end - 1e-3, law=T5, **given)
