"""Runs that start from dense weights, as specified and planned."""

import msgspec
import pytest

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import RunSpec, TooManyEpochsError
from sparseplan.runs.start import Checkpoint, DenseRun
from sparseplan.runs.strategies import GradualMagnitude, Static
from sparseplan.runs.trunks import plan_segments
from sparseplan.sparsity.schedule import Schedule
from sparseplan.sweep.estimate import Speed, expected_seconds, priorities
from tests.helpers.specs import DATA, SHAPE, VIT, pruned_run, spec

AT_ONCE = GradualMagnitude(schedule=Schedule(start=0, end=0.75))
FILE = Checkpoint(path="dense.pt", sha256="c" * 64, data_seen=1e6)


def started(sparsity: float, *, steps: int = 50, dense: int = 200) -> RunSpec:
    run = pruned_run(Pruning(sparsity=sparsity, strategy=AT_ONCE), steps=steps)
    return msgspec.structs.replace(run, start=DenseRun(steps=dense))


def test_what_the_dense_model_saw_and_cost_stands_beside_the_run_and_is_no_part_of_it() -> None:
    run = started(0.5)
    alone = msgspec.structs.replace(run, start=None)
    assert (run.data_seen, run.train_flops) == (alone.data_seen, alone.train_flops)
    assert run.dense_data_seen == 200 * 4 * 32
    assert run.dense_train_flops == pytest.approx(6 * SHAPE.dense_params * 200 * 4 * 32)
    assert run.dense_run == msgspec.structs.replace(spec(steps=200))
    assert run.epochs == pytest.approx(250 * 4 * 32 / DATA.train.tokens)
    facts = run.facts()
    assert (facts.dense_data_seen, facts.dense_train_flops) == (run.dense_data_seen, run.dense_train_flops)
    assert (alone.facts().dense_data_seen, alone.facts().dense_train_flops) == (None, None)


def test_images_cost_their_patches() -> None:
    run = RunSpec(shape=VIT, data=msgspec.structs.replace(DATA, unit="image"), batch=4, steps=10, start=FILE)
    assert run.dense_train_flops == pytest.approx(6 * VIT.dense_params * 1e6 * 16)  # 4 x 4 patches


def test_the_start_names_a_run_its_path_does_not_and_the_luck_is_that_of_the_dense_run() -> None:
    run = started(0.5)
    assert run.run_id not in (started(0.5, dense=100).run_id, spec(0.5, steps=50).run_id)
    assert run.origin_id == spec(steps=200).origin_id
    assert run.trunk_id != spec().trunk_id
    from_file, moved, other = (
        msgspec.structs.replace(run, start=msgspec.structs.replace(FILE, **changes))
        for changes in ({}, {"path": "/elsewhere.pt"}, {"sha256": "d" * 64})
    )
    assert from_file.run_id == moved.run_id
    assert len({from_file.run_id, other.run_id, run.run_id}) == 3
    assert from_file.origin_id != other.origin_id


def test_a_dense_run_is_planned_once_before_all_that_start_from_it_and_shares_trunks_with_its_like() -> None:
    runs = [started(s, dense=dense) for s in (0.5, 0.75) for dense in (100, 200)]
    plan = plan_segments(runs)
    names = [segment.id for segment in plan.segments]
    short, long = spec(steps=100), spec(steps=200)
    assert names[0] == short.trunk_id
    assert plan.segments[0].keep == (80, 160)
    assert set(names) == {
        short.trunk_id,
        *(name for dense in (short, long) for name in (dense.final_id, dense.run_id)),
        *(run.run_id for run in runs),
    }
    seen: dict[str, tuple[int, ...]] = {}
    for segment in plan.segments:
        assert segment.needs is None or segment.needs.step in seen[segment.needs.segment]
        seen[segment.id] = segment.keep
    # by hand: a trunk of 160 steps and cooldowns of 20 and 40, against 100 + 200 before each of two sparsities
    per_step = 6 * SHAPE.dense_params * 128
    assert plan.unshared_flops - plan.shared_flops == pytest.approx(per_step * (2 * 300 - 220))
    # at a step a second: trunk to 160, cooldown to 200, a run of 50 steps and its evaluation
    speed = Speed(tokens_per_second={SHAPE: 128.0})
    # 256 windows are 64 steps' worth, read at a third of what training takes
    assert priorities(plan.segments, speed)[short.trunk_id] == pytest.approx(200 + 50 + 64 / 3)
    assert expected_seconds(plan.segments, speed, workers=8) == pytest.approx(200 + 50 + 64 / 3)


def test_runs_that_start_together_share_what_they_train_before_their_ramps() -> None:
    late = GradualMagnitude(schedule=Schedule(start=0.5, end=0.75))
    runs = [
        msgspec.structs.replace(pruned_run(Pruning(sparsity=s, strategy=late), steps=100), start=DenseRun(steps=200))
        for s in (0.5, 0.75)
    ]
    trunk = next(segment for segment in plan_segments(runs).segments if segment.id == runs[0].trunk_id)
    assert (trunk.from_step, trunk.to_step) == (0, 50)
    assert trunk.needs == (spec(steps=200).final_id, 200)


def test_starts_that_cannot_be_are_refused() -> None:
    tight = msgspec.structs.replace(DATA, max_epochs=0.003)  # 30,000 of the 10^7 bytes: 234 steps of 128
    with pytest.raises(TooManyEpochsError, match="6400 bytes seen of 10000000, after 25600 by the dense run before"):
        msgspec.structs.replace(started(0.5), data=tight)
    with pytest.raises(ValueError, match="expected fresh weights"):
        msgspec.structs.replace(
            pruned_run(Pruning(sparsity=0.5, strategy=Static())), scale_by_density=True, start=DenseRun(steps=5)
        )
