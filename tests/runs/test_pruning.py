"""Claims about strategies without torch: ramps, costs, identities."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.cost.flops import flops_cost
from sparseplan.runs.pruning import GradualMagnitude, Pruning, SrSte, Static, Strategy
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


@pytest.mark.parametrize("strategy", [GradualMagnitude(), Static(), SrSte()], ids=lambda each: type(each).__name__)
def test_the_laws_cost_of_a_strategy_is_that_of_its_runs(strategy: Strategy) -> None:
    run = pruned_run(Pruning(sparsity=0.5, pattern="2:4", strategy=strategy), steps=4000)
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


def test_sr_ste_wants_groups_and_leaves_dense_runs_alone() -> None:
    with pytest.raises(ValueError, match=r"expected a pattern n:m, such as 2:4, .* found unstructured sparsity 0.5"):
        Pruning(sparsity=0.5, strategy=SrSte())
    assert Pruning(strategy=SrSte()).ramp(100) == ()


def test_a_gradual_ramp_has_no_straight_through_kind() -> None:
    with pytest.raises(ValueError, match="expected a cubic, linear or geometric schedule"):
        GradualMagnitude(schedule=Schedule(kind="straight-through", start=0, end=0))
