"""Claims about whole trainings: branches, resumption, divergence, and what a record says."""

import json
import math
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("torch")

import torch

from sparseplan.errors import SparseplanError
from sparseplan.runs.job import (
    EXIT_OUT_OF_MEMORY,
    RunRecord,
    TrunkRecord,
    kept_checkpoint,
    read_result,
    rolling_checkpoint,
    to_json,
)
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import Adafactor, AdamW, DataSpec, LearningRate, Optimizer
from sparseplan.runs.strategies import GradualMagnitude
from sparseplan.runs.trunks import plan_segments
from sparseplan.sparsity.schedule import Schedule
from sparseplan.train import checkpoint
from sparseplan.train.loop import StoppedError, Training
from tests.helpers.training import (
    SHAPE,
    STEPS,
    StopAfter,
    job_of,
    tiny_run,
    train_all,
    train_alone,
    train_segment,
)

FAMILY = ((0.0, "unstructured"), (0.5, "2:4"), (0.75, "unstructured"))


def test_training_learns_and_the_record_counts_what_was_trained(data: DataSpec, tmp_path: Path) -> None:
    run = tiny_run(data, 0.75)
    record = train_alone(run, tmp_path)
    assert record.loss is not None
    assert record.loss < math.log(256) - 1
    assert record.bits_per_byte == pytest.approx(record.loss / math.log(2))
    assert record.nonzero_params == SHAPE.dense_params // 4
    assert record.data_seen == STEPS * 4 * 32
    assert record.epochs == record.data_seen / data.train.tokens
    assert (record.run_id, record.data_unit, record.diverged) == (run.run_id, "byte", False)


@pytest.mark.parametrize(
    "optimizer",
    [AdamW(base_width=32), Adafactor(learning_rate=0.05), Adafactor(learning_rate=0.05, factored=False)],
    ids=["adamw", "adafactor", "adafactor-unfactored"],
)
def test_a_branched_run_equals_the_unshared_one_bit_for_bit(
    data: DataSpec, tmp_path: Path, optimizer: Optimizer
) -> None:
    runs = [
        tiny_run(data, sparsity, pattern, steps=steps, optimizer=optimizer)
        for sparsity, pattern in FAMILY
        for steps in (20, STEPS)
    ]
    branched = train_all(runs, tmp_path / "branched")
    assert {record.trunk for record in branched.values()} == {runs[0].trunk_id}
    for run in runs:
        alone = train_alone(run, tmp_path / "alone")
        assert alone.trunk is None
        assert branched[run.run_id].loss == alone.loss
        assert branched[run.run_id].nonzero_params == alone.nonzero_params


@pytest.mark.parametrize("updates", [1, 12, 25, 33, 39])
def test_a_run_stopped_at_any_update_resumes_to_the_same_loss(data: DataSpec, tmp_path: Path, updates: int) -> None:
    run = tiny_run(data, 0.5, "2:4")
    segment = plan_segments([run]).segments[0]
    whole = train_segment(segment, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_segment(segment, tmp_path / "stopped", stop=StopAfter(updates))
    assert rolling_checkpoint(tmp_path / "stopped", segment.id).exists()
    resumed = train_segment(segment, tmp_path / "stopped")
    assert isinstance(whole, RunRecord)
    assert isinstance(resumed, RunRecord)
    assert resumed.loss == whole.loss
    lines = [json.loads(line) for line in (tmp_path / "stopped" / f"{segment.id}.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "start"] == [0, updates]


def test_a_process_killed_without_warning_resumes_to_the_same_loss_and_cleans_up(
    data: DataSpec, tmp_path: Path
) -> None:
    run = tiny_run(data, 0.5, "2:4", steps=130)
    segment = plan_segments([run]).segments[0]
    whole = train_segment(segment, tmp_path / "whole")
    job = job_of(segment, tmp_path / "killed", checkpoint_seconds=0.01)
    path = tmp_path / "job.json"
    path.write_bytes(to_json(job))
    command = [sys.executable, "-m", "sparseplan.train", str(path)]
    rolling = rolling_checkpoint(tmp_path / "killed", segment.id)
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while not rolling.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not Path(job.result).exists()
    assert subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode == 0
    record = read_result(Path(job.result))
    assert isinstance(whole, RunRecord)
    assert isinstance(record, RunRecord)
    assert record.loss == whole.loss
    assert not rolling.exists()


def test_a_process_asked_to_stop_saves_and_says_130(data: DataSpec, tmp_path: Path) -> None:
    segment = plan_segments([tiny_run(data, steps=140)]).segments[0]
    job = job_of(segment, tmp_path, progress_seconds=0.01)
    path = tmp_path / "job.json"
    path.write_bytes(to_json(job))
    process = subprocess.Popen([sys.executable, "-m", "sparseplan.train", str(path)], cwd=Path(__file__).parents[2])
    progress = Path(job.progress or "")
    deadline = time.monotonic() + 60
    while not progress.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.terminate()
    assert process.wait() == 130
    assert rolling_checkpoint(tmp_path, segment.id).exists()


def test_a_bad_job_is_one_line_and_exit_2(data: DataSpec, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from sparseplan.train.__main__ import main

    (tmp_path / "job.json").write_text("{}")
    stop = threading.Event()
    assert main([str(tmp_path / "job.json")], stop=stop) == 2
    changed = msgspec.structs.replace(data, train=msgspec.structs.replace(data.train, sha256="0" * 64))
    segment = plan_segments([tiny_run(changed)]).segments[0]
    (tmp_path / "changed.json").write_bytes(to_json(job_of(segment, tmp_path)))
    assert main([str(tmp_path / "changed.json")], stop=stop) == 2
    first, second = capfd.readouterr().err.splitlines()
    assert "expected a job file" in first
    assert "the data changed since this run was specified" in second


def test_one_process_does_several_jobs_and_skips_those_that_are_done(data: DataSpec, tmp_path: Path) -> None:
    from sparseplan.train.__main__ import main

    paths = []
    for number, segment in enumerate(plan_segments([tiny_run(data), tiny_run(data, 0.5)]).segments):
        path = tmp_path / f"{number}.json"
        path.write_bytes(to_json(job_of(segment, tmp_path)))
        paths.append(str(path))
    assert main(paths, stop=threading.Event()) == 0
    results = sorted(tmp_path.glob("*[0-9a-f].json"))
    first = {path: path.stat().st_mtime_ns for path in results}
    assert main(paths, stop=threading.Event()) == 0
    assert {path: path.stat().st_mtime_ns for path in results} == first
    left_over = rolling_checkpoint(tmp_path, plan_segments([tiny_run(data)]).segments[0].id)
    left_over.write_bytes(b"from a process killed right after its result")
    assert main(paths, stop=threading.Event()) == 0
    assert not left_over.exists()
    stopped = threading.Event()
    stopped.set()
    (tmp_path / f"{plan_segments([tiny_run(data)]).segments[0].id}.json").unlink()
    assert main(paths, stop=stopped) == 130


def test_running_out_of_memory_has_its_own_exit_status(
    data: DataSpec, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparseplan.train import __main__ as entry

    def exhausted(*_args: object, **_more: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr(entry, "run_job", exhausted)
    assert entry.main(["job.json"], stop=threading.Event()) == EXIT_OUT_OF_MEMORY
    assert "job.json: out of memory" in capfd.readouterr().err


def test_a_full_disk_costs_a_rolling_checkpoint_and_no_number(
    data: DataSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(data, 0.5)
    whole = train_alone(run, tmp_path / "whole")

    def full(path: Path, *_args: object, **_more: object) -> None:
        raise SparseplanError(f"{path}: can't write this file: No space left on device.")

    monkeypatch.setattr(checkpoint, "save", full)
    record = train_alone(run, tmp_path / "full", checkpoint_seconds=1e-9)
    assert record.loss == whole.loss
    assert "No space left" in (tmp_path / "full" / f"{run.run_id}.jsonl").read_text()


def test_a_trunk_on_a_full_disk_fails_rather_than_leave_its_branches_waiting(
    data: DataSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = plan_segments([tiny_run(data), tiny_run(data, 0.5)]).segments[0]

    def full(path: Path, *_args: object, **_more: object) -> None:
        raise SparseplanError(f"{path}: can't write this file: No space left on device.")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(SparseplanError, match="No space left"):
        train_segment(trunk, tmp_path)


def test_a_broken_rolling_checkpoint_is_passed_over_and_said(data: DataSpec, tmp_path: Path) -> None:
    run = tiny_run(data, 0.5)
    segment = plan_segments([run]).segments[0]
    whole = train_alone(run, tmp_path / "whole")
    (tmp_path / "broken").mkdir()
    rolling_checkpoint(tmp_path / "broken", segment.id).write_bytes(b"half a file")
    record = train_alone(run, tmp_path / "broken")
    assert record.loss == whole.loss
    assert "passed over a checkpoint" in (tmp_path / "broken" / f"{segment.id}.jsonl").read_text()


def test_a_trunk_that_lost_a_checkpoint_makes_it_again(data: DataSpec, tmp_path: Path) -> None:
    runs = [tiny_run(data), tiny_run(data, 0.5), tiny_run(data, 0.5, steps=20)]
    trunk, *branches = plan_segments(runs).segments
    train_segment(trunk, tmp_path)
    first = kept_checkpoint(tmp_path, trunk.id, trunk.keep[0])
    before = torch.load(first, weights_only=True)["model"]
    first.unlink()
    train_segment(trunk, tmp_path)
    after = torch.load(first, weights_only=True)["model"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert len(branches) == 3


def test_a_branch_without_its_trunk_says_what_is_missing(data: DataSpec, tmp_path: Path) -> None:
    _, branch, *_ = plan_segments([tiny_run(data), tiny_run(data, 0.5)]).segments
    with pytest.raises(SparseplanError, match=r"trunk-.*\.pt: can't read this checkpoint"):
        train_segment(branch, tmp_path)


def test_divergence_is_recorded_as_such_and_never_as_a_number(data: DataSpec, tmp_path: Path) -> None:
    record = train_alone(tiny_run(data, 0.5, optimizer=AdamW(learning_rate=1e6)), tmp_path)
    assert record.diverged
    assert record.loss is None
    assert record.bits_per_byte is None
    assert "at step" in (record.reason or "")


def test_a_trunks_divergence_is_reported_with_its_step(data: DataSpec, tmp_path: Path) -> None:
    wild = AdamW(learning_rate=1e6)
    trunk = plan_segments([tiny_run(data, optimizer=wild), tiny_run(data, 0.5, optimizer=wild)]).segments[0]
    record = train_segment(trunk, tmp_path)
    assert isinstance(record, TrunkRecord)
    assert record.diverged
    assert 0 < record.step <= trunk.to_step


def test_a_ramp_that_ends_with_training_still_ends_at_its_sparsity(data: DataSpec, tmp_path: Path) -> None:
    late = GradualMagnitude(schedule=Schedule(start=0.5, end=1.0))
    pruning = Pruning(sparsity=0.5, pattern="2:4", strategy=late)
    record = train_alone(tiny_run(data, pruning=pruning), tmp_path)
    assert record.nonzero_params == SHAPE.dense_params // 2


def test_the_papers_inverse_square_root_ends_every_dense_length_on_the_trunk(data: DataSpec, tmp_path: Path) -> None:
    rate = LearningRate(kind="inverse-sqrt", warmup=5, cooldown=0)
    runs = [tiny_run(data, steps=steps, learning_rate=rate) for steps in (20, STEPS)]
    branched = train_all(runs, tmp_path / "branched")
    for run in runs:
        assert branched[run.run_id].trunk_step == run.steps
        assert branched[run.run_id].loss == train_alone(run, tmp_path / "alone").loss


def test_splitting_a_batch_moves_the_loss_by_rounding_only(data: DataSpec, tmp_path: Path) -> None:
    run = tiny_run(data)
    whole, split = train_alone(run, tmp_path / "whole"), train_alone(run, tmp_path / "split", accumulate=2)
    assert split.loss == pytest.approx(whole.loss, rel=1e-3)
    with pytest.raises(SparseplanError, match="accumulate to divide the batch of 4, found 3"):
        train_alone(run, tmp_path / "odd", accumulate=3)


def test_bfloat16_trains_close_to_float32(data: DataSpec, tmp_path: Path) -> None:
    exact, rough = (
        train_alone(tiny_run(data, 0.5, "2:4", dtype=dtype), tmp_path / dtype).loss for dtype in ("float32", "bfloat16")
    )
    assert rough == pytest.approx(exact, rel=0.02)
    assert rough != exact


def test_a_gpu_that_is_not_there_is_said_so(data: DataSpec, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    segment = plan_segments([tiny_run(data)]).segments[0]
    with pytest.raises(SparseplanError, match="found no CUDA; choose the device cpu"):
        train_segment(segment, tmp_path, device="cuda")


def test_progress_is_lines_that_count_from_the_runs_start(data: DataSpec, tmp_path: Path) -> None:
    runs = [tiny_run(data), tiny_run(data, 0.5)]
    for segment in plan_segments(runs).segments:
        train_segment(segment, tmp_path, progress_seconds=1e-9)
    branch = plan_segments(runs).segments[1]
    lines = [json.loads(line) for line in (tmp_path / f"{branch.id}.jsonl").read_text().splitlines()]
    assert [line["event"] for line in (lines[0], lines[-1])] == ["start", "done"]
    steps = [line["step"] for line in lines if line["event"] == "step"]
    assert steps == list(range(branch.from_step + 1, STEPS + 1))
    assert all(line["tokens_per_second"] > 0 for line in lines if line["event"] == "step")


def test_whoever_watches_is_called_after_every_update(data: DataSpec, tmp_path: Path) -> None:
    seen: list[int] = []
    segment = plan_segments([tiny_run(data, 0.5)]).segments[0]
    Training(job_of(segment, tmp_path), stop=threading.Event(), on_step=seen.append).train()
    assert seen == list(range(1, STEPS + 1))


def test_the_gpu_only_choices_stay_off_the_cpu(data: DataSpec, tmp_path: Path) -> None:
    run = tiny_run(data, 0.5, "2:4")
    record = train_alone(run, tmp_path, execution="graphs")
    assert record.execution == "eager"
    assert record.semi_structured is False
    assert record.semi_structured_reason == "no 2:4 products on cpu"
    assert train_alone(tiny_run(data, 0.5), tmp_path).semi_structured_reason is None


@pytest.mark.slow
def test_pruning_costs_loss_and_beats_a_dense_model_of_equal_nonzero_size(tmp_path: Path) -> None:
    # The paper's first figure: at equal N a sparse model is better than a dense one, and worse than its dense parent.
    text = write_source_text(tmp_path)
    wide = msgspec.structs.replace(SHAPE, width=64, context=64)
    narrow = msgspec.structs.replace(SHAPE, width=32, context=64)
    optimizer = AdamW(learning_rate=1e-2, base_width=64)
    common: dict[str, Any] = {"steps": 600, "batch": 16, "optimizer": optimizer, "evaluation_sequences": 256}
    parent = train_alone(tiny_run(text, shape=wide, **common), tmp_path / "parent")
    sparse = train_alone(tiny_run(text, 0.75, shape=wide, **common), tmp_path / "sparse")
    dense = train_alone(tiny_run(text, shape=narrow, **common), tmp_path / "dense")
    assert sparse.nonzero_params == dense.nonzero_params
    assert parent.loss is not None
    assert sparse.loss is not None
    assert dense.loss is not None
    assert parent.loss < sparse.loss < dense.loss


def write_source_text(folder: Path) -> DataSpec:
    from sparseplan.calibration.corpus import TextCorpus, prepare

    return prepare(TextCorpus(), folder / "corpus")[0]


def test_training_objects_refuse_a_file_that_is_too_short(data: DataSpec, tmp_path: Path) -> None:
    few = msgspec.structs.replace(data, valid=msgspec.structs.replace(data.valid, tokens=32))
    segment = plan_segments([tiny_run(few)]).segments[0]
    with pytest.raises(SparseplanError, match="more than 32 tokens, found 32"):
        Training(job_of(segment, tmp_path), stop=threading.Event())
