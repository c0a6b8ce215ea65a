"""Claims about rewinding: masks by trained magnitudes, everything else as it was at the early step."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.strategies import Rewinding
from sparseplan.train.pruning.registry import build_pruner
from tests.helpers.specs import pruned_run


def test_what_is_small_when_trained_goes_and_what_is_left_starts_from_early_weights() -> None:
    weight, other = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0, 4.0]])), nn.Parameter(torch.tensor([7.0]))
    run = pruned_run(Pruning(sparsity=0.75, strategy=Rewinding(share=0.5, to=0.1)))
    pruner, optimizer = build_pruner({"weight": weight}, run), torch.optim.AdamW([weight, other], lr=0.1)

    def update(*slopes: float) -> None:
        optimizer.zero_grad()
        torch.autograd.backward((weight * torch.tensor([slopes])).sum() + other.sum())
        pruner.after_backward()
        optimizer.step()

    assert [step for step in range(281) if pruner.acts_at(step)] == [10, 100, 190]
    update(1.0, 1.0, 1.0, 1.0)
    early, early_other = weight.detach().clone(), other.detach().clone()
    moments = {name: value.clone() for name, value in optimizer.state[weight].items()}
    pruner.at_step(10, optimizer)
    update(1.0, -1.0, 1.0, 1.0)
    with torch.no_grad():
        weight.copy_(torch.tensor([[9.0, -8.0, 0.1, 0.2]]))  # what training came to
    pruner.at_step(100, optimizer)
    mask = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    assert torch.equal(pruner.masks["weight"], mask)
    assert torch.equal(weight.detach(), early * mask)
    assert torch.equal(other.detach(), early_other)
    assert torch.equal(optimizer.state[weight]["exp_avg"], moments["exp_avg"] * mask)
    assert torch.equal(optimizer.state[weight]["step"], moments["step"])
    update(1.0, 1.0, 1.0, 1.0)
    assert not bool(weight.detach()[mask == 0].any())
    with torch.no_grad():
        weight.copy_(torch.tensor([[0.3, 0.5, 0.0, 0.0]]))
    again = build_pruner({"weight": weight}, run)  # as after a kill
    again.load({name: tensor.clone() for name, tensor in pruner.state().items()})
    again.at_step(190, optimizer)
    assert again.masks["weight"].tolist() == [[0, 1, 0, 0]]
    assert torch.equal(weight.detach(), early * again.masks["weight"])
    again.check()


def test_rewinding_to_the_start_goes_back_to_initial_weights_and_empty_moments() -> None:
    weight = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    run = pruned_run(Pruning(sparsity=0.5, strategy=Rewinding(share=0.5, to=0.0)))
    pruner, optimizer = build_pruner({"weight": weight}, run), torch.optim.AdamW([weight], lr=0.1)
    pruner.at_step(0, optimizer)
    torch.autograd.backward(weight.sum())
    optimizer.step()
    pruner.at_step(100, optimizer)
    assert weight.detach().tolist() == [[0.0, 0.0, 3.0, 4.0]]
    assert not any(bool(value.any()) for value in optimizer.state[weight].values())
