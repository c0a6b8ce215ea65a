"""The plan of the least mean loss: brute force over sparsities and sizes, limits, and what an answer says of it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cost.flops import flops_cost
from sparseplan.errors import PlanError
from sparseplan.laws.draws import Draws
from sparseplan.laws.file import load_law
from sparseplan.laws.law import Law
from sparseplan.laws.unique_data import limited
from sparseplan.plan.answer import answer
from sparseplan.plan.question import Question
from sparseplan.plan.sides import draw_sides
from tests.helpers.questions import question

REFIT, COUPLED = "frantar2023-t5-c4-refit", "frantar2023-t5-c4-coupled"
SIZES = np.geomspace(1e8, 1e12, 401)
SPARSITIES = np.concatenate([[0.0], np.linspace(0.01, 0.875, 174)])


def mean_losses(law: Law, asked: Question, S: Any, N: Any) -> Any:
    """The mean over the law's draws of the losses of plans that spend the whole budget."""
    draws = draw_sides(law, asked.pattern.family, asked.unique_data)
    assert draws is not None
    assert asked.train_flops is not None
    S, N = np.broadcast_arrays(S, N)
    losses = [
        draws.sparse.loss(s[:, None], n[:, None], asked.cost.data_for(asked.train_flops, s, n)[:, None]).mean(axis=-1)
        for s, n in zip(np.atleast_2d(S), np.atleast_2d(N), strict=True)
    ]
    return np.reshape(losses, S.shape)


@pytest.mark.parametrize("name", [REFIT, COUPLED])
@pytest.mark.parametrize("cost", ["sparse", "dense"])
@pytest.mark.parametrize("size", ["free", "nonzero_params", "dense_params"])
def test_no_plan_of_a_fine_grid_has_a_lower_mean_loss(name: str, cost: str, size: str) -> None:
    law = load_law(name)
    given: dict[str, Any] = {} if size == "free" else {size: 3e10}
    asked = question(law, 1e23, **given, cost=cost)
    result = answer(law, asked, objective="mean")
    S = SPARSITIES[::3][:, None] if size == "free" else SPARSITIES
    N = {"free": SIZES[200:320:2], "nonzero_params": 3e10, "dense_params": 3e10 * (1.0 - S)}[size]
    losses = mean_losses(law, asked, S, N)
    assert result.plan.loss <= losses.min() + 1e-12
    assert result.plan.loss == pytest.approx(losses.min(), abs=1e-4)
    near = mean_losses(law, asked, result.plan.sparsity, result.plan.nonzero_params)
    assert result.plan.loss == pytest.approx(float(near), abs=1e-12)


@pytest.mark.parametrize("cost", ["sparse", "h200"])
def test_of_a_family_the_sparsity_and_the_size_are_those_of_brute_force(cost: str) -> None:
    law = load_law(REFIT)
    result = sp.optimal(1e23, law=law, cost=cost, pattern="n:4", objective="mean", max_sparsity=0.8)
    from sparseplan.api.named import cost_of, profile_of
    from sparseplan.sparsity.pattern import parse_pattern

    pattern = parse_pattern("n:4")
    asked = Question(train_flops=1e23, cost=cost_of(cost, profile_of(cost), law, pattern), pattern=pattern)
    losses = mean_losses(law, asked, np.array([0.0, 0.25, 0.5, 0.75])[:, None], SIZES[200:320])
    assert result.plan.loss <= losses.min() + 1e-12
    assert result.plan.loss == pytest.approx(losses.min(), abs=1e-4)


@pytest.mark.parametrize("cap", [0.0, 0.1, 0.3])
def test_a_cap_below_the_optimum_holds_and_the_size_is_the_best_there(cap: float) -> None:
    law = load_law(REFIT)
    asked = replace(question(law, 1e23), max_sparsity=cap)
    result = answer(law, asked, objective="mean")
    assert result.plan.sparsity == pytest.approx(cap, abs=1e-12)
    losses = mean_losses(law, asked, cap, SIZES[200:320])
    assert result.plan.loss <= losses.min() + 1e-12


def test_with_limited_unique_data_too_no_plan_of_a_grid_has_a_lower_mean_loss() -> None:
    law = load_law(COUPLED)
    few = Draws.pack(law.draws.columns, law.draws.table()[:30], method="some") if law.draws else None
    law = Law(**{name: getattr(law, name) for name in law.__struct_fields__} | {"draws": few})
    asked = replace(question(law, 1e21, cost="dense"), unique_data=limited(law, 1e9))
    result = answer(law, asked, objective="mean")
    losses = mean_losses(law, asked, SPARSITIES[::3][:, None], SIZES[:160:2])
    assert result.plan.sparsity > 0
    assert result.plan.loss <= losses.min() + 1e-12
    assert result.plan.loss == pytest.approx(losses.min(), abs=2e-4)


def test_draws_that_agree_make_the_plan_of_the_values(t5: Law) -> None:
    draws = Draws.pack(["b_N"], np.full((50, 1), t5.coefficients["b_N"]), method="all the same")
    law = Law(**{name: getattr(t5, name) for name in t5.__struct_fields__} | {"draws": draws})
    point, mean = (answer(law, question(law, 1e21), objective=one) for one in ("point", "mean"))
    assert mean.plan.sparsity == pytest.approx(point.plan.sparsity, abs=1e-5)
    assert mean.plan.nonzero_params == pytest.approx(point.plan.nonzero_params, rel=1e-4)
    assert mean.comparison.compute_ratio == pytest.approx(point.comparison.compute_ratio, rel=1e-5)


def test_on_the_t5_refit_at_1e23_it_takes_a_quarter_off_the_regret_that_95_percent_stay_below() -> None:
    point, mean = (sp.optimal(1e23, law=REFIT, objective=one) for one in ("point", "mean"))
    assert point.intervals is not None
    assert mean.intervals is not None
    assert mean.by_values is not None
    assert point.intervals.regret.p95 == pytest.approx(0.048, abs=5e-4)
    assert mean.intervals.regret.p95 == pytest.approx(0.035, abs=5e-4)
    assert mean.intervals.regret.mean < point.intervals.regret.mean
    assert mean.by_values.regret.p95 == pytest.approx(point.intervals.regret.p95)
    assert mean.by_values.nonzero_params == pytest.approx(point.plan.nonzero_params)


def test_the_equal_loss_budget_reaches_the_plans_mean_loss_with_a_dense_model() -> None:
    result = sp.optimal(1e22, law=REFIT, objective="mean")
    more = sp.optimal(result.comparison.dense_flops_any_size, law=REFIT, objective="mean")
    assert more.dense.loss == pytest.approx(result.plan.loss, abs=1e-9)
    at_size = sp.optimal(1e22, params="1B", law=REFIT, objective="mean")
    needed = at_size.comparison.dense_flops_for_equal_loss
    assert needed is not None
    same = sp.optimal(needed, params="1B", law=REFIT, objective="mean")
    assert same.dense.loss == pytest.approx(at_size.plan.loss, abs=1e-9)


def test_the_lowest_loss_on_a_device_is_the_plan_for_the_mean_too() -> None:
    result = sp.optimal(1e23, law=REFIT, cost="h100", objective="mean")
    assert result.verdict is not None
    unstructured = next(one for one in result.verdict if one.family == "unstructured")
    assert unstructured.loss == result.plan.loss
    assert unstructured.sparsity == result.plan.sparsity


def test_a_law_without_draws_is_refused_with_what_to_do() -> None:
    with pytest.raises(PlanError, match="`objective` mean: expected a law with draws, found 'frantar2023-t5-c4'"):
        sp.optimal(1e23, law="frantar2023-t5-c4", objective="mean")
    wrong: Any = "median"
    with pytest.raises(PlanError, match="`objective`: expected point, mean"):
        sp.optimal(1e23, objective=wrong)


def test_draws_that_overflow_are_left_out_of_the_mean(t5_with_draws: Law) -> None:
    assert t5_with_draws.draws is not None
    columns, table = t5_with_draws.draws.columns, t5_with_draws.draws.table()
    table[7, columns.index("b_D")] = 500.0  # (a_D / D)^500 is no number a computer has
    table[7, columns.index("a_D")] = 1e30
    broken = Draws.pack(columns, table, method="one of them absurd")
    facts = {name: getattr(t5_with_draws, name) for name in t5_with_draws.__struct_fields__}
    law = Law(**facts | {"draws": broken})
    good = Law(**facts | {"draws": Draws.pack(columns, np.delete(table, 7, axis=0), method="without it")})
    one, other = (answer(each, question(each, 1e21), objective="mean") for each in (law, good))
    assert one.intervals is not None
    assert one.intervals.left_out == 1
    assert one.plan.loss == pytest.approx(other.plan.loss)


def test_the_answer_says_what_its_losses_are_and_how_the_other_plan_does() -> None:
    result = sp.optimal(1e23, law=REFIT, objective="mean")
    text = " ".join(str(result).split())
    assert "mean loss 1.059" in text
    assert "Losses are means over the draws. By the law's values the plan would be 49.4% sparse" in text
    assert "nats on average (95%: 0.048), this one" in text
    told = json.loads(result.to_json())
    assert told["objective"] == "mean"
    assert set(told["by_values"]["regret"]) == {"median", "mean", "p95"}
    assert json.loads(sp.optimal(1e23, law=REFIT).to_json())["by_values"] is None


def test_the_mean_of_a_law_without_sparsity_is_its_dense_plan() -> None:
    law = load_law(REFIT)
    only = replace(question(law, 1e22, cost="dense"), max_sparsity=0.0)
    result = answer(law, only, objective="mean")
    assert result.plan == result.dense
    losses = mean_losses(law, replace(only, cost=flops_cost("dense", law.schedule)), 0.0, SIZES)
    assert result.plan.loss <= losses.min() + 1e-12
