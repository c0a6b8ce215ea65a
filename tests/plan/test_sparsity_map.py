"""The map of best sparsity over sizes and budgets: every point is a plan."""

from typing import Any

import msgspec
import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cost.flops import flops_cost
from sparseplan.errors import PlanError
from sparseplan.laws.law import Law, Range
from sparseplan.plan.question import Question, best_plan
from sparseplan.plan.sparsity_map import MapCost, sparsity_maps
from tests.helpers.laws import T5

# The arrays of a map and the single numbers of a plan round differently in their last digits.
CLOSE: dict[str, Any] = {"rel": 1e-9, "abs": 1e-9}


def test_the_map_agrees_with_single_plans_and_its_band_surrounds_it(t5_with_draws: Law) -> None:
    (chart,) = sparsity_maps(
        t5_with_draws,
        [MapCost(flops_cost("sparse", t5_with_draws.schedule))],
        points=9,
        flops=(1e16, 1e22),
        spread=True,
    )
    for i, j in ((0, 0), (4, 4), (8, 2)):
        asked = Question(
            train_flops=float(chart.train_flops[i]),
            cost=flops_cost("sparse", t5_with_draws.schedule),
            nonzero_params=float(chart.nonzero_params[j]),
            max_sparsity=0.875,
        )
        single = best_plan(T5, asked)
        assert chart.sparsity[i, j] == pytest.approx(float(single.sparsity), abs=1e-9)
    assert chart.low is not None
    assert chart.high is not None
    assert np.all(chart.low <= chart.high)
    assert np.mean((chart.low <= chart.sparsity) & (chart.sparsity <= chart.high)) > 0.9


@pytest.mark.parametrize(
    ("law", "options"),
    [
        ("frantar2023-t5-c4-refit", {}),
        ("frantar2023-vit-jft", {"cost": "dense"}),
        ("frantar2023-t5-c4", {"max_sparsity": 0.97}),
        ("frantar2023-t5-c4-coupled", {"max_sparsity": "60%"}),
        ("frantar2023-t5-c4-refit", {"pattern": "n:4"}),
        ("wu2026-llama-c4", {"cost": "dense"}),
    ],
)
def test_every_point_of_a_map_is_what_optimal_plans_there(law: str, options: dict[str, Any]) -> None:
    (chart,) = sp.sparsity_map(law, points=6, **options)
    beyond = chart.extrapolated
    assert beyond is not None
    assert chart.sparsity.max() <= chart.max_sparsity
    for i in range(6):
        for j in range(6):
            N, C = float(chart.nonzero_params[j]), float(chart.train_flops[i])
            answer = sp.optimal(C, params=N, law=law, **options)
            assert chart.sparsity[i, j] == pytest.approx(answer.plan.sparsity, abs=1e-6)
            assert chart.data_seen[i, j] == pytest.approx(answer.plan.data_seen, rel=1e-5)
            assert chart.loss[i, j] == pytest.approx(answer.plan.loss, **CLOSE)
            assert beyond[i, j] == any(one.of == "plan" for one in answer.extrapolation)
            if "pattern" not in options:
                capped = "sparsity-capped" in [one.code for one in answer.warnings]
                assert chart.held[i, j] == capped


def test_a_map_inside_the_span_of_the_runs_says_so() -> None:
    (chart,) = sp.sparsity_map("frantar2023-t5-c4", params=("2M", "80M"), flops=(1e18, 1e19), points=30)
    beyond = chart.extrapolated
    assert beyond is not None
    D = chart.data_seen
    # N lies inside and S is capped, so that D alone decides; 2 % more is what people mean by the same.
    np.testing.assert_array_equal(beyond, (D > 65_536e6 * 1.02) | (D < 16_384e6 / 1.02))
    assert 0.0 < beyond.mean() < 1.0


def test_a_law_that_does_not_say_what_its_runs_covered_has_no_mark(t5: Law) -> None:
    silent = msgspec.structs.replace(t5, range=Range())
    (chart,) = sp.sparsity_map(silent, points=4)
    assert chart.extrapolated is None
    assert chart.max_sparsity == 0.95


def test_without_any_sparsity_allowed_dense_is_best_everywhere() -> None:
    (chart,) = sp.sparsity_map(max_sparsity=0, points=5)
    assert np.all(chart.sparsity == 0.0)
    assert np.all(np.isinf(chart.sparsity_begins_flops))


@pytest.mark.parametrize("options", [{}, {"pattern": "n:4"}, {"cost": "h100"}])
def test_sparsity_begins_to_pay_at_the_line_that_says_so(options: dict[str, Any]) -> None:
    (chart,) = sp.sparsity_map(points=4, **options)
    for N, C in zip(chart.nonzero_params, chart.sparsity_begins_flops, strict=True):
        found = [
            sp.sparsity_map(points=2, params=(N, 2 * N), flops=(C * off, C * 10), **options)[0].sparsity[0, 0]
            for off in (0.99, 1.01)
        ]
        assert found[0] == 0.0
        assert found[1] > 0.0


def test_a_plan_on_the_map_is_that_of_optimal_and_the_map_makes_room_for_it() -> None:
    for cost, given in (("sparse", None), ("dense", "85M"), ("sparse", "10k")):
        (chart,) = sp.sparsity_map(cost=cost, plan_flops=1e25, plan_params=given, points=3)
        answer = sp.optimal(1e25, params=given, cost=cost)
        assert chart.plan is not None
        assert chart.plan.sparsity == pytest.approx(answer.plan.sparsity, **CLOSE)
        assert chart.plan.nonzero_params == pytest.approx(answer.plan.nonzero_params, **CLOSE)
        assert chart.plan.loss == pytest.approx(answer.plan.loss, **CLOSE)
        assert chart.plan.size_is_free == (given is None)
        assert chart.nonzero_params[0] < chart.plan.nonzero_params < chart.nonzero_params[-1]
        assert chart.train_flops[0] < 1e25 < chart.train_flops[-1]


def test_on_a_device_the_plan_is_the_better_of_unstructured_and_two_to_four() -> None:
    (chart,) = sp.sparsity_map(cost="h100", plan_flops=5e19, plan_params="85M", points=3)
    answers = [sp.optimal(5e19, params="85M", cost="h100", pattern=one) for one in ("unstructured", "2:4")]
    best = min(answers, key=lambda answer: answer.plan.loss)
    assert chart.plan is not None
    assert chart.plan.pattern == best.pattern
    assert chart.plan.loss == pytest.approx(best.plan.loss, **CLOSE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plan_params": "85M"}, r"`plan_params`: expected the plan's budget too, as `plan_flops`"),
        ({"plan_flops": 1e20, "flops": (1e15, 1e18)}, r"`flops`: the plan, at 1e20, lies outside 1e15 \.\. 1e18"),
        ({"plan_flops": 1e20, "params": ("1M", "2M")}, r"`params`: the plan, at 549M, lies outside 1\.00M \.\. 2\.00M"),
        ({"pattern": "2:4"}, r"`pattern`: expected several sparsities to choose from, .* n:4, found 2:4"),
    ],
)
def test_what_a_map_cannot_show_is_refused_by_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        sp.sparsity_map(points=2, **options)
