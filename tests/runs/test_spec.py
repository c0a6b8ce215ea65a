"""Claims about run specifications, jobs and the plan of shared trunks."""

import msgspec
import pytest

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import Adafactor, AdamW, LearningRate, RunSpec
from sparseplan.runs.strategies import GradualMagnitude
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.specs import DATA, SHAPE, spec


def test_training_flops_follow_the_laws_mean_density() -> None:
    run = spec(0.75, steps=40_000 // 16)
    law = 6 * run.shape.dense_params * run.data_seen * float(Schedule().mean_density(0.75))
    assert run.train_flops == pytest.approx(law, rel=0.01)  # the staircase lags the smooth ramp by half a piece
    dense = spec(steps=100)
    assert dense.train_flops == 6 * SHAPE.dense_params * 100 * 4 * 32


def test_the_learning_rate_warms_up_stays_and_cools_down() -> None:
    rate = LearningRate(warmup=4, cooldown=0.5)
    assert [rate.factor(step, 12) for step in range(12)] == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    )
    paper = LearningRate(kind="inverse-sqrt", warmup=100, cooldown=0)
    assert paper.factor(99, 10**4) == 1
    assert paper.factor(399, 10**4) == pytest.approx(0.5)  # sqrt(100 / 400)


def test_t5s_schedule_is_constant_before_it_falls() -> None:
    # t5x, utils.create_learning_rate_scheduler: constant * rsqrt_decay, 1 / sqrt(max(step, warmup))
    held = LearningRate(kind="held-inverse-sqrt", warmup=100, cooldown=0)
    assert [held.factor(step, 1000) for step in (0, 50, 99)] == [1.0, 1.0, 1.0]
    assert held.factor(399, 1000) == 0.5


def test_identity_names_what_determines_the_numbers_and_no_paths() -> None:
    run = spec(0.5)
    moved = msgspec.structs.replace(DATA, train=msgspec.structs.replace(DATA.train, path="/elsewhere"))
    assert msgspec.structs.replace(run, data=moved).run_id == run.run_id
    changes = (
        {"steps": 101},
        {"seed": 1},
        {"batch": 8},
        {"dtype": "bfloat16"},
        {"optimizer": AdamW(learning_rate=2e-2)},
        {"optimizer": Adafactor()},
        {"pruning": Pruning(sparsity=0.5, pattern="2:4")},
        {"evaluation_sequences": 3},
    )
    others = {msgspec.structs.replace(run, **change).run_id for change in changes}
    assert len(others | {run.run_id}) == len(changes) + 1


def test_a_dense_runs_identity_ignores_its_unused_ramp() -> None:
    late = Pruning(strategy=GradualMagnitude(schedule=Schedule(start=0.5)))
    assert RunSpec(shape=SHAPE, data=DATA, batch=4, steps=100, pruning=late).run_id == spec().run_id


def test_an_identity_stays_what_it_was() -> None:
    # A changed hash would orphan every finished run of every sweep: bump it knowingly, with a changelog entry.
    assert (spec().run_id, spec(0.5, "2:4").trunk_id) == ("ac02c6b99e352682", "trunk-b7e7b0081f7ef9f4")


def test_a_width_that_groups_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="a width that 24 divides"):
        spec(1 - 1 / 24, "1:24")


def test_repetition_is_refused_unless_asked_for() -> None:
    scarce = msgspec.structs.replace(DATA, train=msgspec.structs.replace(DATA.train, tokens=10_000))
    with pytest.raises(ValueError, match=r"at most 1 passes .* found 1\.28"):
        RunSpec(shape=SHAPE, data=scarce, batch=4, steps=100)
    asked = msgspec.structs.replace(scarce, max_epochs=2)
    assert RunSpec(shape=SHAPE, data=asked, batch=4, steps=100).epochs == 1.28
