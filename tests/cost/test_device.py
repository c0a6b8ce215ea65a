"""Claims about planning at a measured cost: against the closed forms, and what hardware makes of sparsity."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.api.planning import optimal
from sparseplan.cost.device import device_cost
from sparseplan.errors import PlanError
from sparseplan.hardware.file import load_profile
from sparseplan.hardware.kernels import Spread
from sparseplan.hardware.profile import Hardware, MeasuredProfile, Point, Profile, TwoToFour
from sparseplan.laws.file import load_law
from sparseplan.laws.forms.budget import Budget
from sparseplan.laws.law import Law, coefficient_draws, coefficients
from sparseplan.plan.answer import Answer, answer
from sparseplan.plan.device_hours import Device
from sparseplan.plan.hardware_answer import FamilyVerdict
from sparseplan.plan.question import Question, best_plan, dense_plan
from sparseplan.plan.sparsity_map import MapCost, sparsity_maps
from sparseplan.plan.verdict import break_even_speedup
from sparseplan.sparsity.pattern import TWO_OF_FOUR, UNSTRUCTURED, Pattern, parse_pattern
from sparseplan.sparsity.schedule import Schedule

_LAW = load_law("frantar2023-t5-c4")
assert _LAW.sparsity
LAW: Law = _LAW
THETA = coefficients(LAW, "unstructured")
WIDTHS = (512, 1024, 2048, 4096, 8192)


def synthetic(*speedups: float, rate: float = 4e14, peak: float | None = 1e15) -> MeasuredProfile:
    """A device whose blocks train at `rate` FLOP/s dense, and faster by these factors in 2:4, over `WIDTHS`."""
    points = []
    for width, factor in zip(WIDTHS, speedups, strict=True):
        dense = 6 * 12 * width**2 * 8192 / rate
        spread = Spread(median=dense, low=0.9 * dense, high=1.1 * dense)
        sparse = Spread(median=dense / factor)
        points.append(Point(part="block", phase="training", width=width, tokens=8192, dense=spread, sparse=sparse))
    return MeasuredProfile(
        format="sparseplan-hardware/1",
        name="synthetic",
        description="made for tests",
        hardware=Hardware(device="none"),
        peak_flops=peak,
        two_to_four=TwoToFour(backend="cusparselt"),
        points=points,
    )


TWICE = synthetic(*[2.0] * 5)


def ask(
    profile: Profile,
    pattern: Pattern = TWO_OF_FOUR,
    *,
    flops: float = 1e22,
    N: float | None = None,
    M: float | None = None,
) -> Question:
    cost = device_cost(profile, pattern, LAW.schedule)
    return Question(train_flops=flops, nonzero_params=N, dense_params=M, pattern=pattern, cost=cost, max_sparsity=0.875)


def answer_on(profile: Profile, question: Question, **options: Any) -> Answer:
    return answer(LAW, question, device=Device(name=profile.name, profile=profile), **options)


def verdict_on(profile: Profile, question: Question, kind: str) -> FamilyVerdict:
    verdict = answer_on(profile, question).verdict
    assert verdict is not None
    return next(each for each in verdict if each.family == kind)


def test_twice_as_fast_after_the_ramp_costs_a_hand_value() -> None:
    # Three quarters of training as dense, one quarter in half the time, of a model twice as large.
    assert ask(TWICE).cost.multiplier(0.5, 1e9) == pytest.approx((0.75 + 0.125) / 0.5)


def test_a_profile_of_twice_the_speed_agrees_with_the_closed_form_of_the_free_size() -> None:
    plan = best_plan(THETA, ask(TWICE))
    question = ask(TWICE)
    closed = THETA.best_size(0.5, Budget(tokens=question.budget.tokens, multiplier=lambda *_: np.asarray(1.75)))
    assert plan.nonzero_params == pytest.approx(closed, rel=1e-6)
    assert plan.loss == pytest.approx(
        float(THETA.loss(0.5, closed, question.budget.tokens / (closed * 1.75))), rel=1e-12
    )


def test_sparse_from_the_start_at_twice_the_speed_costs_what_a_dense_model_costs() -> None:
    cost = device_cost(TWICE, TWO_OF_FOUR, Schedule(start=0.0, end=0.0))
    assert cost.multiplier(0.5, 1e9) == pytest.approx(1.0)


@pytest.mark.parametrize("word", ["unstructured", "3:4", "4:8", "3:8", "2:6", "n:3"])
def test_what_keeps_more_than_two_of_four_costs_as_if_zeros_were_weights(word: str) -> None:
    cost = ask(TWICE, parse_pattern(word)).cost
    np.testing.assert_allclose(cost.multiplier(np.array([0.0, 0.5, 0.75]), 1e9), [1.0, 2.0, 4.0])


def test_what_keeps_at_most_two_of_four_is_2to4_to_the_device() -> None:
    # 0.875 = 3/4 at the dense pace and 1/4 at twice that; 1:4 is 2:4 with another zero, and so are 2:8 and 1:8.
    cost = ask(TWICE, parse_pattern("n:4")).cost
    np.testing.assert_allclose(cost.multiplier(np.array([0, 0.25, 0.5, 0.75]), 1e9), [1, 4 / 3, 0.875 * 2, 0.875 * 4])
    cost = ask(TWICE, parse_pattern("n:8")).cost
    np.testing.assert_allclose(cost.multiplier(np.array([0.5, 0.75, 0.875]), 1e9), [2, 0.875 * 4, 0.875 * 8])


def test_the_multiplier_follows_the_width_of_the_model_before_pruning() -> None:
    cost = ask(synthetic(0.5, 0.75, 1.0, 1.25, 1.5)).cost
    # 12 w^2 (w / 128) weights at w = 4096 are 6.44e9, of which half remain.
    assert cost.multiplier(0.5, 12 * 4096**3 / 128 / 2) == pytest.approx((0.75 + 0.25 / 1.25) / 0.5)


@given(st.lists(st.floats(0.3, 3.0), min_size=5, max_size=5), st.floats(18, 25), st.floats(1.0, 2.0))
def test_the_searched_size_beats_every_size_of_a_fine_grid(
    speedups: list[float], log_flops: float, faster: float
) -> None:
    question = ask(synthetic(*speedups), flops=10.0**log_flops)
    plan = best_plan(THETA, question)
    N = plan.nonzero_params * np.geomspace(1e-3, 1e3, 4001)
    grid = THETA.loss(0.5, N, question.budget.tokens / (N * question.cost.multiplier(0.5, N)))
    assert plan.loss <= grid.min() * (1 + 1e-9)
    # Faster everywhere is never worse.
    quicker = best_plan(THETA, ask(synthetic(*(factor * faster for factor in speedups)), flops=10.0**log_flops))
    assert quicker.loss <= plan.loss * (1 + 1e-12)


def test_the_size_is_searched_for_every_draw_at_once() -> None:
    values = {"b_N": np.array([0.2, 0.245, 0.3]), "a_D": np.array([3e8, 6.9e8, 9e8])}
    theta = type(THETA)(**THETA.as_dict() | values)
    question = ask(synthetic(0.5, 0.75, 1.0, 1.25, 1.5))
    together = best_plan(theta, question)
    for k in range(3):
        one = {name: column[k] for name, column in values.items()}
        alone = best_plan(type(THETA)(**THETA.as_dict() | one), question)
        assert together.nonzero_params[k] == pytest.approx(float(alone.nonzero_params), rel=1e-6)


@pytest.mark.parametrize(("N", "M"), [(None, None), (1e9, None), (None, 2e9)])
def test_at_the_break_even_speedup_2to4_reaches_exactly_the_dense_loss(N: float | None, M: float | None) -> None:
    at_first = ask(TWICE, flops=1e22, N=N, M=M)
    plan, dense = best_plan(THETA, at_first), dense_plan(THETA, at_first)
    needed = break_even_speedup(THETA, at_first, plan, dense, schedule=LAW.schedule)
    if needed is None:
        endless = best_plan(THETA, ask(synthetic(*[1e9] * 5), flops=1e22, N=N, M=M))
        assert endless.loss >= dense.loss
    else:
        exact = best_plan(THETA, ask(synthetic(*[needed] * 5), flops=1e22, N=N, M=M))
        assert exact.loss == pytest.approx(float(dense.loss), rel=1e-9)


def test_with_the_size_free_2to4_has_to_be_several_times_faster_because_the_ramp_is_dense() -> None:
    # m(0.5) = 1.588: (0.75 + 0.25 / s) / 0.5 = 1.588 needs s = 5.7; the sparse tensor cores' 2 is far from it.
    found = verdict_on(TWICE, ask(TWICE), "2:4")
    assert not found.pays
    assert found.break_even_speedup == pytest.approx(5.7, abs=0.05)


def test_far_beyond_the_compute_optimal_budget_2to4_pays_even_where_it_is_slower_than_dense() -> None:
    slow = synthetic(*[0.8] * 5)
    found = verdict_on(slow, ask(slow, flops=1e24, N=1e8), "2:4")
    assert found.pays
    assert found.break_even_speedup is not None
    assert found.break_even_speedup < 0.8


def test_the_verdict_names_each_kind_of_pattern_once_whatever_was_asked() -> None:
    for pattern in (UNSTRUCTURED, TWO_OF_FOUR):
        verdict = answer_on(TWICE, ask(TWICE, pattern)).verdict
        assert verdict is not None
        assert [each.family for each in verdict] == ["unstructured", "2:4", "n:m"]


def test_the_verdict_counts_the_draws_in_which_a_pattern_pays(t5_with_draws: Law) -> None:
    question = ask(TWICE, flops=4e21, N=2e9)
    verdict = answer(t5_with_draws, question, device=Device(name="x", profile=TWICE)).verdict
    assert verdict is not None
    draws = coefficient_draws(t5_with_draws, "n:4")
    assert draws is not None
    D = question.budget.tokens / 2e9
    better = draws.loss(0.5, 2e9, D / 1.75) < draws.loss(0.0, 2e9, D)
    assert 0 < better.mean() < 1
    assert verdict[1].p_pays == better.mean()


def test_the_verdict_and_the_intervals_count_draws_alike(t5_with_draws: Law) -> None:
    for N in (None, 2e9):
        result = answer(t5_with_draws, ask(TWICE, flops=4e21, N=N), device=Device(name="x", profile=TWICE))
        assert result.verdict is not None
        assert result.intervals is not None
        assert result.verdict[1].p_pays == result.intervals.p_sparse_better


def test_memory_of_compressed_weights_is_nine_sixteenths_at_inference_and_comes_on_top_in_training() -> None:
    memory = verdict_on(TWICE, ask(TWICE, N=5e8), "2:4").memory
    assert memory.inference_dense == 2e9  # 1e9 weights before pruning, 2 bytes each
    assert memory.inference_compressed == pytest.approx(9 / 16 * 2e9)
    assert memory.training_dense == 6e9
    assert memory.training_compressed == pytest.approx(6e9 + 9 / 16 * 2e9)


def test_a_budget_in_device_hours_is_the_same_as_its_flops() -> None:
    by_hours = optimal(device_hours=1000, params="1B", pattern="2:4", law=LAW, cost=TWICE)
    assert by_hours.plan.train_flops == pytest.approx(1000 * 3600 * 4e14)
    assert by_hours.plan.device_hours == pytest.approx(1000.0)
    assert by_hours.dense.device_hours == by_hours.plan.device_hours
    assert by_hours.given.device_hours == 1000.0
    assert by_hours.device is not None
    assert by_hours.device.utilization == pytest.approx(0.4)
    assert by_hours.device.utilization_source == "measured"


def test_hours_money_and_wall_clock_follow_from_the_peak_and_the_utilization() -> None:
    device = Device(name="x", peak_flops=1e15, utilization=0.5, devices=8, price_per_hour=2.0)
    question = Question(train_flops=1.8e21, cost=ask(TWICE, UNSTRUCTURED).cost)
    use = answer(LAW, question, device=device).device
    assert use is not None
    assert use.device_hours == pytest.approx(1000.0)  # 1.8e21 / 5e14 / 3600
    assert use.wall_clock_hours == pytest.approx(125.0)
    assert use.price == pytest.approx(2000.0)


def test_with_the_size_free_hours_and_the_measured_rate_at_the_planned_width_agree() -> None:
    profile = synthetic(*[1.0] * 5)
    slower = msgspec.structs.replace(profile, points=[*profile.points])
    narrow = slower.points[0]
    slower.points[0] = msgspec.structs.replace(narrow, dense=Spread(median=4 * narrow.dense.median), sparse=None)
    for hours in (0.01, 1.0, 1e3, 1e6):
        result = optimal(device_hours=hours, law=LAW, cost=slower)
        assert result.plan.device_hours == pytest.approx(hours, rel=1e-9)


def test_a_utilization_overrides_the_profile() -> None:
    h100 = load_profile("h100")
    result = optimal(device_hours=1, params=1e9, pattern="2:4", law=LAW, cost=h100, utilization=0.5)
    assert result.plan.train_flops == pytest.approx(3600 * 0.5 * 9.895e14)
    assert not any("assumed" in warning.message for warning in result.warnings)


def test_a_utilization_without_a_peak_is_refused() -> None:
    profile = synthetic(*[1.0] * 5, peak=None)
    with pytest.raises(PlanError, match="`peak`"):
        answer(LAW, ask(profile), device=Device(name="x", profile=profile, utilization=0.4))


def test_hours_on_a_profile_without_training_times_are_refused() -> None:
    points = [Point(part="linear", phase="inference", width=512, tokens=16, dense=Spread(median=1e-5))]
    profile = msgspec.structs.replace(TWICE, points=points)
    with pytest.raises(PlanError, match="times of training"):
        optimal(device_hours=1, pattern="2:4", law=LAW, cost=profile)
    assert answer_on(profile, ask(profile)).device is None


def test_a_model_wider_than_every_measured_one_is_said_to_be() -> None:
    inside, outside = (answer_on(TWICE, ask(TWICE, N=N)) for N in (1e9, 1e11))
    assert "hardware-extrapolation" not in [warning.code for warning in inside.warnings]
    found = next(distance for distance in outside.extrapolation if distance.axis == "width")
    assert found.factor == pytest.approx(found.value / 8192)
    assert any(warning.code == "hardware-extrapolation" for warning in outside.warnings)


def test_a_datasheet_is_called_one_and_a_device_without_2to4_says_so() -> None:
    h100 = load_profile("h100")
    assert "hardware-datasheet" in [warning.code for warning in answer_on(h100, ask(h100)).warnings]
    points = [msgspec.structs.replace(point, sparse=None) for point in TWICE.points]
    cpu = msgspec.structs.replace(TWICE, points=points, two_to_four=TwoToFour(reason="no sparse tensor cores"))
    said = [w.message for w in answer_on(cpu, ask(cpu)).warnings if w.code == "hardware-no-2to4"]
    assert len(said) == 1
    assert "no sparse tensor cores" in said[0]


def test_the_map_of_a_device_is_the_dense_map_but_where_2to4_wins() -> None:
    costs = [
        MapCost(device_cost(TWICE, UNSTRUCTURED, LAW.schedule)),
        MapCost(device_cost(TWICE, UNSTRUCTURED, LAW.schedule), device_cost(TWICE, TWO_OF_FOUR, LAW.schedule)),
    ]
    plain, device = sparsity_maps(LAW, costs, points=40)
    wins = device.two_to_four
    assert wins is not None
    assert 0 < wins.mean() < 0.5
    np.testing.assert_array_equal(device.sparsity[~wins], plain.sparsity[~wins])
    np.testing.assert_array_equal(device.sparsity[wins], 0.5)
    # Where unstructured sparsity wants half anyway, 2:4 that runs faster must win.
    near_half = np.abs(plain.sparsity - 0.5) < 0.01
    assert near_half.any()
    assert wins[near_half].all()
