"""Trunks that runs share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.runs.job import (
    Segment,
)
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import GradualMagnitude, Static
from sparseplan.runs.trunks import plan_segments
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.specs import DATA, SHAPE, pruned_run, spec


def test_lengths_and_sparsities_of_one_seed_share_a_trunk_and_seeds_do_not() -> None:
    assert spec(0.5).trunk_id == spec(0.75, steps=300).trunk_id == spec().trunk_id
    assert spec(seed=1).trunk_id != spec().trunk_id


def test_a_plan_of_trunks_trains_every_run_once_and_in_order() -> None:
    runs = [spec(s, p, steps=n) for s, p in ((0, "unstructured"), (0.5, "2:4"), (0.75, "1:4")) for n in (100, 200, 400)]
    plan = plan_segments([*runs, runs[0]])
    trunk = plan.segments[0]
    # sparse runs branch at 25 % of their length, dense ones where their cooldown starts, at 80 %
    assert trunk.keep == (25, 50, 80, 100, 160, 320)
    assert trunk.to_step == 320
    assert {segment.id for segment in plan.segments[1:]} == {run.run_id for run in runs}
    assert all(segment.parent == trunk.id and segment.from_step in trunk.keep for segment in plan.segments[1:])
    # trunk 320; dense 20 + 40 + 80 steps at full cost; sparse 75 % of 700 steps, of which the first piece is dense
    alone = plan_segments(runs, share=False)
    assert all(segment.parent is None for segment in alone.segments)
    assert alone.saved == 0
    assert plan.unshared_flops == alone.unshared_flops
    per_step = 6 * SHAPE.dense_params * 128
    shared = 320 + (20 + 40 + 80)
    assert plan.unshared_flops - plan.shared_flops == pytest.approx(per_step * (700 + 2 * 175 - shared))


def test_a_run_that_prunes_from_the_start_is_trained_alone() -> None:
    early = RunSpec(
        shape=SHAPE,
        data=DATA,
        batch=4,
        steps=100,
        pruning=Pruning(sparsity=0.5, strategy=GradualMagnitude(schedule=Schedule(start=0, end=0.5))),
    )
    plan = plan_segments([early, spec(), spec(steps=200)])
    lonely = next(segment for segment in plan.segments if segment.id == early.run_id)
    assert lonely.parent is None
    assert lonely.from_step == 0


def test_static_lengths_share_all_but_their_cooldowns_and_no_other_sparsity_or_dense_run_shares_them() -> None:
    lengths = [
        pruned_run(Pruning(sparsity=sparsity, strategy=Static()), steps=steps)
        for sparsity in (0.5, 0.75)
        for steps in (100, 200)
    ]
    dense = spec()
    plan = plan_segments([*lengths, dense])
    trunks = [segment for segment in plan.segments if not segment.finish]
    assert [trunk.keep for trunk in trunks] == [(80, 160), (80, 160)]
    assert len({dense.trunk_id, *(trunk.id for trunk in trunks)}) == 3
    alone = next(segment for segment in plan.segments if segment.id == dense.run_id)
    assert alone.parent is None
    # a trunk of 160 and cooldowns of 20 and 40 steps where 100 and 200 are trained apart
    per_step = 6 * SHAPE.dense_params * 128
    assert plan.unshared_flops - plan.shared_flops == pytest.approx(per_step * (0.5 + 0.25) * (300 - 220))
    assert {run.origin_id for run in lengths} == {dense.trunk_id}


def test_impossible_segments_are_refused() -> None:
    run = spec(0.5)
    with pytest.raises(ValueError, match="branch at step 25"):
        Segment(id=run.run_id, run=run, parent=run.trunk_id, from_step=26, to_step=100)
    with pytest.raises(ValueError, match="a parent exactly where"):
        Segment(id=run.run_id, run=run, from_step=5, to_step=100)
    with pytest.raises(ValueError, match="to end at its last step"):
        Segment(id=run.run_id, run=run, from_step=0, to_step=99)
    with pytest.raises(ValueError, match="checkpoints within"):
        Segment(id=run.trunk_id, run=run, from_step=0, to_step=20, keep=(21,), finish=False)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 0.75]), st.integers(1, 500), st.integers(0, 1)), max_size=8))
def test_sharing_never_costs_more_and_never_loses_a_run(choices: list[tuple[float, int, int]]) -> None:
    runs = [spec(s, steps=n, seed=seed) for s, n, seed in choices]
    plan = plan_segments(runs)
    assert {segment.id for segment in plan.segments if segment.finish} == {run.run_id for run in runs}
    assert 0 <= plan.saved < 1
    seen: dict[str, tuple[int, ...]] = {}
    for segment in plan.segments:
        assert segment.parent is None or segment.from_step in seen[segment.parent]
        seen[segment.id] = segment.keep
