"""Claims about Adafactor with sparsity-aware RMS, and about rates that follow the width."""

import msgspec
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from sparseplan.runs.spec import Adafactor as AdafactorSpec
from sparseplan.runs.spec import AdamW
from sparseplan.train.models.gpt import Gpt
from sparseplan.train.optimizers import Adafactor, build_optimizer, nonzero_rms, set_rates
from tests.helpers.training import SHAPE


def stepped(weight: torch.Tensor, gradients: list[torch.Tensor], *, rate: float, **settings: float) -> torch.Tensor:
    parameter = nn.Parameter(weight.clone())
    optimizer = Adafactor([{"params": [parameter], "lr": rate}], AdafactorSpec(**settings))
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def test_the_rms_is_taken_over_nonzero_weights() -> None:
    # over all 4 weights it would be sqrt(25 / 4) = 2.5; over the two that are left sqrt(25 / 2)
    assert nonzero_rms(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).item() == pytest.approx((25 / 2) ** 0.5)
    assert nonzero_rms(torch.zeros(2, 2)).item() == 0


def test_a_first_step_has_the_size_of_the_rms_of_the_nonzero_weights() -> None:
    # with one gradient of equal entries U is 1 everywhere, so that W moves by rate x RMS
    weight = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    moved = stepped(weight, [torch.full((2, 2), 0.25)], rate=0.01)
    assert torch.allclose(weight - moved, torch.full((2, 2), 0.01 * (25 / 2) ** 0.5), rtol=1e-4)


def test_pruning_does_not_shrink_the_steps_of_the_weights_that_are_left() -> None:
    torch.manual_seed(0)
    weight = torch.randn(64, 64)
    mask = (torch.rand(64, 64) < 0.125).float()
    gradient = torch.ones(64, 64)
    step = (weight * mask) - stepped(weight * mask, [gradient], rate=0.01)
    assert float(step.mean()) == pytest.approx(0.01 * float(weight[mask > 0].square().mean().sqrt()), rel=1e-4)


def test_on_dense_weights_adafactor_agrees_with_torchs_own() -> None:
    torch.manual_seed(0)
    weight = torch.randn(12, 20)
    gradients = [torch.randn(12, 20) for _ in range(6)]
    reference = nn.Parameter(weight.clone())
    optimizer = torch.optim.Adafactor([reference], lr=0.05, beta2_decay=-0.8, eps=(1e-30, 1e-3), d=1.0, weight_decay=0)
    for gradient in gradients:
        reference.grad = gradient.clone()
        optimizer.step()  # type: ignore[no-untyped-call]
    ours = stepped(weight, gradients, rate=0.05)
    assert torch.allclose(ours, reference.detach(), rtol=1e-4, atol=1e-5)


def test_large_updates_are_clipped_to_their_threshold() -> None:
    weight = torch.ones(4, 4)
    quiet, loud = torch.full((4, 4), 0.01), torch.full((4, 4), 100.0)
    before = stepped(weight, [quiet], rate=0.1)
    after = stepped(weight, [quiet, loud], rate=0.1)
    ratio = (before - after).square().mean().sqrt() / (0.1 * nonzero_rms(before))
    assert ratio.item() <= 1.0 + 1e-5


def test_vectors_keep_their_own_second_moment() -> None:
    vector = torch.tensor([1.0, 1.0, 1.0])
    moved = stepped(vector, [torch.tensor([1.0, 10.0, 0.1])], rate=0.01)
    assert torch.allclose(vector - moved, torch.full((3,), 0.01), rtol=1e-4)


def test_block_and_head_rates_fall_as_one_over_width_and_the_embeddings_does_not() -> None:
    spec = AdamW(learning_rate=0.01, base_width=32)
    peaks = {}
    for width in (32, 64):
        model = Gpt(msgspec.structs.replace(SHAPE, width=width), seed=0)
        optimizer = build_optimizer(model, spec)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        peaks[width] = {names[id(p)]: group["peak"] for group in optimizer.param_groups for p in group["params"]}
        assert len(peaks[width]) == len(names)
    assert peaks[64]["blocks.0.up.weight"] == peaks[32]["blocks.0.up.weight"] / 2 == 0.005
    assert peaks[64]["head.weight"] == 0.005
    assert peaks[64]["embedding.weight"] == peaks[64]["norm.weight"] == 0.01


def test_only_matrices_of_blocks_and_head_decay() -> None:
    model = Gpt(SHAPE, seed=0)
    decayed = {
        id(p)
        for group in build_optimizer(model, AdamW()).param_groups
        if group["weight_decay"]
        for p in group["params"]
    }
    assert decayed == {id(p) for p in [*model.prunable().values(), model.head.weight]}


def test_the_schedule_scales_every_groups_own_peak() -> None:
    optimizer = build_optimizer(Gpt(SHAPE, seed=0), AdamW(learning_rate=0.01, base_width=16))
    set_rates(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0025, 0.005, 0.005]


def test_adafactors_whole_state_follows_its_parameters_at_a_load() -> None:
    # A step counter left on the CPU would be read once by a captured CUDA graph, and never again.
    weight = nn.Parameter(torch.ones(2, 2))
    before = Adafactor([{"params": [weight]}], AdafactorSpec())
    weight.grad = torch.ones(2, 2)
    before.step()
    elsewhere = nn.Parameter(torch.ones(2, 2, device="meta"))
    after = Adafactor([{"params": [elsewhere]}], AdafactorSpec())
    after.load_state_dict(before.state_dict())
    assert {name: value.device.type for name, value in after.state[elsewhere].items()} == dict.fromkeys(
        ("step", "rows", "columns"), "meta"
    )
