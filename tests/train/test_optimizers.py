"""Claims about Adafactor with sparsity-aware RMS, and about rates that follow the width."""

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import torch
from torch import nn

from sparseplan.runs.spec import Adafactor as AdafactorSpec
from sparseplan.runs.spec import AdamW, RunSpec
from sparseplan.train.models.gpt import Gpt
from sparseplan.train.optimizers import Adafactor, build_optimizer, nonzero_rms, set_rates
from tests.helpers.specs import spec
from tests.helpers.training import SHAPE


def stepped(weight: torch.Tensor, gradients: list[torch.Tensor], *, rate: float, **settings: Any) -> torch.Tensor:
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


def released_steps(
    weight: NDArray[np.float64], gradients: list[NDArray[np.float64]], *, rate: float, clip: float = 1.0
) -> NDArray[np.float64]:
    """The chain of the released configuration, one line a transformation, in float64.

    scale_by_factored_rms(factored=False), clip_by_block_rms_sparse(1.0), the learning rate,
    scale_by_param_block_rms_sparse(1e-3), scale(-1).
    """
    second = np.zeros_like(weight)
    for step, gradient in enumerate(gradients):
        beta = 1.0 - (step + 1.0) ** -0.8
        second = beta * second + (1.0 - beta) * (gradient**2 + 1e-30)
        update = gradient * second**-0.5
        nonzero = np.count_nonzero(weight)
        update = update / max(1.0, np.sqrt(np.sum((update * (weight != 0)) ** 2) / nonzero) / clip)
        update = rate * update
        rms = max(np.sqrt(np.mean(weight**2)), 1e-3)
        update = update * np.sqrt(rms**2 * weight.size / nonzero)
        weight = weight - update
    return weight


def masked_problem(sparsity: float) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """Weights with zeros, masked gradients that grow tenfold on the way, and the mask."""
    random = torch.Generator().manual_seed(3)
    mask = (torch.rand(24, 40, generator=random) >= sparsity).float()
    weight = torch.randn(24, 40, generator=random) * mask
    gradients = [torch.randn(24, 40, generator=random) * mask * 10.0 ** (step / 4) for step in range(6)]
    return weight, gradients, mask


@pytest.mark.parametrize("sparsity", [0.0, 0.75, 0.9375])
@pytest.mark.parametrize("scale", [1.0, 1e-4])  # the floor of the RMS counts in the smaller one
def test_unfactored_adafactor_steps_as_the_papers_released_configuration(sparsity: float, scale: float) -> None:
    weight, gradients, mask = masked_problem(sparsity)
    ours = stepped(scale * weight, gradients, rate=0.02, factored=False)
    theirs = released_steps(
        (scale * weight).double().numpy(), [gradient.double().numpy() for gradient in gradients], rate=0.02
    )
    assert ours.numpy() == pytest.approx(theirs, rel=2e-4, abs=1e-6 * scale)
    assert not ours[mask == 0].any()


def test_unfactored_adafactor_moves_what_is_left_as_if_nothing_else_had_been_there() -> None:
    """The factored one, whose clip pruning loosens, moves it further: some twice at 75 %, three times at 93.75 %."""
    for sparsity, least in ((0.75, 1.5), (0.9375, 2.5)):
        weight, gradients, mask = masked_problem(sparsity)
        alive = mask > 0
        alone = stepped(weight[alive], [gradient[alive] for gradient in gradients], rate=0.02, factored=False)
        both = stepped(weight, gradients, rate=0.02, factored=False)
        assert torch.allclose(both[alive], alone, rtol=1e-5, atol=1e-6)
        # the last of the gradients: far above the running mean, so the clip acts
        before = [stepped(weight, gradients[:-1], rate=0.02, factored=factored) for factored in (True, False)]
        after = [stepped(weight, gradients, rate=0.02, factored=factored) for factored in (True, False)]
        loose, tight = (float((a - b)[alive].square().mean().sqrt()) for a, b in zip(after, before, strict=True))
        assert loose > least * tight


def test_runs_with_the_factored_adafactor_keep_the_identity_that_they_had_before_there_was_another() -> None:
    def with_optimizer(optimizer: AdafactorSpec) -> RunSpec:
        return msgspec.structs.replace(spec(0.75), optimizer=optimizer)

    old = with_optimizer(AdafactorSpec(learning_rate=0.02))
    assert (old.run_id, old.trunk_id) == ("dc72072862544c08", "trunk-9343b33c134892a3")
    new = with_optimizer(AdafactorSpec(learning_rate=0.02, factored=False))
    assert new.run_id != old.run_id
    assert new.trunk_id != old.trunk_id


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
