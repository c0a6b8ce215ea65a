"""Claims about SET and RigL: hand-computed masks, counts that never change, what grows starts at zero."""

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.strategies import RigL, SparseEvolution, Strategy
from sparseplan.train.pruning.base import Pruner
from sparseplan.train.pruning.distribution import spread_zeros
from sparseplan.train.pruning.registry import build_pruner
from sparseplan.train.pruning.rewired import rewired
from tests.helpers.specs import pruned_run


def pruner_of(weights: dict[str, nn.Parameter], strategy: Strategy, sparsity: float = 0.5) -> Pruner:
    return build_pruner(weights, pruned_run(Pruning(sparsity=sparsity, strategy=strategy), steps=1000))


def test_the_smallest_go_and_the_largest_scores_grow_by_hand() -> None:
    weight = torch.tensor([[0.1, -3.0, 0.2, 2.0, 0.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[1.0, 1, 1, 1, 0, 0, 0, 0]])
    growth = torch.tensor([[0.5, 9.0, 0.1, 9.0, 0.2, 0.7, 0.4, 0.3]])
    # half of four living: 0.1 and 0.2 go; of the dead 0.7 grows, and 0.5, which has just gone and so stays
    assert rewired(weight, mask, growth, 0.5).tolist() == [[1, 1, 0, 1, 0, 1, 0, 0]]
    assert rewired(weight, mask, growth, 0.0).tolist() == mask.tolist()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), density=st.floats(0, 1), share=st.floats(0, 1))
def test_a_rewiring_never_changes_the_count(seed: int, density: float, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, growth = torch.randn(6, 9, generator=generator), torch.rand(6, 9, generator=generator)
    mask = (torch.rand(6, 9, generator=generator) < density).float()
    after = rewired(weight * mask, mask, growth, share)
    assert int(after.sum()) == int(mask.sum())
    assert set(after.flatten().tolist()) <= {0.0, 1.0}


def trained(strategy: Strategy, steps: range) -> tuple[nn.Parameter, Pruner, torch.optim.Optimizer, list[torch.Tensor]]:
    """One matrix trained to some targets; the masks after every update."""
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 12, generator=generator))
    inputs, targets = torch.randn(64, 12, generator=generator), torch.randn(64, 8, generator=generator)
    pruner, optimizer = pruner_of({"weight": weight}, strategy), torch.optim.AdamW([weight], lr=0.01)
    masks: list[torch.Tensor] = []
    for step in steps:
        if pruner.acts_at(step):
            pruner.at_step(step, optimizer)
        optimizer.zero_grad()
        pruner.before_forward()
        torch.autograd.backward((inputs @ weight.t() - targets).square().mean())
        if pruner.looks_at(step):
            pruner.at_gradient(step, optimizer)
        pruner.after_backward()
        if pruner.looks_at(step) or (pruner.acts_at(step) and step):
            grown = (pruner.masks["weight"] > 0) & (masks[-1] == 0)
            assert bool(grown.any())
            assert not bool(weight.detach()[grown].any())
            assert not bool(optimizer.state[weight]["exp_avg"][grown].any())
            assert not bool(optimizer.state[weight]["exp_avg_sq"][grown].any())
        optimizer.step()
        masks.append(pruner.masks["weight"].clone())
    return weight, pruner, optimizer, masks


@pytest.mark.parametrize("strategy", [SparseEvolution(every=10, drop=0.3), RigL(every=10)], ids=["set", "rigl"])
def test_masks_change_at_the_rewirings_only_and_end_exact(strategy: SparseEvolution | RigL) -> None:
    weight, pruner, _, masks = trained(strategy, range(35))
    changes = [step for step in range(1, 35) if not torch.equal(masks[step], masks[step - 1])]
    assert changes == [10, 20, 30]
    assert {int(mask.sum()) for mask in masks} == {48}
    pruner.check()
    assert torch.equal(weight.detach() != 0, pruner.masks["weight"] > 0)


def test_rigl_grows_where_the_gradient_of_all_weights_is_largest() -> None:
    weight = nn.Parameter(torch.arange(1.0, 9.0).view(1, 8))
    pruner = pruner_of({"weight": weight}, RigL(every=100, drop=0.5))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    pruner.at_step(0, optimizer)
    before = pruner.masks["weight"].clone()
    dead = (before == 0).flatten().nonzero().flatten().tolist()
    slopes = torch.zeros(1, 8)
    slopes[0, dead[2]] = 5.0  # the loss falls steepest along the third of the dead
    torch.autograd.backward((weight * slopes).sum())
    assert [step for step in range(1001) if pruner.looks_at(step)] == [100, 200, 300, 400, 500, 600, 700]
    pruner.at_gradient(700, optimizer)  # share 0.5 / 2 (1 + cos(700 / 750 pi)) = .005: of four living none goes
    assert torch.equal(pruner.masks["weight"], before)
    pruner.at_gradient(100, optimizer)  # 0.478: two go, one of which may grow again
    assert pruner.masks["weight"][0, dead[2]] == 1
    pruner.after_backward()
    assert weight.grad is not None
    assert weight.grad[0, dead[2]] == 5.0  # and moves in this update already


def test_set_draws_again_at_every_rewiring_and_the_same_for_the_same_seed() -> None:
    first, again = (trained(SparseEvolution(every=10), range(31))[3] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    born = [(first[at] > first[at - 1]).flatten().nonzero().flatten().tolist() for at in (10, 20, 30)]
    assert born[0] != born[1] != born[2]


def test_erdos_renyi_densities_meet_hand_values_and_add_up() -> None:
    # 64 x 64 and 64 x 256 at S = 0.75: 5,120 of 20,480 are left, in proportion to 128 and 320
    kept = {"square": 5120 * 128 / 448, "long": 5120 * 320 / 448}
    zeros = spread_zeros({"square": (64, 64), "long": (256, 64)}, 0.75, "erdos-renyi")
    assert zeros["square"] == pytest.approx(64 * 64 - kept["square"], abs=1)
    assert zeros["long"] == pytest.approx(64 * 256 - kept["long"], abs=1)
    assert sum(zeros.values()) == 15360


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=6),
    st.floats(0, 0.99),
)
def test_any_erdos_renyi_spread_has_the_zeros_of_the_uniform_one_and_no_matrix_too_many(
    sizes: list[tuple[int, int]], sparsity: float
) -> None:
    shapes = {str(index): size for index, size in enumerate(sizes)}
    zeros = spread_zeros(shapes, sparsity, "erdos-renyi")
    assert sum(zeros.values()) == sum(spread_zeros(shapes, sparsity, "uniform").values())
    assert all(0 <= zeros[name] <= a * b for name, (a, b) in shapes.items())


def test_a_matrix_too_small_for_its_share_stays_dense() -> None:
    zeros = spread_zeros({"tiny": (2, 2), "large": (40, 40)}, 0.5, "erdos-renyi")
    assert zeros == {"tiny": 0, "large": 802}
