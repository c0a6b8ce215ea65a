"""Claims about STE and S-STE: forward weights by hand, gradients to all weights, exact ends."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.strategies import SSte, Ste
from sparseplan.train.pruning.registry import build_pruner
from tests.helpers.specs import pruned_run

DENSE = torch.tensor([[0.1, -3.0, 0.2, 2.0, -0.5, 1.0, -0.3, 0.4]])


@pytest.mark.parametrize(
    ("sparsity", "pattern", "used"),
    [
        # the two smallest of eight are 0.1 and 0.2
        (0.25, "unstructured", [0.0, -3.0, 0.0, 2.0, -0.5, 1.0, -0.3, 0.4]),
        (0.75, "unstructured", [0.0, -3.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
        (0.5, "2:4", [0.0, -3.0, 0.0, 2.0, -0.5, 1.0, 0.0, 0.0]),
    ],
)
def test_ste_uses_the_largest_and_passes_their_gradient_to_all(
    sparsity: float, pattern: str, used: list[float]
) -> None:
    weight = nn.Parameter(DENSE.clone())
    pruning = Pruning(sparsity=sparsity, pattern=pattern, strategy=Ste())
    pruner = build_pruner({"weight": weight}, pruned_run(pruning))
    pruner.before_forward()
    assert torch.equal(weight.detach(), torch.tensor([used]))
    x = torch.arange(1.0, 9.0)
    torch.autograd.backward((weight @ x).square().sum() / 2)
    pruner.after_backward()
    assert torch.equal(weight.detach(), DENSE)
    assert weight.grad is not None
    assert weight.grad[0].tolist() == pytest.approx((float(torch.tensor(used) @ x) * x).tolist())


def test_ste_ends_exact_where_weights_are_equal() -> None:
    weight = nn.Parameter(torch.ones(3, 8))
    pruner = build_pruner({"weight": weight}, pruned_run(Pruning(sparsity=0.5, strategy=Ste())))
    pruner.before_forward()  # one threshold can't tell equal weights apart
    pruner.after_backward()
    pruner.at_step(100, torch.optim.SGD([weight]))
    pruner.check()
    assert int(weight.count_nonzero()) == 12


def test_s_ste_shrinks_by_the_second_smallest_of_four_and_scales_once() -> None:
    weight = nn.Parameter(DENSE.clone())
    pruner = build_pruner({"weight": weight}, pruned_run(Pruning(sparsity=0.5, pattern="2:4", strategy=SSte())))
    # groups: 0.2 off -3 and 2, 0.4 off -0.5 and 1
    soft = torch.tensor([[0.0, -2.8, 0.0, 1.8, -0.1, 0.6, 0.0, 0.0]])
    scale = (3 * 2.8 + 2 * 1.8 + 0.5 * 0.1 + 1 * 0.6) / (2.8**2 + 1.8**2 + 0.1**2 + 0.6**2)
    pruner.before_forward()
    assert torch.allclose(weight.detach(), scale * soft, rtol=1e-6)
    torch.autograd.backward((weight * torch.arange(8.0)).sum())
    pruner.after_backward()
    assert weight.grad is not None
    assert weight.grad[0].tolist() == list(range(8))  # straight through, the scale too
    assert torch.equal(weight.detach(), DENSE)
    with torch.no_grad():
        weight.mul_(2.0)  # the scale stays that of the start
    pruner.before_forward()
    assert torch.allclose(weight.detach(), 2 * scale * soft, rtol=1e-6)


def test_s_ste_has_no_jump_where_two_weights_change_places() -> None:
    def used(third: float) -> torch.Tensor:
        weight = nn.Parameter(torch.tensor([[1.0, 0.5, 0.9, 0.1]]))
        pruner = build_pruner({"weight": weight}, pruned_run(Pruning(sparsity=0.5, pattern="2:4", strategy=SSte())))
        with torch.no_grad():
            weight[0, 1], weight[0, 2] = 0.7, third
        pruner.before_forward()
        return weight.detach().clone()

    assert float((used(0.7001) - used(0.6999)).abs().max()) < 0.001


def test_s_ste_ends_exact() -> None:
    weight = nn.Parameter(torch.randn(8, 16, generator=torch.Generator().manual_seed(1)))
    pruner = build_pruner({"weight": weight}, pruned_run(Pruning(sparsity=0.75, pattern="1:4", strategy=SSte())))
    pruner.at_step(100, torch.optim.SGD([weight]))
    pruner.check()
    assert int(weight.count_nonzero()) == 32
