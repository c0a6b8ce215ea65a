"""Trainings that start from dense weights."""

import hashlib
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("torch")

import torch

from sparseplan.errors import BrokenFileError, SparseplanError
from sparseplan.runs.job import RunRecord, Segment, kept_checkpoint
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import AdamW, DataSpec, LearningRate, RunSpec
from sparseplan.runs.start import Checkpoint, DenseRun
from sparseplan.runs.strategies import GradualMagnitude, Rewinding, SparseGpt, Static, Strategy
from sparseplan.runs.trunks import plan_segments
from sparseplan.sparsity.schedule import Schedule
from sparseplan.train.loop import StoppedError
from sparseplan.train.tasks.next_token import NextToken
from tests.helpers.training import STEPS, StopAfter, tiny_run, train_all, train_alone, train_segment

AT_ONCE = GradualMagnitude(schedule=Schedule(start=0, end=0.75), updates=6)
STILL = AdamW(learning_rate=1e-12, base_width=32, weight_decay=0)


def started(data: DataSpec, sparsity: float = 0.5, strategy: Strategy = AT_ONCE, **changes: Any) -> RunSpec:
    pruning = Pruning(sparsity=sparsity, strategy=strategy)
    return tiny_run(data, pruning=pruning, start=DenseRun(steps=STEPS), **changes)


def dense_weights(data: DataSpec, folder: Path) -> tuple[Segment, Path]:
    """Train a dense run for those that start from it; its segment, and the weights that it leaves."""
    segment = plan_segments([started(data)]).segments[0]
    train_segment(segment, folder)
    return segment, kept_checkpoint(folder, segment.id, STEPS)


def from_file(path: Path, data: DataSpec, **changes: Any) -> RunSpec:
    start = Checkpoint(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), data_seen=5120)
    return msgspec.structs.replace(tiny_run(data), start=start, **changes)


def test_a_run_begins_at_the_loss_of_the_weights_that_it_starts_from(data: DataSpec, tmp_path: Path) -> None:
    dense = train_alone(tiny_run(data), tmp_path / "alone")
    assert dense.loss is not None
    assert dense.loss < math.log(256) - 1  # it has learnt
    _, weights = dense_weights(data, tmp_path)
    unmoved = train_alone(from_file(weights, data, steps=1, optimizer=STILL), tmp_path / "unmoved")
    assert unmoved.loss == pytest.approx(dense.loss, abs=1e-5)  # rounding of an update of 1e-12
    assert unmoved.dense_data_seen == 5120


def test_a_dense_run_that_others_start_from_reports_the_loss_of_a_lone_one(data: DataSpec, tmp_path: Path) -> None:
    run = started(data)
    records = train_all([run], tmp_path / "started")
    assert run.dense_run is not None
    alone = train_alone(tiny_run(data), tmp_path / "alone")
    assert records[run.dense_run.run_id].loss == alone.loss
    assert records[run.run_id].loss != alone.loss
    assert records[run.run_id].dense_train_flops == pytest.approx(alone.train_flops)


@pytest.mark.parametrize("cooldown", [0.2, 0.0], ids=["cooled", "uncooled"])
def test_runs_that_share_what_is_before_and_behind_a_dense_run_equal_unshared_ones(
    data: DataSpec, tmp_path: Path, cooldown: float
) -> None:
    late = GradualMagnitude(schedule=Schedule(start=0.5, end=0.75), updates=3)
    rate = LearningRate(warmup=5, cooldown=cooldown)
    runs = [
        msgspec.structs.replace(
            started(data, sparsity, late, learning_rate=rate, steps=20), start=DenseRun(steps=steps)
        )
        for sparsity in (0.5, 0.75)
        for steps in (20, STEPS)
    ]
    shared = train_all(runs, tmp_path / "shared")
    for run in runs:
        plan = plan_segments([run], share=False)
        records = [train_segment(segment, tmp_path / run.run_id) for segment in plan.segments]
        assert [segment.from_step for segment in plan.segments if segment.id != run.dense_run.run_id] == [0, 0]  # type: ignore[union-attr]
        last = records[-1]
        assert isinstance(last, RunRecord)
        assert shared[run.run_id].loss == last.loss


def test_a_run_goes_on_in_the_data_where_the_dense_one_ended(
    data: DataSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    read = NextToken.batch

    def spy(task: NextToken, step: int) -> Any:
        asked.append(step)
        return read(task, step)

    monkeypatch.setattr(NextToken, "batch", spy)
    run = started(data, strategy=SparseGpt(at=0.5, batches=2), steps=4)
    train_all([run], tmp_path)
    # those before its cut are looked at again, to measure what goes into the matrices
    assert asked == [*range(STEPS), 40, 41, 40, 41, 42, 43]


@pytest.mark.parametrize(
    "strategy", [AT_ONCE, Static(), Rewinding(share=0.5, to=0.25)], ids=lambda one: type(one).__name__
)
def test_a_started_run_stopped_half_way_resumes_to_the_same_loss_without_the_dense_weights(
    data: DataSpec, tmp_path: Path, strategy: Strategy
) -> None:
    run = started(data, strategy=strategy)
    whole = train_all([run], tmp_path / "whole")[run.run_id]
    segment = plan_segments([run]).segments[-1]
    _, weights = dense_weights(data, tmp_path / "stopped")
    with pytest.raises(StoppedError):
        train_segment(segment, tmp_path / "stopped", stop=StopAfter(25))
    weights.unlink()
    resumed = train_segment(segment, tmp_path / "stopped")
    assert isinstance(resumed, RunRecord)
    assert resumed.loss == whole.loss
    assert resumed.nonzero_params == whole.dense_params // 2


def test_weights_that_a_recipe_keeps_are_those_of_its_dense_runs_and_start_another(
    data: DataSpec, tmp_path: Path
) -> None:
    dense, sparse = tiny_run(data), tiny_run(data, 0.5)
    plan = plan_segments([dense, sparse], keep_dense=True)
    records = [train_segment(segment, tmp_path) for segment in plan.segments]
    kept = kept_checkpoint(tmp_path, dense.run_id, STEPS)
    assert not kept_checkpoint(tmp_path, sparse.run_id, STEPS).exists()
    unmoved = train_alone(from_file(kept, data, steps=1, optimizer=STILL), tmp_path / "unmoved")
    (last,) = [one for one in records if isinstance(one, RunRecord) and one.run_id == dense.run_id]
    assert unmoved.loss == pytest.approx(last.loss, abs=1e-5)  # rounding of an update of 1e-12


def test_broken_dense_weights_are_set_aside_so_that_the_dense_run_is_trained_again(
    data: DataSpec, tmp_path: Path
) -> None:
    _, weights = dense_weights(data, tmp_path)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BrokenFileError, match=r"expected a whole checkpoint.*It is now final-\w+-00000040.pt.broken"):
        train_segment(plan_segments([started(data)]).segments[-1], tmp_path)
    assert not weights.exists()


class Reduced:
    """Would make a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (self.target,))


def test_files_that_hold_no_such_weights_are_refused_and_run_nothing(data: DataSpec, tmp_path: Path) -> None:
    _, weights = dense_weights(data, tmp_path)
    run = from_file(weights, data)

    wider = msgspec.structs.replace(run.shape, width=64)
    with pytest.raises(SparseplanError, match=r"embedding.weight 256 x 64, found 256 x 32; .* more"):
        train_alone(msgspec.structs.replace(run, shape=wider), tmp_path / "wider")

    weights.write_bytes(weights.read_bytes() + b"more")
    with pytest.raises(SparseplanError, match="the weights changed since this run was specified"):
        train_alone(run, tmp_path / "changed")

    weights.unlink()
    with pytest.raises(SparseplanError, match="can't read these weights: No such file"):
        train_alone(run, tmp_path / "gone")

    trap = tmp_path / "trap.pt"
    torch.save({"model": Reduced(tmp_path / "made")}, trap)
    with pytest.raises(BrokenFileError, match="expected a whole checkpoint"):
        train_alone(from_file(trap, data), tmp_path / "trapped")
    assert not (tmp_path / "made").exists()

    torch.save([1, 2], trap)
    with pytest.raises(BrokenFileError, match="expected a checkpoint of sparseplan, found list"):
        train_alone(from_file(trap, data), tmp_path / "list")
