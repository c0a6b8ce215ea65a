"""Claims about whole trainings by each strategy: they learn, end exact, resume and branch bit for bit."""

import math
from pathlib import Path

import pytest

pytest.importorskip("torch")


from sparseplan.runs.job import RunRecord
from sparseplan.runs.pruning import Pruning, SrSte, Static
from sparseplan.runs.spec import DataSpec, RunSpec
from sparseplan.runs.trunks import plan_segments
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

PRUNINGS = {
    "static": Pruning(sparsity=0.75, strategy=Static()),
    "static-2:4": Pruning(sparsity=0.5, pattern="2:4", strategy=Static()),
    "sr-ste": Pruning(sparsity=0.5, pattern="2:4", strategy=SrSte()),
    "sr-ste-1:8": Pruning(sparsity=0.875, pattern="1:8", strategy=SrSte()),
}
every_strategy = pytest.mark.parametrize("pruning", PRUNINGS.values(), ids=PRUNINGS.keys())


def run_of(data: DataSpec, pruning: Pruning, steps: int = STEPS) -> RunSpec:
    return tiny_run(data, pruning=pruning, steps=steps)


@every_strategy
def test_it_learns_and_ends_at_its_exact_count(data: DataSpec, tmp_path: Path, pruning: Pruning) -> None:
    record = train_alone(run_of(data, pruning), tmp_path)
    assert record.loss is not None
    assert record.loss < math.log(256) - 1
    assert record.nonzero_params == round(SHAPE.dense_params * (1 - pruning.sparsity))
    assert (record.strategy, record.pattern) == (pruning.strategy_name, pruning.pattern)


@every_strategy
@pytest.mark.parametrize("updates", [1, 25])
def test_a_run_stopped_at_any_update_resumes_to_the_same_loss(
    data: DataSpec, tmp_path: Path, pruning: Pruning, updates: int
) -> None:
    segment = plan_segments([run_of(data, pruning)]).segments[0]
    whole = train_segment(segment, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_segment(segment, tmp_path / "stopped", stop=StopAfter(updates))
    resumed = train_segment(segment, tmp_path / "stopped")
    assert isinstance(whole, RunRecord)
    assert isinstance(resumed, RunRecord)
    assert resumed.loss == whole.loss


@every_strategy
def test_lengths_that_share_a_trunk_end_where_they_would_alone(
    data: DataSpec, tmp_path: Path, pruning: Pruning
) -> None:
    runs = [run_of(data, pruning, steps) for steps in (20, STEPS)]
    branched = train_all([*runs, tiny_run(data)], tmp_path / "branched")
    assert [branched[run.run_id].trunk_step for run in runs] == [16, 32]
    for run in runs:
        assert branched[run.run_id].loss == train_alone(run, tmp_path / "alone").loss
