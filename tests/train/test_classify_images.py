"""Claims about image classification: what is shown, what is counted, and that vision transformers learn it."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from sparseplan.errors import SparseplanError
from sparseplan.runs.job import RunRecord
from sparseplan.runs.spec import DataSpec
from sparseplan.runs.trunks import plan_segments
from sparseplan.shapes.vit import VitShape
from sparseplan.train.loop import StoppedError
from sparseplan.train.models.vit import Vit
from sparseplan.train.tasks.classify_images import ClassifyImages
from tests.helpers.flops import counted_flops
from tests.helpers.specs import VIT
from tests.helpers.training import STEPS, StopAfter, tiny_run, train_all, train_alone, train_segment

CPU = torch.device("cpu")
MAP = msgspec.structs.replace(VIT, pooling="map")


def test_a_batch_is_images_from_minus_one_to_one_with_the_classes_that_were_stored(images: DataSpec) -> None:
    task = ClassifyImages(tiny_run(images, shape=VIT), CPU)
    stored = np.fromfile(images.train.path, dtype=np.uint8).reshape(300, 65)
    shown, classes = task.batch(0)
    assert shown.shape == (4, 1, 8, 8)
    for image, label in zip(shown, classes, strict=True):
        row = ((image.flatten() + 1) * 127.5).round().to(torch.uint8).numpy()
        assert any(bool((row == each[1:]).all()) and each[0] == label.item() for each in stored)


def test_an_epoch_shows_every_image_once_and_a_step_depends_on_its_number_and_the_seed_alone(images: DataSpec) -> None:
    run = tiny_run(images, shape=VIT)
    task = ClassifyImages(run, CPU)
    epoch = torch.cat([task.batch(step)[0].flatten(1) for step in range(75)])
    assert len(np.unique(epoch.numpy(), axis=0)) == 300
    again = ClassifyImages(run, CPU).batch(100)
    assert all(torch.equal(a, b) for a, b in zip(again, task.batch(100), strict=True))
    other = ClassifyImages(msgspec.structs.replace(run, seed=1), CPU).batch(100)
    assert not torch.equal(other[0], again[0])


def test_patches_are_squares_of_the_image_in_reading_order() -> None:
    model = Vit(VIT, seed=0)
    seen: list[torch.Tensor] = []
    model.embedding.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    picture = torch.arange(64.0).view(1, 1, 8, 8)
    model(picture)
    assert seen[0].shape == (1, 16, 4)
    assert seen[0][0, 0].tolist() == [0, 1, 8, 9]
    assert seen[0][0, 1].tolist() == [2, 3, 10, 11]
    assert seen[0][0, 4].tolist() == [16, 17, 24, 25]


@pytest.mark.parametrize("shape", [VIT, MAP], ids=["mean", "map"])
def test_a_new_models_loss_is_that_of_a_uniform_guess(images: DataSpec, shape: VitShape) -> None:
    task = ClassifyImages(tiny_run(images, shape=shape, batch=64), CPU)
    assert task.loss(Vit(shape, seed=0), task.batch(0)).item() == pytest.approx(math.log(10), abs=0.1)


def test_accuracy_is_the_share_of_images_whose_class_is_the_likeliest(images: DataSpec) -> None:
    task, model = ClassifyImages(tiny_run(images, shape=VIT, batch=64), CPU), Vit(VIT, seed=3)
    shown, classes = task.batch(0)
    right = sum(int(model(image[None]).argmax()) == int(label) for image, label in zip(shown, classes, strict=True))
    found = task.scores(model, (shown, classes))
    assert found.accuracy is not None
    assert found.accuracy.item() == pytest.approx(right / 64)
    assert found.loss.item() == pytest.approx(task.loss(model, (shown, classes)).item())


@pytest.mark.parametrize("shape", [VIT, MAP], ids=["mean", "map"])
def test_machine_flops_are_those_that_torch_counts(images: DataSpec, shape: VitShape) -> None:
    task = ClassifyImages(tiny_run(images, shape=shape), CPU)
    counted = counted_flops(Vit(shape, seed=0), task, task.batch(0))
    assert shape.machine_flops_per_token() * 4 * shape.tokens_per_sequence == pytest.approx(counted, rel=1e-9)


def test_order_of_places_matters() -> None:
    model = Vit(VIT, seed=0)
    picture = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(model(picture), model(picture.flip(-1)), atol=1e-4)


@pytest.mark.parametrize("shape", [VIT, MAP], ids=["mean", "map"])
def test_a_sparse_vision_transformer_learns_and_its_record_counts_images(
    images: DataSpec, tmp_path: Path, shape: VitShape
) -> None:
    run = tiny_run(images, 0.75, shape=shape, steps=100, batch=16)
    record = train_alone(run, tmp_path)
    assert record.loss is not None
    assert record.loss < math.log(10) - 1
    assert record.accuracy is not None
    assert record.accuracy > 0.8
    assert record.bits_per_byte is None
    assert (record.data_seen, record.data_unit) == (100 * 16, "image")
    assert record.epochs == 1600 / 300
    assert record.unique_data == 300
    assert record.nonzero_params == shape.dense_params // 4
    # the ramp's sparse FLOPs, of 16 patches an image
    assert record.train_flops == run.train_flops == 6 * 16 * 16 * run.weight_steps(0, 100)


def test_branched_equals_unshared_and_resumed_equals_whole_bit_for_bit(images: DataSpec, tmp_path: Path) -> None:
    runs = [
        tiny_run(images, sparsity, pattern, shape=MAP, steps=steps)
        for sparsity, pattern in ((0.0, "unstructured"), (0.5, "2:4"))
        for steps in (20, STEPS)
    ]
    branched = train_all(runs, tmp_path / "branched")
    for run in runs:
        assert branched[run.run_id].loss == train_alone(run, tmp_path / "alone").loss
    segment = plan_segments([runs[-1]]).segments[0]
    with pytest.raises(StoppedError):
        train_segment(segment, tmp_path / "stopped", stop=StopAfter(25))
    resumed = train_segment(segment, tmp_path / "stopped")
    assert isinstance(resumed, RunRecord)
    assert (resumed.loss, resumed.accuracy) == (branched[runs[-1].run_id].loss, branched[runs[-1].run_id].accuracy)


def test_images_of_another_size_or_class_are_refused(images: DataSpec) -> None:
    few = msgspec.structs.replace(VIT, classes=5)
    with pytest.raises(SparseplanError, match="expected classes below 5, found 9"):
        ClassifyImages(tiny_run(images, shape=few), CPU)
    larger = msgspec.structs.replace(VIT, side=16)
    with pytest.raises(SparseplanError, match=r"expected at least 77100 numbers of uint8"):
        ClassifyImages(tiny_run(images, shape=larger), CPU)
