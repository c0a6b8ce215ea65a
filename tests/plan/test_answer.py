"""What the planner says around the numbers: intervals, probability, distances, warnings."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from sparseplan.common.json_struct import to_json
from sparseplan.cost.flops import flops_cost
from sparseplan.errors import LawError, PlanError
from sparseplan.laws.diff import diff_laws
from sparseplan.laws.draws import Draws
from sparseplan.laws.file import load_law
from sparseplan.laws.forms.budget import schedule_budget
from sparseplan.laws.forms.frantar2023 import Coefficients
from sparseplan.laws.law import Law, coefficient_draws, coefficients
from sparseplan.plan.answer import answer
from sparseplan.plan.predict import predict
from sparseplan.plan.question import Question, best_plan
from sparseplan.plan.sparsity_map import MapCost, sparsity_maps
from sparseplan.report.plan_verdict import verdict
from sparseplan.sparsity.pattern import parse_pattern
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.questions import codes, question


def test_intervals_are_the_percentiles_of_each_draw_planned_anew(t5_with_draws: Law) -> None:
    asked = question(t5_with_draws, 1e20, nonzero_params=1e9)
    result = answer(t5_with_draws, asked)
    draws = coefficient_draws(t5_with_draws, "unstructured")
    assert draws is not None
    one_by_one = [
        float(best_plan(Coefficients(*(float(np.asarray(values)[i]) for values in draws)), asked).sparsity)
        for i in range(400)
    ]
    assert result.intervals is not None
    assert result.intervals.sparsity == pytest.approx(tuple(np.quantile(one_by_one, [0.05, 0.95])))
    assert result.intervals.nonzero_params == (1e9, 1e9)
    assert result.intervals.draws == 400


def test_the_probability_is_the_share_of_draws_in_which_the_plan_beats_the_dense_plan(t5_with_draws: Law) -> None:
    result = answer(t5_with_draws, question(t5_with_draws, 4e21, nonzero_params=2e10))
    draws = coefficient_draws(t5_with_draws, "unstructured")
    assert draws is not None
    assert result.intervals is not None
    plan, dense = result.plan, result.dense
    assert plan.sparsity > 0
    sparse = draws.loss(plan.sparsity, plan.nonzero_params, plan.data_seen)
    better = sparse < draws.loss(0.0, dense.nonzero_params, dense.data_seen)
    assert 0.05 < float(np.mean(better)) < 0.95
    assert result.intervals.p_sparse_better == float(np.mean(better))


def test_where_the_plan_is_dense_the_probability_is_the_share_of_draws_that_want_sparsity(
    t5_with_draws: Law,
) -> None:
    asked = question(t5_with_draws, 1e21, nonzero_params=2e10)
    result = answer(t5_with_draws, asked)
    draws = coefficient_draws(t5_with_draws, "unstructured")
    assert draws is not None
    assert result.intervals is not None
    assert result.plan.sparsity == 0
    share = float(np.mean(best_plan(draws, asked).sparsity >= 5e-4))  # less reads 0% and is called dense
    assert 0.05 < share < 0.95
    assert result.intervals.p_sparse_better == share


def test_the_interval_of_the_compute_ratio_is_that_of_equal_loss_in_each_draw(t5_with_draws: Law) -> None:
    asked = question(t5_with_draws, 1e21)
    result = answer(t5_with_draws, asked)
    draws = coefficient_draws(t5_with_draws, "unstructured")
    assert draws is not None
    assert result.intervals is not None
    assert result.comparison.compute_ratio is not None
    low, high = result.intervals.compute_ratio
    assert low < result.comparison.compute_ratio < high
    # With the size free the ratio is c_mul(S) / m(S), whatever the budget.
    best = best_plan(draws, asked)
    expected = np.quantile(
        asked.cost.multiplier(best.sparsity) / draws.size_multiplier(best.sparsity, 1.0), [0.05, 0.95]
    )
    assert (low, high) == pytest.approx(tuple(expected))


@pytest.fixture
def only_n4(t5: Law) -> Law:
    """A law of n:4 alone, whose draws hold the dense base still."""
    chosen = {"a_S": 15.0, "b_S": 0.7, "c_S": 46.8}
    table = np.array([[15.0, 46.8]]) * np.exp(0.05 * np.random.default_rng(3).standard_normal((200, 2)))
    draws = Draws.pack(["n:4.a_S", "n:4.c_S"], table, method="synthetic")
    facts = {name: getattr(t5, name) for name in t5.__struct_fields__}
    return Law(**facts | {"name": "only-n4", "sparsity": {"n:4": chosen}, "draws": draws})


def test_draws_of_some_coefficients_give_intervals_and_say_which_are_taken_as_exact(only_n4: Law) -> None:
    result = answer(only_n4, question(only_n4, 1e20, nonzero_params=1e8, pattern="n:4"))
    assert result.intervals is not None
    assert result.intervals.draws == 200
    assert result.intervals.loss[0] < result.plan.loss < result.intervals.loss[1]
    partial = next(warning for warning in result.warnings if warning.code == "partial-draws")
    assert "n:4.b_S, b_N, a_D, b_D, c as exactly known" in partial.message


def test_draws_that_do_not_touch_the_question_are_no_draws(t5: Law, only_n4: Law) -> None:
    both = Law(
        **{name: getattr(t5, name) for name in t5.__struct_fields__}
        | {"sparsity": t5.sparsity | only_n4.sparsity, "draws": only_n4.draws}
    )
    result = answer(both, question(both, 1e20, nonzero_params=1e8))
    assert result.intervals is None
    assert "no-draws" in codes(result)


def test_a_law_of_n4_alone_maps_and_compares(only_n4: Law, t5: Law) -> None:
    cost = MapCost(flops_cost("sparse", only_n4.schedule))
    (chart,) = sparsity_maps(only_n4, [cost], pattern=parse_pattern("n:4"), points=5, spread=True)
    assert set(np.unique(chart.sparsity)) <= {0.0, 0.25, 0.5, 0.75}
    assert chart.low is not None
    assert chart.low.shape == chart.sparsity.shape == (5, 5)
    assert diff_laws(only_n4, t5).loss_difference is not None
    with pytest.raises(LawError, match=r"no coefficients for unstructured; it has n:4"):
        answer(only_n4, question(only_n4, 1e20, nonzero_params=1e8))


def test_a_cap_given_by_the_user_holds_for_patterns_too(t5: Law) -> None:
    capped = replace(question(t5, 1e22, nonzero_params=1e8, pattern="n:4"), max_sparsity=0.3, pattern_cap=0.3)
    assert answer(t5, capped).plan.sparsity == 0.25
    with pytest.raises(PlanError, match=r"the pattern 2:4 makes 0\.5, above"):
        answer(t5, replace(capped, pattern=parse_pattern("2:4")))


def test_a_family_stops_at_the_sparsest_run_as_unstructured_sparsity_does(t5: Law) -> None:
    family, plain = (
        answer(t5, question(t5, 1e24, nonzero_params=1e7, pattern=one)) for one in ("n:64", "unstructured")
    )
    assert family.plan.sparsity == plain.plan.sparsity == 0.875
    assert "sparsity-capped" in codes(family)
    assert family.comparison.uncapped_sparsity == 63 / 64
    single = answer(t5, question(t5, 1e24, nonzero_params=1e7, pattern="1:64"))
    assert single.plan.sparsity == 63 / 64  # asked for, not chosen
    assert single.comparison.uncapped_sparsity is None
    assert "sparsity-capped" not in codes(single)
    inside = answer(t5, question(t5, 1e20, nonzero_params=1e9, pattern="n:4"))
    assert "sparsity-capped" not in codes(inside)


@pytest.mark.parametrize("above", [1.0 + 1e-6, 1.0 + 1e-4])
def test_just_above_the_threshold_the_plan_is_called_dense(t5: Law, above: float) -> None:
    dense = coefficients(t5)
    N = 1e8
    threshold = float(6 * dense.tokens_for_sparsity(0.0, N, schedule_budget(1.0, t5.schedule)))
    result = answer(t5, question(t5, threshold * above, nonzero_params=N))
    assert result.plan == result.dense
    assert result.comparison.loss_gain == 0
    assert "sparsity-capped" not in codes(result)
    assert answer(t5, question(t5, threshold * 1.1, nonzero_params=N)).plan.sparsity > 5e-4


def test_sizes_that_no_run_will_have_are_refused(t5: Law) -> None:
    with pytest.raises(PlanError, match="not a possible run"):
        answer(t5, question(t5, 1e300))


def test_both_ends_of_the_cost_are_the_papers_numbers(t5: Law) -> None:
    free, full = answer(t5, question(t5, 1e25)).brackets
    assert (free.cost, full.cost) == ("sparse", "dense")
    assert free.sparsity == pytest.approx(0.499, abs=6e-4)
    assert free.compute_ratio_any_size == pytest.approx(0.866, abs=6e-4)
    assert full.sparsity == 0.0
    assert full.compute_ratio_any_size == pytest.approx(1.0)


def test_where_the_data_term_is_lost_beside_the_floor_an_equal_loss_still_has_its_budget() -> None:
    law = load_law("frantar2023-vit-jft")
    asked = replace(question(law, 1e36, pattern="2:4"), dense_params=1e6)
    result = answer(law, asked)
    base, own = law.coefficients, law.sparsity["unstructured"]
    # 1M weights of which half are left lose more to their size than the dense 1M do: its data term may be as large.
    sparse = (own["a_S"] * 0.5 ** own["b_S"] + own["c_S"]) * 5e5 ** -base["b_N"]
    dense = (own["a_S"] + own["c_S"]) * 1e6 ** -base["b_N"]
    data = base["a_D"] * (sparse - dense) ** (-1 / base["b_D"])
    assert result.comparison.dense_flops_for_equal_loss == pytest.approx(6 * 1e6 * data, rel=1e-6)
    assert result.comparison.compute_ratio == pytest.approx(1e36 / (6 * 1e6 * data), rel=1e-6)


def test_a_patterns_worth_is_its_cost_over_its_size_multiplier(t5: Law) -> None:
    free, full = answer(t5, question(t5, 1e25, pattern="2:4")).brackets
    assert free.compute_ratio_any_size == pytest.approx(1.375 / 1.5874, rel=1e-4)  # c_mul(0.5) / m(0.5)
    assert full.compute_ratio_any_size == pytest.approx(2.0 / 1.5874, rel=1e-4)


def test_an_equal_loss_is_held_against_dense_models_of_the_same_and_of_any_size(t5: Law) -> None:
    result = answer(t5, question(t5, 1e22, nonzero_params=1e9))
    comparison = result.comparison
    assert comparison.dense_flops_for_equal_loss is not None
    same = answer(t5, question(t5, comparison.dense_flops_for_equal_loss, nonzero_params=1e9))
    free = answer(t5, question(t5, comparison.dense_flops_any_size))
    assert same.dense.loss == pytest.approx(result.plan.loss, abs=1e-9)
    assert free.dense.loss == pytest.approx(result.plan.loss, abs=1e-9)
    assert comparison.compute_ratio_any_size == pytest.approx(1e22 / comparison.dense_flops_any_size)


def test_every_pattern_is_held_against_one_dense_model(t5: Law) -> None:
    misfit = {"a_S": 16.8, "b_S": 0.722, "c_S": 46.0}  # its f(0) is 1.6 % above the law's
    facts = {name: getattr(t5, name) for name in t5.__struct_fields__}
    law = Law(**facts | {"sparsity": {**t5.sparsity, "n:4": misfit}})
    plain, family = (answer(law, question(law, 1e22, pattern=word)) for word in ("unstructured", "n:4"))
    assert family.dense == plain.dense
    assert family.comparison.loss_gain == pytest.approx(plain.dense.loss - family.plan.loss)
    dear = {"a_S": 0.0, "b_S": 1.0, "c_S": 70.0}  # worse than dense at every sparsity: the plan is the law's dense one
    law = Law(**facts | {"sparsity": {**t5.sparsity, "n:4": dear}})
    assert answer(law, question(law, 1e22, pattern="n:4")).plan == plain.dense


def test_a_pattern_that_prunes_nothing_says_nothing_of_sparsity(t5: Law) -> None:
    result = answer(t5, question(t5, 1e22, pattern="4:4"))
    assert result.brackets == []
    assert "only-dense" in codes(result)
    assert verdict(result).startswith("1e22 FLOPs: dense, as asked: ")
    narrow = question(t5, 1e22, pattern="n:4")
    assert "only-dense" in codes(answer(t5, replace(narrow, max_sparsity=0.1)))


def test_the_intervals_tell_the_plan_from_each_draws_own_optimum(t5_with_draws: Law) -> None:
    asked = question(t5_with_draws, 1e21)
    result = answer(t5_with_draws, asked)
    draws = coefficient_draws(t5_with_draws, "unstructured")
    assert draws is not None
    assert result.intervals is not None
    plan = draws.loss(result.plan.sparsity, result.plan.nonzero_params, result.plan.data_seen)
    own = best_plan(draws, asked).loss
    dense = best_plan(draws, replace(asked, max_sparsity=0.0)).loss
    assert result.intervals.plan_loss == pytest.approx(tuple(np.quantile(plan, [0.05, 0.95])))
    assert result.intervals.loss == pytest.approx(tuple(np.quantile(own, [0.05, 0.95])))
    assert result.intervals.regret.median == pytest.approx(float(np.median(plan - own)))
    assert result.intervals.regret.p95 == pytest.approx(float(np.quantile(plan - own, 0.95)))
    assert result.intervals.p_beats_best_dense == pytest.approx(float(np.mean(plan < dense)))


def test_the_dense_plan_and_the_equal_loss_run_say_how_far_they_lie_outside(t5: Law) -> None:
    # The README's question: the sparse plan lies inside the runs, what it is compared with does not.
    result = answer(t5, question(t5, 5e19, nonzero_params=85e6))
    found = {(one.of, one.axis): one.factor for one in result.extrapolation}
    assert found == pytest.approx(
        {("dense plan", "data_seen"): 1.5, ("dense run of equal loss", "data_seen"): 3.7}, abs=0.05
    )


@pytest.mark.parametrize(("pattern", "written"), [("1:3", 0.67), ("9:10", 0.1), ("1:4", 0.75)])
def test_a_sparsity_is_read_as_the_one_that_the_pattern_makes(t5: Law, pattern: str, written: float) -> None:
    made = parse_pattern(pattern)
    assert predict(t5, N=1e7, D=2e10, S=written, pattern=made).given.sparsity == made.sparsity


def test_identical_draws_give_intervals_of_no_width(t5: Law) -> None:
    draws = Draws.pack(["b_N"], np.full((50, 1), 0.245), method="all alike")
    law = Law(**{name: getattr(t5, name) for name in t5.__struct_fields__} | {"draws": draws})
    result = answer(law, question(law, 1e20, nonzero_params=1e8))
    assert result.intervals is not None
    assert result.intervals.sparsity == pytest.approx((result.plan.sparsity,) * 2, abs=1e-6)
    assert result.intervals.p_sparse_better == 1.0


def test_without_draws_the_answer_says_that_it_has_no_intervals(t5: Law) -> None:
    result = answer(t5, question(t5, 1e23))
    assert result.intervals is None
    assert "no-draws" in codes(result)
    assert predict(t5, N=1e7, D=3e10, S=0.5, pattern=parse_pattern("unstructured")).interval is None


def test_distances_are_factors_of_the_largest_run(t5: Law) -> None:
    result = answer(t5, question(t5, 1e23, nonzero_params=35 * 8.4934656e7))
    by_axis = {distance.axis: distance for distance in result.extrapolation if distance.of == "plan"}
    assert by_axis["nonzero_params"].factor == pytest.approx(35)
    assert "35x larger than any model of the law's runs" in by_axis["nonzero_params"].message
    assert by_axis["data_seen"].factor == pytest.approx(result.plan.data_seen / 6.5536e10)


def test_inside_the_range_nothing_is_extrapolated(t5: Law) -> None:
    inside = predict(t5, N=85e6, D=65e9, S=0.875, pattern=parse_pattern("unstructured"))
    assert inside.extrapolation == []
    below = predict(t5, N=1.327104e6 / 4, D=30e9, S=0.95, pattern=parse_pattern("unstructured"))
    assert {distance.axis: round(distance.factor, 3) for distance in below.extrapolation} == {
        "nonzero_params": 4.0,
        "sparsity": 2.5,
    }


def test_extreme_overtraining_is_capped_at_the_range_and_says_where_the_law_would_go(t5: Law) -> None:
    result = answer(t5, question(t5, 1e24, nonzero_params=1e7))
    assert result.plan.sparsity == 0.875
    assert "sparsity-capped" in codes(result)
    assert result.comparison.uncapped_sparsity is not None
    assert 0.97 < result.comparison.uncapped_sparsity < 1
    (held,) = [warning.message for warning in result.warnings if warning.code == "sparsity-capped"]
    assert held.endswith("%, too far beyond 87.5%")


def test_lifting_the_cap_is_advised_only_where_the_law_would_go_little_further(t5: Law) -> None:
    result = answer(t5, replace(question(t5, 1e21, nonzero_params=1e8), max_sparsity=0.3))
    (held,) = [warning.message for warning in result.warnings if warning.code == "sparsity-capped"]
    assert held.startswith("S is held at 30%; the law alone would go to ")
    assert held.endswith("Lift the cap with `max_sparsity`")


def test_a_pattern_without_coefficients_borrows_the_unstructured_ones_and_says_so(t5: Law) -> None:
    result = answer(t5, question(t5, 1e20, nonzero_params=1e8, pattern="2:4"))
    assert result.plan.sparsity == 0.5
    assert "pattern-borrowed" in codes(result)


def test_both_sizes_at_once_contradict_each_other(t5: Law) -> None:
    with pytest.raises(PlanError, match="both"):
        answer(t5, question(t5, 1e20, nonzero_params=1e8, dense_params=2e8))


def test_numbers_beyond_floating_point_are_refused_not_answered(t5: Law) -> None:
    with pytest.raises(PlanError, match="which is not a possible run"):
        answer(t5, question(t5, 1e-300, nonzero_params=1e300))


def test_a_dense_only_law_refuses_a_sparse_question_and_says_what_to_do() -> None:
    law = load_law("besiroglu2024-chinchilla")
    asked = Question(train_flops=1e20, cost=flops_cost("dense", Schedule()), pattern=parse_pattern("2:4"))
    with pytest.raises(LawError, match=r"`laws\.compose`"):
        answer(law, asked)
    with pytest.raises(LawError, match="dense only"):
        predict(law, N=1e9, D=1e10, S=0.5, pattern=parse_pattern("unstructured"))
    dense = predict(law, N=1e9, D=2e10, S=0.0, pattern=parse_pattern("unstructured"))
    assert dense.loss == pytest.approx(1.8172 + 482.01 / 1e9**0.3478 + 2085.43 / 2e10**0.3658)


def test_a_dense_only_law_answers_with_its_dense_plan_and_says_that_it_knows_nothing_of_sparsity() -> None:
    law = load_law("besiroglu2024-chinchilla")
    result = answer(law, Question(train_flops=1e20, cost=flops_cost("sparse", Schedule())))
    assert "dense-only" in codes(result)
    assert result.plan == result.dense
    assert result.plan.sparsity == 0.0
    # At the optimum alpha times the size term is beta times the data term.
    size, data = 482.01 / result.plan.nonzero_params**0.3478, 2085.43 / result.plan.data_seen**0.3658
    assert 0.3478 * size == pytest.approx(0.3658 * data)
    assert result.plan.loss == pytest.approx(1.8172 + size + data)
    assert 6 * result.plan.nonzero_params * result.plan.data_seen == pytest.approx(1e20)
    assert result.comparison.uncapped_sparsity is None
    assert result.comparison.compute_ratio == pytest.approx(1.0)


def test_json_has_the_keys_that_scripts_depend_on(t5_with_draws: Law) -> None:
    printed = json.loads(to_json(answer(t5_with_draws, question(t5_with_draws, 1e23))))
    assert printed["format"] == "sparseplan-plan/1"
    assert set(printed) >= {"law", "cost", "pattern", "given", "plan", "dense", "intervals", "warnings"}
    assert set(printed["given"]) >= {"train_flops", "nonzero_params", "dense_params"}
    plan_keys = {"sparsity", "nonzero_params", "dense_params", "data_seen", "data_unit", "train_flops", "loss"}
    assert set(printed["plan"]) >= plan_keys
    assert set(printed["dense"]) == set(printed["plan"])
    assert set(printed["intervals"]) >= {"level", "sparsity", "nonzero_params", "data_seen", "loss", "p_sparse_better"}
    assert all(set(warning) == {"code", "message"} for warning in printed["warnings"])


def test_a_sparsity_inside_a_wide_gap_between_runs_is_named_wherever_it_stands() -> None:
    law = load_law("frantar2023-t5-c4-refit")
    assert law.levels is not None
    assert law.levels.gap(0.146) == (0.0, 0.5)
    assert law.levels.gap(0.04) is None  # a tenth of the gap from a level is near enough
    assert law.levels.gap(0.494) is None
    assert law.levels.gap(0.6) is None  # 50 to 75 % is a step of 2 in density
    result = answer(law, question(law, 1e23))
    assert "sparsity-gap" in codes(result)  # the plan is at 49.4 %, the bracket at full price at 14.6 %
    gap = next(one for one in result.warnings if one.code == "sparsity-gap")
    assert gap.message == "no run has a sparsity between 0% and 50%: 14.6% is what the form says there"
    unknown = msgspec.structs.replace(law, levels=None)
    assert "sparsity-gap" not in codes(answer(unknown, question(unknown, 1e23)))
