"""Claims about SR-STE: masks and gradients by hand, weights that come back, agreement with a plain implementation."""

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.strategies import SrSte
from sparseplan.train.pruning import straight_through
from sparseplan.train.pruning.base import Pruner
from sparseplan.train.pruning.registry import build_pruner
from tests.helpers.specs import pruned_run


def pruner_of(weights: dict[str, nn.Parameter], *, decay: float = 2e-4, pattern: str = "2:4") -> Pruner:
    kept, group = (int(part) for part in pattern.split(":"))
    pruning = Pruning(sparsity=1 - kept / group, pattern=pattern, strategy=SrSte(decay=decay))
    return build_pruner(weights, pruned_run(pruning))


def test_the_forward_pass_uses_the_two_largest_of_four_and_the_weights_stay_dense() -> None:
    dense = torch.tensor([[0.1, -3.0, 0.2, 2.0, -0.5, 1.0, -0.3, 0.4]])
    weight = nn.Parameter(dense.clone())
    pruner = pruner_of({"weight": weight})
    pruner.before_forward()
    assert torch.equal(weight.detach(), torch.tensor([[0.0, -3.0, 0.0, 2.0, -0.5, 1.0, 0.0, 0.0]]))
    assert pruner.masks["weight"].tolist() == [[0, 1, 0, 1, 1, 1, 0, 0]]
    torch.autograd.backward(weight.sum())
    pruner.after_backward()
    assert torch.equal(weight.detach(), dense)


def test_the_gradient_is_that_at_the_masked_weights_plus_the_decay_of_the_others() -> None:
    # loss (sum of masked w x)^2 / 2 with x = 1, 2, 3, 4: masked sum -3 x 2 + 2 x 4 = 2, so the gradient is 2 x
    weight = nn.Parameter(torch.tensor([[0.1, -3.0, 0.2, 2.0]]))
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    pruner = pruner_of({"weight": weight}, decay=0.5)
    pruner.before_forward()
    torch.autograd.backward((weight @ x).square().sum() / 2)
    pruner.after_backward()
    assert weight.grad is not None
    # decay 0.5 of 0.1 and 0.2, which the mask leaves out
    assert weight.grad.tolist()[0] == pytest.approx([2.0 + 0.05, 4.0, 6.0 + 0.1, 8.0])


def test_a_pruned_weight_that_grows_comes_back_and_pushes_another_out() -> None:
    weight = nn.Parameter(torch.tensor([[0.4, 0.5, 0.6, 0.7]]))
    pruner, optimizer = pruner_of({"weight": weight}, decay=0.0), torch.optim.SGD([weight], lr=0.1)
    seen: list[list[list[float]]] = []
    for _ in range(3):
        optimizer.zero_grad()
        pruner.before_forward()
        seen.append(pruner.masks["weight"].tolist())
        torch.autograd.backward(-(weight @ torch.tensor([2.0, 0.0, 0.0, 0.0])).sum())  # pulls the first one up by 0.2
        pruner.after_backward()
        optimizer.step()
    assert seen == [[[0, 0, 1, 1]], [[1, 0, 0, 1]], [[1, 0, 0, 1]]]


def test_decay_alone_shrinks_what_is_left_out_and_nothing_else() -> None:
    weight = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    pruner, optimizer = pruner_of({"weight": weight}, decay=0.1), torch.optim.SGD([weight], lr=1.0)
    pruner.before_forward()
    torch.autograd.backward(0.0 * weight.sum())
    pruner.after_backward()
    optimizer.step()
    assert weight.detach().tolist()[0] == pytest.approx([0.9, 1.8, 3.0, 4.0])


class _StraightThrough(torch.autograd.Function):
    """The authors' way: a function that masks forward, and backward adds the decay to the gradient."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, weight: Tensor, kept: int, group: int, decay: float
    ) -> Tensor:
        order = weight.abs().view(-1, group).argsort(dim=1, descending=True, stable=True)[:, :kept]
        mask = torch.zeros_like(weight).view(-1, group).scatter_(1, order, 1.0).view_as(weight)
        ctx.save_for_backward(weight)
        ctx.mask, ctx.decay = mask, decay  # type: ignore[attr-defined]
        return weight * mask

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grads[0] + ctx.decay * (1 - ctx.mask) * weight, None, None, None  # type: ignore[attr-defined]


@pytest.mark.parametrize("pattern", ["2:4", "1:8"])
@pytest.mark.parametrize("piece", [2**24, 64])
def test_trainings_agree_with_an_autograd_function_of_the_same_rule(
    pattern: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(straight_through, "_PIECE", piece)
    kept, group = (int(part) for part in pattern.split(":"))
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(24, 16, generator=generator), torch.randn(8, 24, generator=generator)
    inputs, targets = torch.randn(32, 16, generator=generator), torch.randn(32, 8, generator=generator)
    ours, theirs = ([nn.Parameter(each.clone()) for each in (first, second)] for _ in range(2))
    pruner = pruner_of(dict(zip("ab", ours, strict=True)), decay=0.05, pattern=pattern)
    optimizers = [torch.optim.AdamW(each, lr=0.02) for each in (ours, theirs)]
    start = pruner.masks["a"].clone()
    for _ in range(30):
        pruner.before_forward()
        torch.autograd.backward((torch.relu(inputs @ ours[0].t()) @ ours[1].t() - targets).square().mean())
        pruner.after_backward()
        masked = [_StraightThrough.apply(each, kept, group, 0.05) for each in theirs]  # type: ignore[no-untyped-call]
        torch.autograd.backward((torch.relu(inputs @ masked[0].t()) @ masked[1].t() - targets).square().mean())
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)
    assert bool((pruner.masks["a"] > start).any())  # some weight came back on the way


def test_after_the_last_update_the_weights_are_masked_for_good_and_exact() -> None:
    weights = {name: nn.Parameter(torch.randn(8, 16, generator=torch.Generator().manual_seed(1))) for name in "ab"}
    pruner = pruner_of(weights)
    optimizer = torch.optim.SGD(weights.values())
    assert [step for step in range(102) if pruner.acts_at(step)] == [100]
    with pytest.raises(AssertionError, match="a pruned weight came back"):
        pruner.check()
    pruner.at_step(100, optimizer)
    pruner.check()
    assert sum(int(weight.count_nonzero()) for weight in weights.values()) == 128
    assert pruner.zeros() == 128
    assert pruner.state() == {}
