"""Claims about run specifications, jobs and the plan of shared trunks."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.runs.spec import Adafactor, AdamW, LearningRate, Pruning, RunSpec
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.specs import DATA, SHAPE, spec


def test_the_ramp_meets_hand_values_of_the_cubic() -> None:
    # S (1 - (1 - p)^3) with S = 0.8 at p = 1/4, 1/2, 3/4, 1
    ramp = Pruning(sparsity=0.8, updates=4).ramp(400)
    assert [step for step, _ in ramp] == [150, 200, 250, 300]
    assert [s for _, s in ramp] == pytest.approx([0.8 * 37 / 64, 0.8 * 7 / 8, 0.8 * 63 / 64, 0.8])
    assert ramp[-1][1] == 0.8
    assert Pruning(sparsity=0.8, updates=4).sparsity_at(149, 400) == 0
    assert Pruning(sparsity=0.8, updates=4).sparsity_at(150, 400) == ramp[0][1]


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
    ramp = Pruning(sparsity=sparsity, updates=updates, schedule=schedule).ramp(steps)
    assert 1 <= len(ramp) <= updates
    assert ramp[-1] == (round(schedule.end * steps), sparsity)
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(ramp))


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
    late = RunSpec(shape=SHAPE, data=DATA, batch=4, steps=100, pruning=Pruning(schedule=Schedule(start=0.5)))
    assert late.run_id == spec().run_id


def test_an_identity_stays_what_it_was() -> None:
    # A changed hash would orphan every finished run of every sweep: bump it knowingly, with a changelog entry.
    assert (spec().run_id, spec(0.5, "2:4").trunk_id) == ("ac02c6b99e352682", "trunk-b7e7b0081f7ef9f4")


@pytest.mark.parametrize(
    ("sparsity", "pattern", "message"),
    [(0.5, "1:4", "0.75"), (0.0, "2:4", "0.5"), (0.5, "n:4", "pattern n:4"), (0.5, "two", "expected unstructured")],
)
def test_a_sparsity_that_contradicts_its_pattern_is_refused(sparsity: float, pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pruning(sparsity=sparsity, pattern=pattern)


def test_a_width_that_groups_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="a width that 24 divides"):
        spec(1 - 1 / 24, "1:24")


def test_repetition_is_refused_unless_asked_for() -> None:
    scarce = msgspec.structs.replace(DATA, train=msgspec.structs.replace(DATA.train, tokens=10_000))
    with pytest.raises(ValueError, match=r"at most 1 passes .* found 1\.28"):
        RunSpec(shape=SHAPE, data=scarce, batch=4, steps=100)
    asked = msgspec.structs.replace(scarce, max_epochs=2)
    assert RunSpec(shape=SHAPE, data=asked, batch=4, steps=100).epochs == 1.28
