"""Claims about whole trainings by each strategy: they learn, end exact, resume and branch bit for bit."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")


from sparseplan.runs.job import RunRecord
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import DataSpec, RunSpec
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
    Structured,
    Wanda,
)
from sparseplan.runs.trunks import plan_segments
from sparseplan.sparsity.schedule import Schedule
from sparseplan.train.loop import StoppedError
from tests.helpers.training import (
    SHAPE,
    STEPS,
    StopAfter,
    tiny_run,
    train_all,
    train_alone,
    train_segment,
)

GEOMETRIC = Schedule(kind="geometric", start=0.1, end=0.6)
PRUNINGS = {
    "global-geometric": Pruning(
        sparsity=0.75, strategy=GradualMagnitude(scope="global", schedule=GEOMETRIC, updates=5)
    ),
    "one-shot": Pruning(sparsity=0.75, strategy=OneShot()),
    "static": Pruning(sparsity=0.75, strategy=Static()),
    "static-2:4": Pruning(sparsity=0.5, pattern="2:4", strategy=Static()),
    "set": Pruning(sparsity=0.75, strategy=SparseEvolution(every=5, distribution="erdos-renyi")),
    "rigl": Pruning(sparsity=0.75, strategy=RigL(every=5)),
    "ste": Pruning(sparsity=0.75, strategy=Ste()),
    "sr-ste": Pruning(sparsity=0.5, pattern="2:4", strategy=SrSte()),
    "sr-ste-1:8": Pruning(sparsity=0.875, pattern="1:8", strategy=SrSte()),
    "s-ste": Pruning(sparsity=0.5, pattern="2:4", strategy=SSte()),
    "rewinding": Pruning(sparsity=0.75, strategy=Rewinding(share=0.5)),
    "structured": Pruning(sparsity=0.75, strategy=Structured(updates=4)),
    "wanda": Pruning(sparsity=0.75, strategy=Wanda()),
    "sparsegpt": Pruning(sparsity=0.5, pattern="2:4", strategy=SparseGpt()),
}
BRANCH_STEPS = {
    "global-geometric": [2, 4],  # the ramp's beginning, at a tenth
    "one-shot": [10, 20],
    "structured": [5, 10],
    "wanda": [10, 20],
    "sparsegpt": [10, 20],
    "set": [15, 30],  # the last rewiring, at three quarters
    "rewinding": [2, 4],  # what its rounds go back to
    "rigl": [5, 5],  # the first rewiring, whose share depends on the length
}
"""Where runs of 20 and 40 steps leave their trunk; at their cooldowns where nothing is said."""
every_strategy = pytest.mark.parametrize("name", PRUNINGS)
Alone = Callable[[RunSpec], RunRecord]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """Trains a run by itself, once."""
    records: dict[str, RunRecord] = {}

    def train(run: RunSpec) -> RunRecord:
        if run.run_id not in records:
            records[run.run_id] = train_alone(run, tmp_path_factory.mktemp("alone"))
        return records[run.run_id]

    return train


def run_of(data: DataSpec, name: str, steps: int = STEPS) -> RunSpec:
    return tiny_run(data, pruning=PRUNINGS[name], steps=steps)


@every_strategy
def test_it_learns_and_ends_at_its_exact_count(data: DataSpec, alone: Alone, name: str) -> None:
    run = run_of(data, name)
    record = alone(run)
    assert record.loss is not None
    assert record.loss < math.log(256) - 1
    assert record.nonzero_params == round(SHAPE.dense_params * (1 - run.pruning.sparsity))
    assert (record.strategy, record.pattern) == (run.pruning.strategy_name, run.pruning.pattern)


@every_strategy
@pytest.mark.parametrize("updates", [1, 25])
def test_a_run_stopped_at_any_update_resumes_to_the_same_loss(
    data: DataSpec, tmp_path: Path, alone: Alone, name: str, updates: int
) -> None:
    segment = plan_segments([run_of(data, name)]).segments[0]
    with pytest.raises(StoppedError):
        train_segment(segment, tmp_path, stop=StopAfter(updates))
    resumed = train_segment(segment, tmp_path)
    assert isinstance(resumed, RunRecord)
    assert resumed.loss == alone(segment.run).loss


@every_strategy
def test_lengths_that_share_a_trunk_end_where_they_would_alone(
    data: DataSpec, tmp_path: Path, alone: Alone, name: str
) -> None:
    runs = [run_of(data, name, steps) for steps in (20, STEPS)]
    branched = train_all([*runs, tiny_run(data)], tmp_path)
    assert [branched[run.run_id].trunk_step for run in runs] == BRANCH_STEPS.get(name, [16, 32])
    for run in runs:
        assert branched[run.run_id].loss == alone(run).loss


@pytest.mark.parametrize("updates", [60, 100])
def test_a_run_stopped_in_a_later_round_resumes_to_the_same_loss(
    data: DataSpec, tmp_path: Path, alone: Alone, updates: int
) -> None:
    segment = plan_segments([run_of(data, "rewinding")]).segments[0]
    assert segment.to_step == 40 + 36 + 36
    with pytest.raises(StoppedError):
        train_segment(segment, tmp_path, stop=StopAfter(updates))
    assert train_segment(segment, tmp_path).loss == alone(segment.run).loss  # type: ignore[union-attr]


def test_strategies_that_begin_dense_share_one_trunk(data: DataSpec, tmp_path: Path, alone: Alone) -> None:
    runs = [run_of(data, name) for name in ("global-geometric", "one-shot", "rewinding", "sparsegpt")]
    plan = plan_segments([*runs, tiny_run(data)])
    assert sum(not segment.finish for segment in plan.segments) == 1
    branched = train_all([*runs, tiny_run(data)], tmp_path)
    for run in runs:
        assert branched[run.run_id].loss == alone(run).loss
