"""Claims about masks: exact, monotone, held through the optimizer."""

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sparseplan.runs.spec import Pruning
from sparseplan.shapes.base import pruned_weights
from sparseplan.sparsity.pattern import parse_pattern
from sparseplan.train.pruning.gradual import Masks, group_winners, pruned_mask


def ramp_of(pattern: str, sparsity: float) -> list[float]:
    return [sparsity for _, sparsity in Pruning(sparsity=sparsity, pattern=pattern, updates=8).ramp(100)]


def test_the_smallest_magnitudes_go_first() -> None:
    weight = torch.tensor([[0.1, -3.0, 0.2, 2.0], [-0.05, 1.0, -0.3, 0.4]])
    mask = pruned_mask(weight, torch.ones_like(weight), 0.5, kept=None, group=None)
    assert mask.tolist() == [[0, 1, 0, 1], [0, 1, 0, 1]]


def test_two_of_four_keeps_the_two_largest_of_each_group_by_hand() -> None:
    weight = torch.tensor([[9.0, 8.0, 7.0, 6.0, 0.1, 0.4, -0.3, 0.2]])
    mask = pruned_mask(weight, torch.ones_like(weight), 0.5, kept=2, group=4)
    assert mask.tolist() == [[1, 1, 0, 0, 0, 1, 1, 0]]


def test_winners_are_protected_on_the_ramp_even_where_they_are_the_smallest_of_all() -> None:
    # an eighth of the weights goes: unstructured would take 0.1, a winner of nobody's group but the overall smallest
    weight = torch.tensor([[9.0, 8.0, 7.0, 6.0, 0.1, 0.4, -0.3, 0.2]])
    mask = pruned_mask(weight, torch.ones_like(weight), 0.25, kept=3, group=4)
    assert mask.tolist() == [[1, 1, 1, 0, 0, 1, 1, 1]]


@given(group=st.integers(2, 64), seed=st.integers(0, 100), levels=st.sampled_from([2, 5, 10**6]))
def test_the_winners_of_a_group_are_those_of_a_stable_sort(group, seed: int, levels) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, levels, (7, group), generator=generator).float()
    kept = 1 + seed % group
    sorted_first = scores.argsort(dim=1, descending=True, stable=True)[:, :kept]
    expected = torch.zeros_like(scores, dtype=torch.bool).scatter(1, sorted_first, True)
    assert torch.equal(group_winners(scores, kept), expected)


def test_ties_are_cut_to_the_exact_count() -> None:
    weight = torch.ones(3, 7)
    mask = pruned_mask(weight, torch.ones_like(weight), 0.5, kept=None, group=None)
    assert int((mask == 0).sum()) == pruned_weights(21, 0.5)


@settings(max_examples=40, deadline=None)
@given(
    pattern=st.sampled_from(["unstructured", "1:2", "2:4", "1:4", "3:4", "4:8", "2:8", "1:8", "1:16", "2:32"]),
    seed=st.integers(0, 1000),
)
def test_any_pattern_is_reached_exactly_by_masks_that_only_shrink(pattern: str, seed: int) -> None:
    parsed = parse_pattern(pattern)
    sparsity = parsed.sparsity or 0.875
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 64, generator=generator)
    mask = torch.ones_like(weight)
    for target in ramp_of(pattern, sparsity):
        smaller = pruned_mask(weight, mask, target, kept=parsed.kept, group=parsed.group)
        assert bool((smaller <= mask).all())
        assert int((smaller == 0).sum()) == pruned_weights(weight.numel(), target)
        mask = smaller
        weight = (weight + 0.5 * torch.randn(6, 64, generator=generator)) * mask  # training moves what is left
    if parsed.group is not None:
        assert bool((mask.view(-1, parsed.group).sum(1) == parsed.kept).all())


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_pruned_weight_stays_at_zero_through_momentum_and_decay(decay) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(16, 8, bias=False)
    masks = Masks({"weight": layer.weight}, Pruning(sparsity=0.5, pattern="2:4", updates=4))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=decay, fused=True)
    ramp = dict(Pruning(sparsity=0.5, pattern="2:4", updates=4).ramp(20))
    previous = masks.masks["weight"].clone()
    for step in range(20):
        if step in ramp:
            masks.prune_to(ramp[step], optimizer)
        optimizer.zero_grad()
        layer(torch.randn(4, 16)).square().sum().backward()
        masks.mask_gradients()
        optimizer.step()
        now = masks.masks["weight"]
        assert bool((now <= previous).all())
        assert not bool((layer.weight.detach()[now == 0] != 0).any())
        previous = now.clone()
    masks.check(0.5, final=True)
    assert masks.zeros() == 64
    assert len(ramp) == 4


def test_the_check_notices_a_weight_that_came_back_and_a_broken_pattern() -> None:
    weight = nn.Parameter(torch.arange(1.0, 33.0).view(2, 16))
    masks = Masks({"weight": weight}, Pruning(sparsity=0.5, pattern="2:4"))
    masks.prune_to(0.5, torch.optim.SGD([weight]))
    masks.check(0.5, final=True)
    with torch.no_grad():
        weight[0, 0] = 1.0
    with pytest.raises(AssertionError, match="a pruned weight came back"):
        masks.check(0.5, final=True)
    with torch.no_grad():
        weight[0, 0] = 0.0
    broken = masks.masks["weight"].clone()
    broken[0, :4], broken[0, 4:8] = 0.0, 1.0
    masks.masks["weight"].copy_(broken)
    with torch.no_grad():
        weight.mul_(broken)
    with pytest.raises(AssertionError, match="2:4 broken"):
        masks.check(0.5, final=True)


def test_masks_survive_a_checkpoint_as_booleans() -> None:
    weight = nn.Parameter(torch.randn(4, 8))
    masks, other = (Masks({"weight": weight}, Pruning(sparsity=0.5)) for _ in range(2))
    masks.prune_to(0.5, torch.optim.SGD([weight]))
    other.load(masks.state())
    assert torch.equal(other.masks["weight"], masks.masks["weight"])
    assert masks.state()["weight"].dtype == torch.bool
