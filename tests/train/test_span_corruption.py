"""Claims about span corruption: what is cut, what is asked, and that encoder-decoders learn it."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from sparseplan.runs.job import RunRecord
from sparseplan.runs.spec import Adafactor, DataSpec, LearningRate
from sparseplan.runs.trunks import plan_segments
from sparseplan.train.families import build_model
from sparseplan.train.loop import StoppedError
from sparseplan.train.models import t5
from sparseplan.train.models.t5 import position_buckets
from sparseplan.train.tasks.span_corruption import SpanCorruption, cut, draw_lengths
from tests.helpers.flops import counted_flops
from tests.helpers.specs import T5
from tests.helpers.training import StopAfter, tiny_run, train_all, train_alone, train_segment

CPU = torch.device("cpu")
PAPER = Adafactor(factored=False, learning_rate=0.1)


def numbers(count: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.arange(count, dtype=np.uint64)


def test_spans_are_cut_as_in_the_example_of_the_paper() -> None:
    words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last"]
    sentinels = {0: "<X>", 1: "<Y>", -1: None}
    shown = [
        " ".join(sentinels[span] or words[place] for place, span in zip(part.places[0], part.span[0], strict=True))
        for part in cut(np.array([[2, 4]]), np.array([[2, 1]]))
    ]
    assert shown == ["Thank you <X> me to your party <Y>", "<X> for inviting <Y> last"]


def test_a_batch_has_descending_sentinels_and_restores_to_the_text(data: DataSpec) -> None:
    run = tiny_run(data, shape=T5)
    task = SpanCorruption(run, CPU)
    inputs, before, targets = task.batch(2)
    assert (inputs.shape, targets.shape) == ((4, 64), (4, 14))
    assert torch.equal(before[:, 1:], targets[:, :-1])
    assert before[:, 0].tolist() == [T5.start_token] * 4
    windows = task._text.train.read(task._text.windows(2))[:, :-1]
    for row in range(4):
        read, asked = inputs[row].tolist(), targets[row].tolist()
        assert (read[-1], asked[-1]) == (T5.end_token, T5.end_token)
        assert [token for token in read if token > T5.end_token] == [260, 259, 258]
        assert [token for token in asked if token > T5.end_token] == [260, 259, 258]
        hidden = {260: [], 259: [], 258: []}  # type: dict[int, list[int]]
        for token in asked[:-1]:
            if token in hidden:
                span = token
            else:
                hidden[span].append(token)
        restored = [each for token in read[:-1] for each in hidden.get(token, [token])]
        assert restored == windows[row].tolist()


def test_fifteen_percent_are_cut_in_spans_of_three_on_average_all_ways_equally_often() -> None:
    kept, noise = draw_lengths(numbers(9000), T5, seed=0)
    assert kept.min() >= 1
    assert noise.min() >= 1
    assert set(kept.sum(1)) == {60}
    assert set(noise.sum(1)) == {10}
    # C(9, 2) = 36 ways to divide 10 into 3 parts: 250 of each, standard deviation 15.6
    _, counts = np.unique(noise, axis=0, return_counts=True)
    assert len(counts) == 36
    assert np.abs(counts - 250).max() < 5 * 15.6


def test_spans_depend_on_number_and_seed_alone_and_validation_is_the_same_for_all(data: DataSpec) -> None:
    together, alone = draw_lengths(numbers(8), T5, seed=3), draw_lengths(numbers(8)[5:6], T5, seed=3)
    assert all(np.array_equal(one[0], every[5]) for one, every in zip(alone, together, strict=True))
    assert not np.array_equal(draw_lengths(numbers(8), T5, seed=4)[0], together[0])
    run = tiny_run(data, shape=T5)
    other = SpanCorruption(msgspec.structs.replace(run, seed=9, steps=10), CPU)
    for a, b in zip(SpanCorruption(run, CPU).validation(), other.validation(), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_buckets_of_positions_are_exact_nearby_and_logarithmic_up_to_the_largest_distance() -> None:
    both, before = position_buckets(300, both_ways=True), position_buckets(300, both_ways=False)
    # behind: 8 exact distances, then 8 + 8 ln(d / 8) / ln(16); ahead 16 more
    assert both[200, 200 - np.array([0, 1, 7, 8, 16, 64, 127, 200])].tolist() == [0, 1, 7, 8, 10, 14, 15, 15]
    assert both[100, 100 + np.array([1, 7, 8, 16, 64, 127, 199])].tolist() == [17, 23, 24, 26, 30, 31, 31]
    # one way: 16 exact, then 16 + 16 ln(d / 16) / ln(8); what comes later shares the first
    assert before[200, 200 - np.array([0, 15, 16, 32, 127, 200])].tolist() == [0, 15, 16, 21, 31, 31]
    assert before[100, 101:].tolist() == [0] * 199


def test_the_decoder_sees_targets_so_far_and_all_inputs() -> None:
    model = build_model(T5, seed=0)
    generator = torch.Generator().manual_seed(0)
    inputs, before = (torch.randint(0, 256, (1, length), generator=generator) for length in (64, 14))
    plain = model(inputs, before)
    later = before.clone()
    later[0, 8] += 1
    moved = (model(inputs, later) != plain).any(-1)[0]
    assert moved.tolist() == [False] * 8 + [True] * 6
    read = inputs.clone()
    read[0, 60] = (read[0, 60] + 1) % 256
    assert bool((model(read, before) != plain).any(-1).all())


def test_initial_weights_are_those_of_t5x() -> None:
    wide = msgspec.structs.replace(T5, width=128, heads=2, mlp_width=344)
    weights = {name: p.detach() for name, p in build_model(wide, seed=3).named_parameters()}
    for name, inputs in (("itself.query", 128 * 64), ("itself.key", 128), ("mlp.gate", 128), ("mlp.down", 344)):
        found = weights[f"decoder.1.{name}.weight"].std().item()
        assert found == pytest.approx(inputs**-0.5, rel=0.03), name
    assert weights["embedding.weight"].std().item() == pytest.approx(1, rel=0.03)
    assert weights["head.weight"].std().item() == pytest.approx(128**-0.5, rel=0.03)


def test_a_new_models_loss_is_half_a_nat_above_a_uniform_guess(data: DataSpec) -> None:
    # logits of standard deviation 1 from the head's weights: the log of their mean exponential is ln V + 1/2
    task = SpanCorruption(tiny_run(data, shape=T5, batch=64, steps=2), CPU)
    assert task.loss(build_model(T5, seed=0), task.batch(0)).item() == pytest.approx(T5.loss_of_a_guess + 0.5, abs=0.15)


def test_z_loss_is_added_in_training_and_left_out_of_what_is_reported(data: DataSpec) -> None:
    run = tiny_run(data, shape=T5)
    plain, with_z = SpanCorruption(run, CPU), SpanCorruption(msgspec.structs.replace(run, z_loss=0.1), CPU)
    model, batch = t5.T5(T5, seed=0), plain.batch(0)
    logits, _ = plain.answers(model, batch)
    z = logits.double().exp().sum(-1).log()
    added = with_z.loss(model, batch) - plain.loss(model, batch)
    assert added.item() == pytest.approx(0.1 * z.square().mean().item(), rel=1e-4)
    assert with_z.scores(model, batch).loss.item() == plain.loss(model, batch).item()


def test_machine_flops_are_those_that_torch_counts(data: DataSpec) -> None:
    task = SpanCorruption(tiny_run(data, shape=T5), CPU)
    counted = counted_flops(build_model(T5, seed=0), task, task.batch(0))
    assert T5.machine_flops_per_token() * 4 * 64 == pytest.approx(counted, rel=1e-9)


def test_a_sparse_encoder_decoder_learns_with_the_papers_optimizer(data: DataSpec, tmp_path: Path) -> None:
    run = tiny_run(
        msgspec.structs.replace(data, max_epochs=100),
        0.75,
        shape=T5,
        steps=70,
        optimizer=PAPER,
        learning_rate=LearningRate(kind="held-inverse-sqrt", warmup=20, cooldown=0),
        z_loss=1e-4,
    )
    record = train_alone(run, tmp_path)
    assert record.loss is not None
    assert record.loss < math.log(261) - 2
    assert record.bits_per_byte is None
    assert record.data_seen == 70 * 4 * 64  # what the encoder read
    assert record.epochs == 70 * 4 * 70 / data.train.tokens  # of the text behind it
    assert record.unique_data == round(data.train.tokens * 64 / 70)
    assert record.nonzero_params == sum(m.numel - round(0.75 * m.numel) for m in T5.matrices)


def test_branched_equals_unshared_and_resumed_equals_whole_bit_for_bit(data: DataSpec, tmp_path: Path) -> None:
    runs = [
        tiny_run(data, sparsity, pattern, shape=T5, steps=steps, optimizer=PAPER)
        for sparsity, pattern in ((0.0, "unstructured"), (0.5, "2:4"))
        for steps in (12, 24)
    ]
    branched = train_all(runs, tmp_path / "branched")
    for run in runs:
        assert branched[run.run_id].loss == train_alone(run, tmp_path / "alone").loss
    segment = plan_segments([runs[-1]]).segments[0]
    with pytest.raises(StoppedError):
        train_segment(segment, tmp_path / "stopped", stop=StopAfter(15))
    resumed = train_segment(segment, tmp_path / "stopped")
    assert isinstance(resumed, RunRecord)
    assert resumed.loss == branched[runs[-1].run_id].loss
