"""Claims about strategies without torch: ramps, costs, identities."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.cost.flops import flops_cost
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.strategies import (
    GradualMagnitude,
    OneShot,
    Rewinding,
    RigL,
    SparseEvolution,
    SparseGpt,
    SrSte,
    SSte,
    Static,
    Ste,
    Strategy,
    Structured,
    Wanda,
    schedule_of,
)
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.specs import SHAPE, pruned_run


def test_the_ramp_meets_hand_values_of_the_cubic() -> None:
    # S (1 - (1 - p)^3) with S = 0.8 at p = 1/4, 1/2, 3/4, 1
    pruning = Pruning(sparsity=0.8, strategy=GradualMagnitude(updates=4))
    ramp = pruning.ramp(400)
    assert [step for step, _ in ramp] == [150, 200, 250, 300]
    assert [s for _, s in ramp] == pytest.approx([0.8 * 37 / 64, 0.8 * 7 / 8, 0.8 * 63 / 64, 0.8])
    assert ramp[-1][1] == 0.8
    assert pruning.sparsity_at(149, 400) == 0
    assert pruning.sparsity_at(150, 400) == ramp[0][1]
    assert (pruning.shared_until(400), pruning.dense_until(400), pruning.settled_from(400)) == (100, 150, 300)


@given(
    sparsity=st.floats(0.01, 0.99),
    steps=st.integers(1, 5000),
    updates=st.integers(1, 200),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_any_ramp_climbs_to_its_final_sparsity_inside_the_run(
    sparsity: float, steps: int, updates: int, ends: tuple[float, float]
) -> None:
    schedule = Schedule(start=min(ends), end=max(ends))
    ramp = GradualMagnitude(updates=updates, schedule=schedule).ramp(sparsity, steps)
    assert 1 <= len(ramp) <= updates
    assert ramp[-1] == (round(schedule.end * steps), sparsity)
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(ramp))


@pytest.mark.parametrize(
    ("sparsity", "pattern", "message"),
    [(0.5, "1:4", "0.75"), (0.0, "2:4", "0.5"), (0.5, "n:4", "pattern n:4"), (0.5, "two", "expected unstructured")],
)
def test_a_sparsity_that_contradicts_its_pattern_is_refused(sparsity: float, pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pruning(sparsity=sparsity, pattern=pattern)


def test_a_static_run_costs_what_a_dense_one_of_its_nonzero_size_does() -> None:
    run = pruned_run(Pruning(sparsity=0.75, strategy=Static()))
    assert run.train_flops == 6 * run.nonzero_params * run.data_seen
    assert run.nonzero_params == SHAPE.dense_params // 4
    assert float(flops_cost("sparse", Static().schedule).multiplier(0.75)) == 1.0


GEOMETRIC = Schedule(kind="geometric", start=0.1, end=0.8)
EVERY_STRATEGY: tuple[Strategy, ...] = (
    GradualMagnitude(),
    GradualMagnitude(schedule=GEOMETRIC),
    OneShot(at=0.3),
    Static(),
    SparseEvolution(),
    RigL(),
    RigL(every=1, until=1.0),
    Ste(),
    SrSte(),
    SSte(),
    Rewinding(),
    Structured(schedule=GEOMETRIC, updates=100),
    Wanda(),
    SparseGpt(at=0.25),
    Rewinding(share=0.5, to=0.0),
)


@pytest.mark.parametrize("strategy", EVERY_STRATEGY, ids=lambda each: type(each).__name__)
def test_the_laws_cost_of_a_strategy_is_that_of_its_runs(strategy: Strategy) -> None:
    pattern = "2:4" if strategy.allows_groups else "unstructured"
    run = pruned_run(Pruning(sparsity=0.5, pattern=pattern, strategy=strategy), steps=4000)
    law = 6 * run.nonzero_params * run.data_seen * float(flops_cost("sparse", strategy.schedule).multiplier(0.5))
    assert run.train_flops == pytest.approx(law, rel=0.01)


def test_a_dense_run_is_the_same_run_under_every_strategy_and_a_sparse_one_is_not() -> None:
    strategies: tuple[Strategy, ...] = (GradualMagnitude(), Static(), SrSte(), SrSte(decay=1e-3))
    assert len({pruned_run(Pruning(strategy=each)).run_id for each in strategies}) == 1
    sparse = [Pruning(sparsity=0.5, pattern="2:4", strategy=each) for each in strategies]
    assert len({pruned_run(each).run_id for each in sparse}) == len(strategies)
    assert Pruning(strategy=Static()).strategy_name == "dense"
    assert [each.strategy_name for each in sparse] == ["gradual-magnitude", "static", "sr-ste", "sr-ste"]


def test_sr_ste_saves_two_of_three_products() -> None:
    # 1:4: output and input's gradient at a quarter of the weights, the weights' gradient at all of them
    run = pruned_run(Pruning(sparsity=0.75, pattern="1:4", strategy=SrSte()))
    assert run.train_flops == pytest.approx((2 / 4 + 2 / 4 + 2) * SHAPE.dense_params * run.data_seen)
    # c_mul against a dense model of a quarter of the weights: 3 / (6 / 4)
    assert float(flops_cost("sparse", SrSte().schedule).multiplier(0.75)) == pytest.approx(2.0)


def test_rigl_pays_for_the_gradient_of_all_weights_at_its_rewirings_only() -> None:
    # 100 steps, every 10 to three quarters: 7 rewirings, in each of which a third of the products of pruned weights
    run = pruned_run(Pruning(sparsity=0.75, strategy=RigL(every=10)))
    extra = 7 / 100 * 0.75 / 3
    assert run.train_flops == pytest.approx(6 * SHAPE.dense_params * run.data_seen * (0.25 + extra))
    # in the law at most 75 of 1,000 updates: kappa = 1 - 0.075 / 3, c_mul = (1 - 0.975 x 0.75) / 0.25
    assert float(flops_cost("sparse", RigL(every=10).schedule).multiplier(0.75)) == pytest.approx(1.075)
    assert float(flops_cost("sparse", RigL().schedule).multiplier(0.75)) == pytest.approx(1.0075)


def test_rewinding_pays_for_all_its_rounds() -> None:
    # 1:4 by halves: 100 dense updates, 90 at a half, 90 at a quarter
    pruning = Pruning(sparsity=0.75, pattern="1:4", strategy=Rewinding(share=0.5, to=0.1))
    run = pruned_run(pruning)
    assert [at for at, _ in pruning.ramp(100)] == [100, 190]
    assert [sparsity for _, sparsity in pruning.ramp(100)] == pytest.approx([0.5, 0.75])
    assert run.updates == 280
    assert [pruning.place(update, 100) for update in (0, 99, 100, 189, 190, 279)] == [0, 99, 10, 99, 10, 99]
    assert run.data_seen == pruned_run(Pruning()).data_seen
    assert run.train_flops == pytest.approx(6 * SHAPE.dense_params * run.tokens_per_step * (100 + 90 / 2 + 90 / 4))
    # against a dense model of a quarter of the weights: (1 + 0.9 x 0.75) / 0.25
    schedule = pruning.strategy.schedule
    assert float(flops_cost("sparse", schedule).multiplier(0.75)) == pytest.approx(6.7)
    # zeros that cost like weights: 2.8 dense trainings
    assert float(flops_cost("dense", schedule).multiplier(0.75)) == pytest.approx(2.8 / 0.25)
    assert flops_cost("sparse", schedule).multiplier(np.array([0.0, 0.5])).tolist() == pytest.approx([1.0, 2.9])
    assert pruning.shared_until(100) == 10


def test_a_strategy_that_knows_no_groups_refuses_a_pattern() -> None:
    for strategy in (SparseEvolution(), RigL(), OneShot(scope="global"), Static(distribution="erdos-renyi")):
        with pytest.raises(ValueError, match=r"expected a number, unstructured sparsity, as the .* needs, found 2:4"):
            Pruning(sparsity=0.5, pattern="2:4", strategy=strategy)


def test_settings_that_say_what_was_always_meant_change_no_identity() -> None:
    # run ids of before there were scopes and distributions
    assert pruned_run(Pruning(sparsity=0.75)).run_id == "6a3dcfd1bff4d97a"
    assert pruned_run(Pruning(sparsity=0.75, strategy=Static())).run_id == "48e5a33ad55ac5ab"
    both = [pruned_run(Pruning(sparsity=0.5, strategy=each)) for each in (OneShot(), OneShot(scope="global"))]
    assert both[0].run_id != both[1].run_id


def test_what_runs_of_a_strategy_share_ends_where_their_lengths_part() -> None:
    def until(strategy: Strategy) -> int:
        return Pruning(sparsity=0.5, strategy=strategy).shared_until(1000)

    assert until(OneShot(at=0.3)) == 300
    assert until(Static()) == 1000
    assert until(SparseEvolution()) == 750
    assert until(RigL()) == 100


def test_a_strategys_name_gives_its_schedule_where_its_settings_do_not_move_it() -> None:
    assert schedule_of("static") == Schedule(start=0, end=0)
    assert schedule_of("ste") == Schedule(kind="straight-through", start=0, end=0)
    assert schedule_of("gradual-magnitude") is None
    assert schedule_of("a colleague's") is None
    with pytest.raises(ValueError, match="one-shot prunes when its settings say"):
        schedule_of("one-shot")


def test_sr_ste_wants_groups_and_leaves_dense_runs_alone() -> None:
    with pytest.raises(ValueError, match=r"expected a pattern n:m, such as 2:4, .* found unstructured sparsity 0.5"):
        Pruning(sparsity=0.5, strategy=SrSte())
    assert Pruning(strategy=SrSte()).ramp(100) == ()


def test_a_gradual_ramp_has_no_straight_through_kind() -> None:
    with pytest.raises(ValueError, match="expected a cubic, linear or geometric schedule"):
        GradualMagnitude(schedule=Schedule(kind="straight-through", start=0, end=0))
