"""Claims about gradual magnitude pruning: masks that only shrink, held through the optimizer, checked at the end."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import GradualMagnitude, OneShot, Strategy
from sparseplan.sparsity.schedule import Schedule
from sparseplan.train.pruning.registry import build_pruner
from tests.helpers.specs import pruned_run

ONE_SHOT = GradualMagnitude(schedule=Schedule(start=0, end=0))


def two_four(strategy: Strategy, steps: int = 20) -> RunSpec:
    return pruned_run(Pruning(sparsity=0.5, pattern="2:4", strategy=strategy), steps=steps)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_pruned_weight_stays_at_zero_through_momentum_and_decay(decay: float) -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 16))
    pruner = build_pruner({"weight": weight}, two_four(GradualMagnitude(updates=4)))
    optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=decay, fused=True)
    previous = pruner.masks["weight"].clone()
    cuts = 0
    for step in range(20):
        if pruner.acts_at(step):
            pruner.at_step(step, optimizer)
            cuts += 1
        optimizer.zero_grad()
        pruner.before_forward()
        torch.autograd.backward((torch.randn(4, 16) @ weight.t()).square().sum())
        pruner.after_backward()
        optimizer.step()
        now = pruner.masks["weight"]
        assert bool((now <= previous).all())
        assert not bool((weight.detach()[now == 0] != 0).any())
        previous = now.clone()
    pruner.check()
    assert pruner.zeros() == 64
    assert cuts == 4


def test_the_check_notices_a_weight_that_came_back_and_a_broken_pattern() -> None:
    weight = nn.Parameter(torch.arange(1.0, 33.0).view(2, 16))
    pruner = build_pruner({"weight": weight}, two_four(ONE_SHOT))
    pruner.at_step(0, torch.optim.SGD([weight]))
    pruner.check()
    with torch.no_grad():
        weight[0, 0] = 1.0
    with pytest.raises(AssertionError, match="a pruned weight came back"):
        pruner.check()
    with torch.no_grad():
        weight[0, 0] = 0.0
    broken = pruner.masks["weight"].clone()
    broken[0, :4], broken[0, 4:8] = 0.0, 1.0
    pruner.masks["weight"].copy_(broken)
    with torch.no_grad():
        weight.mul_(broken)
    with pytest.raises(AssertionError, match="2:4 broken"):
        pruner.check()


def test_masks_survive_a_checkpoint_as_booleans() -> None:
    weight = nn.Parameter(torch.randn(4, 8))
    pruner, other = (build_pruner({"weight": weight}, two_four(ONE_SHOT)) for _ in range(2))
    pruner.at_step(0, torch.optim.SGD([weight]))
    other.load(pruner.state())
    assert torch.equal(other.masks["weight"], pruner.masks["weight"])
    assert pruner.state()["weight"].dtype == torch.bool


def test_one_threshold_for_all_matrices_by_hand() -> None:
    weights = {
        "small": nn.Parameter(torch.tensor([[0.1, 0.2, 0.3, 5.0]])),
        "large": nn.Parameter(torch.tensor([[4.0, 1.0, 6.0, 0.25]])),
    }
    run = pruned_run(Pruning(sparsity=0.5, strategy=OneShot(scope="global")))
    pruner = build_pruner(weights, run)
    assert [step for step in range(101) if pruner.acts_at(step)] == [50]
    pruner.at_step(50, torch.optim.SGD(weights.values()))
    # the four smallest of eight: 0.1, 0.2, 0.25, 0.3
    assert pruner.masks["small"].tolist() == [[0, 0, 0, 1]]
    assert pruner.masks["large"].tolist() == [[1, 1, 1, 0]]
    pruner.check()
    with torch.no_grad():
        pruner.masks["large"][0, 0] = 0.0
        weights["large"][0, 0] = 0.0
    with pytest.raises(AssertionError, match="zeros"):
        pruner.check()


def test_one_shot_equals_a_ramp_without_length() -> None:
    weights = [nn.Parameter(torch.randn(8, 16, generator=torch.Generator().manual_seed(3))) for _ in range(2)]
    ramp = GradualMagnitude(schedule=Schedule(start=0.5, end=0.5))
    runs = two_four(OneShot(), steps=100), two_four(ramp, steps=100)
    for weight, run in zip(weights, runs, strict=True):
        pruner = build_pruner({"weight": weight}, run)
        pruner.at_step(50, torch.optim.SGD([weight]))
    assert torch.equal(*weights)
