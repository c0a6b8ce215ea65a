"""Claims about masks by magnitude: exact in number, within the pattern, repeatable."""

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseplan.runs.strategies import GradualMagnitude
from sparseplan.shapes.base import pruned_weights
from sparseplan.sparsity.pattern import parse_pattern
from sparseplan.train.pruning.masks import group_winners, pruned_mask


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
def test_the_winners_of_a_group_are_those_of_a_stable_sort(group: int, seed: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, levels, (7, group), generator=generator).float()
    kept = 1 + seed % group
    sorted_first = scores.argsort(dim=1, descending=True, stable=True)[:, :kept]
    expected = torch.zeros_like(scores, dtype=torch.bool).scatter(1, sorted_first, True)
    assert torch.equal(group_winners(scores, kept), expected)


def test_a_group_keeps_its_count_where_a_training_has_gone_astray() -> None:
    scores = torch.tensor([[float("nan"), 1.0, float("nan"), 2.0], [float("inf")] * 4, [float("nan")] * 4])
    assert group_winners(scores, 2).sum(1).tolist() == [2, 2, 2]


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
    for _, target in GradualMagnitude(updates=8).ramp(sparsity, 100):
        smaller = pruned_mask(weight, mask, target, kept=parsed.kept, group=parsed.group)
        assert bool((smaller <= mask).all())
        assert int((smaller == 0).sum()) == pruned_weights(weight.numel(), target)
        mask = smaller
        weight = (weight + 0.5 * torch.randn(6, 64, generator=generator)) * mask  # training moves what is left
    if parsed.group is not None:
        assert set(mask.view(-1, parsed.group).sum(1).tolist()) == {parsed.kept}
