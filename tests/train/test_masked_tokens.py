"""Claims about masked tokens: what is hidden, that it is the same whenever it is asked, and that encoders learn it."""

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from sparseplan.runs.job import RunRecord, read_result, rolling_checkpoint, to_json
from sparseplan.runs.spec import Adafactor, AdamW, DataSpec, Optimizer
from sparseplan.runs.trunks import plan_segments
from sparseplan.shapes.bert import BertShape
from sparseplan.shapes.families import Shape
from sparseplan.train.families import build_model, open_task
from sparseplan.train.loop import StoppedError
from sparseplan.train.models.bert import Bert
from sparseplan.train.runner import TaskLoss
from sparseplan.train.tasks.masked_tokens import MaskedTokens, choose
from sparseplan.train.tasks.next_token import NextToken
from tests.helpers.training import (
    BERT,
    SHAPE,
    STEPS,
    StopAfter,
    job_of,
    tiny_run,
    train_all,
    train_alone,
    train_segment,
)

CPU = torch.device("cpu")
LONG = BertShape(layers=1, width=32, heads=2, vocab=256, context=200)  # 30 places of 200 are chosen


def sequences(number: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.arange(number, dtype=np.uint64)


def test_fifteen_percent_of_every_sequence_are_chosen_at_places_that_differ_and_ascend() -> None:
    places, shown = choose(sequences(500), LONG, seed=0)
    assert places.shape == shown.shape == (500, 30)
    assert bool((np.diff(places, axis=1) > 0).all())
    assert places.min() >= 0
    assert places.max() < 200


def test_of_the_chosen_eighty_percent_are_masked_ten_random_and_ten_kept() -> None:
    _, shown = choose(sequences(2000), LONG, seed=0)
    n = shown.size  # 60,000: three standard deviations of a share are below 0.005
    assert (shown == LONG.mask_token).sum() / n == pytest.approx(0.8, abs=0.005)
    assert (shown == -1).sum() / n == pytest.approx(0.1, abs=0.005)
    random = shown[(shown >= 0) & (shown < 256)]
    assert len(random) / n == pytest.approx(0.1, abs=0.005)
    counts = np.bincount(random, minlength=256)  # about 23 of each token
    chi_squared = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
    assert chi_squared < 255 + 4 * math.sqrt(2 * 255)


def test_every_place_is_chosen_about_as_often_as_any_other() -> None:
    places, _ = choose(sequences(2000), LONG, seed=0)
    counts = np.bincount(places.flatten(), minlength=200)  # 300 each, standard deviation sqrt(2000 x .15 x .85) = 16
    assert np.abs(counts - 300).max() < 5 * 16


def test_a_sequences_masks_depend_on_its_number_and_the_seed_alone() -> None:
    together = choose(sequences(8), LONG, seed=3)
    alone = choose(np.array([5], dtype=np.uint64), LONG, seed=3)
    assert all(np.array_equal(one[0], all_of[5]) for one, all_of in zip(alone, together, strict=True))
    other = choose(sequences(8), LONG, seed=4)
    assert not np.array_equal(other[0], together[0])
    assert not np.array_equal(together[0][0], together[0][1])


def test_only_chosen_places_are_changed_and_targets_are_what_stood_there(data: DataSpec) -> None:
    run = tiny_run(data, shape=BERT)
    shown, places, targets = MaskedTokens(run, CPU).batch(2)
    plain, _ = NextToken(tiny_run(data), CPU).batch(2)  # the same windows, as they are
    assert torch.equal(targets, plain.gather(1, places))
    changed = shown != plain
    chosen = torch.zeros_like(changed).scatter(1, places, True)
    assert bool((chosen | ~changed).all())
    assert int((shown == BERT.mask_token).sum()) > 0
    assert places.shape == targets.shape == (4, BERT.chosen_per_sequence)


def test_a_text_that_comes_again_is_masked_differently_and_validation_never_is(data: DataSpec) -> None:
    run = tiny_run(msgspec.structs.replace(data, max_epochs=100), shape=BERT, steps=1000)
    task = MaskedTokens(run, CPU)
    first, again = MaskedTokens(run, CPU).batch(700), task.batch(700)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(task.batch(0)[1], task.batch(1)[1])
    other = MaskedTokens(msgspec.structs.replace(run, seed=9, steps=10), CPU)
    for a, b in zip(task.validation(), other.validation(), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_new_encoders_loss_is_that_of_a_uniform_guess_and_no_code_length(data: DataSpec) -> None:
    task = MaskedTokens(tiny_run(data, shape=BERT), CPU)
    model = Bert(BERT, seed=0)
    assert task.loss(model, task.batch(0)).item() == pytest.approx(BERT.loss_of_a_guess, abs=0.15)


def test_the_loss_is_the_mean_over_the_chosen_places(data: DataSpec) -> None:
    task, model = MaskedTokens(tiny_run(data, shape=BERT), CPU), Bert(BERT, seed=0)
    shown, places, targets = task.batch(0)
    logits = model.head(model.hidden(shown)).double().log_softmax(-1)
    picked = [
        -logits[row, place, token].item()
        for row in range(4)
        for place, token in zip(places[row].tolist(), targets[row].tolist(), strict=True)
    ]
    assert task.loss(model, (shown, places, targets)).item() == pytest.approx(sum(picked) / len(picked), rel=1e-5)


def test_an_encoder_learns_and_its_record_counts_every_token_that_it_saw(data: DataSpec, tmp_path: Path) -> None:
    record = train_alone(tiny_run(data, 0.75, shape=BERT, steps=120), tmp_path)
    assert record.loss is not None
    assert record.loss < BERT.loss_of_a_guess - 1
    assert record.bits_per_byte is None
    assert record.nonzero_params == BERT.dense_params // 4
    assert record.data_seen == 120 * 4 * 32  # not the chosen ones only


@pytest.mark.parametrize("optimizer", [AdamW(base_width=32), Adafactor(learning_rate=0.05)], ids=["adamw", "adafactor"])
def test_a_branched_encoder_equals_the_unshared_one_bit_for_bit(
    data: DataSpec, tmp_path: Path, optimizer: Optimizer
) -> None:
    runs = [
        tiny_run(data, sparsity, pattern, shape=BERT, steps=steps, optimizer=optimizer)
        for sparsity, pattern in ((0.0, "unstructured"), (0.5, "2:4"), (0.75, "unstructured"))
        for steps in (20, STEPS)
    ]
    branched = train_all(runs, tmp_path / "branched")
    assert {record.trunk for record in branched.values()} == {runs[0].trunk_id}
    for run in runs:
        assert branched[run.run_id].loss == train_alone(run, tmp_path / "alone").loss


@pytest.mark.parametrize("updates", [1, 25, 39])
def test_an_encoder_stopped_at_any_update_resumes_to_the_same_loss(
    data: DataSpec, tmp_path: Path, updates: int
) -> None:
    segment = plan_segments([tiny_run(data, 0.5, "2:4", shape=BERT)]).segments[0]
    whole = train_segment(segment, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_segment(segment, tmp_path / "stopped", stop=StopAfter(updates))
    resumed = train_segment(segment, tmp_path / "stopped")
    assert isinstance(whole, RunRecord)
    assert isinstance(resumed, RunRecord)
    assert resumed.loss == whole.loss
    lines = [json.loads(line) for line in (tmp_path / "stopped" / f"{segment.id}.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "start"] == [0, updates]


def test_an_encoder_killed_without_warning_resumes_to_the_same_loss(data: DataSpec, tmp_path: Path) -> None:
    segment = plan_segments([tiny_run(data, 0.5, shape=BERT, steps=130)]).segments[0]
    whole = train_segment(segment, tmp_path / "whole")
    job = job_of(segment, tmp_path / "killed", checkpoint_seconds=0.01)
    path = tmp_path / "job.json"
    path.write_bytes(to_json(job))
    command, root = [sys.executable, "-m", "sparseplan.train", str(path)], Path(__file__).parents[2]
    rolling = rolling_checkpoint(tmp_path / "killed", segment.id)
    process = subprocess.Popen(command, cwd=root)
    deadline = time.monotonic() + 60
    while not rolling.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path(job.result).exists()
    assert subprocess.run(command, cwd=root, check=False).returncode == 0
    record = read_result(Path(job.result))
    assert isinstance(whole, RunRecord)
    assert isinstance(record, RunRecord)
    assert record.loss == whole.loss


@pytest.mark.parametrize("shape", [SHAPE, BERT], ids=["gpt", "bert"])
def test_model_and_task_compile_as_one_graph(data: DataSpec, shape: Shape) -> None:
    # as runs of large models on a GPU are; here by a compiler that only traces, which fails where a value is looked at
    task, model = open_task(tiny_run(data, shape=shape), CPU), build_model(shape, seed=0)
    loss = TaskLoss(model, task)
    compiled = torch.compile(loss, backend="eager", fullgraph=True, dynamic=False)
    assert torch.equal(compiled(task.batch(0)), loss(task.batch(0)))
