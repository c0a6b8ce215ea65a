"""Claims about static masks: exact, drawn by the seed alone, uniform, fixed."""

from collections import Counter

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.strategies import Static
from sparseplan.shapes.base import pruned_weights
from sparseplan.train.pruning.base import Pruner
from sparseplan.train.pruning.registry import build_pruner
from sparseplan.train.pruning.static import random_scores
from tests.helpers.specs import pruned_run


def pruner_of(
    weights: dict[str, nn.Parameter], sparsity: float, pattern: str = "unstructured", *, seed: int = 0
) -> Pruner:
    pruning = Pruning(sparsity=sparsity, pattern=pattern, strategy=Static())
    return build_pruner(weights, pruned_run(pruning, seed=seed))


def masked(sparsity: float, pattern: str = "unstructured", *, seed: int = 0) -> dict[str, torch.Tensor]:
    weights = {name: nn.Parameter(torch.ones(24, 32)) for name in ("up", "down")}
    pruner = pruner_of(weights, sparsity, pattern, seed=seed)
    pruner.at_step(0, torch.optim.SGD(weights.values()))
    pruner.check()
    assert all(torch.equal(weights[name].detach(), mask) for name, mask in pruner.masks.items())
    return pruner.masks


@pytest.mark.parametrize(
    ("sparsity", "pattern"), [(0.3, "unstructured"), (0.875, "unstructured"), (0.5, "2:4"), (0.75, "2:8")]
)
def test_every_matrix_is_cut_to_its_exact_count(sparsity: float, pattern: str) -> None:
    for mask in masked(sparsity, pattern).values():
        assert int((mask == 0).sum()) == pruned_weights(24 * 32, sparsity)
        if pattern == "2:4":
            assert set(mask.view(-1, 4).sum(1).tolist()) == {2.0}


def test_the_seed_draws_the_mask_again_and_another_seed_or_matrix_draws_another() -> None:
    first, again, other = masked(0.5), masked(0.5), masked(0.5, seed=1)
    assert torch.equal(first["up"], again["up"])
    # two independent masks of half the weights agree in half of all places, give or take 4 x 0.5 / sqrt(768)
    assert float((first["up"] == other["up"]).float().mean()) == pytest.approx(0.5, abs=0.073)
    assert float((first["up"] == first["down"]).float().mean()) == pytest.approx(0.5, abs=0.073)


def test_all_six_ways_to_keep_two_of_four_are_as_likely() -> None:
    groups = torch.cat([masked(0.5, "2:4", seed=seed)["up"].view(-1, 4) for seed in range(20)])
    ways = Counter(tuple(group) for group in groups.tolist())
    assert len(ways) == 6
    expected = len(groups) / 6
    assert sum((count - expected) ** 2 / expected for count in ways.values()) < 20.5  # chi squared, 5 df, p = 0.001


def test_scores_stay_the_numbers_that_they_were() -> None:
    # A changed score would change every static run of every sweep: raise TRAINING_VERSION with it.
    assert random_scores("up", (2, 2), seed=0).flatten().tolist() == [
        0.05082995110651789,
        0.021937712100697948,
        0.38211931592647763,
        0.635873033469906,
    ]


def test_a_pruned_weight_never_moves_and_the_mask_neither() -> None:
    weight = nn.Parameter(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)))
    pruner = pruner_of({"weight": weight}, 0.5)
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    assert [step for step in range(101) if pruner.acts_at(step)] == [0]
    pruner.at_step(0, optimizer)
    mask, start = pruner.masks["weight"].clone(), weight.detach().clone()
    for _ in range(5):
        optimizer.zero_grad()
        pruner.before_forward()
        torch.autograd.backward((weight.sum(1) ** 2).sum())
        pruner.after_backward()
        optimizer.step()
    assert torch.equal(weight.detach() != 0, mask.bool())
    assert torch.equal(start != 0, mask.bool())
    assert bool((weight.detach() != start)[mask.bool()].all())
    pruner.check()
