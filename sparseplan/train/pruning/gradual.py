"""Gradual magnitude pruning: masks that only ever shrink, alike in every matrix, exact at the end.

A matrix is pruned to a sparsity s by taking its smallest weights until `pruned_weights(numel, s)` are zero. With a
pattern n:m the n largest of every m consecutive inputs are protected, from the first cut on: then every cut removes
only losers, no group ever falls below n, and at the final sparsity exactly the n winners of every group are left.

A pruned weight stays zero since its gradient and its optimizer state are zero: an update of zero moves nothing.

Source: Zhu & Gupta 2017, arXiv:1710.01878; Frantar et al. 2023, arXiv:2309.08520.
"""

import numpy as np
import torch
from torch import Tensor, nn

from sparseplan.runs.spec import Pruning
from sparseplan.shapes.base import pruned_weights


class Masks:
    """The masks of a model's prunable weights: 1 where a weight may live, 0 where it was pruned.

    Attributes:
        masks: One a weight, of its dtype and shape, updated in place.
    """

    def __init__(self, weights: dict[str, nn.Parameter], pruning: Pruning) -> None:
        self._weights, self._pruning = weights, pruning
        self.masks = {name: torch.ones_like(weight, requires_grad=False) for name, weight in weights.items()}

    @torch.no_grad()
    def prune_to(self, sparsity: float, optimizer: torch.optim.Optimizer) -> None:
        """Prune every matrix to `sparsity`, and forget the optimizer's state of what was pruned."""
        for name, weight in self._weights.items():
            mask = self.masks[name]
            new = pruned_mask(weight, mask, sparsity, kept=self._pruning.parsed.kept, group=self._pruning.parsed.group)
            mask.copy_(new)
            weight.mul_(mask)
            for state in optimizer.state[weight].values():
                if isinstance(state, Tensor) and state.shape == weight.shape:
                    state.mul_(mask)

    def mask_gradients(self) -> None:
        """Take the gradients of pruned weights out, so that the update leaves them at zero."""
        gradients = [weight.grad for weight in self._weights.values() if weight.grad is not None]
        assert len(gradients) == len(self.masks), "every prunable weight has a gradient"
        torch._foreach_mul_(gradients, list(self.masks.values()))

    def zeros(self) -> int:
        """How many weights are pruned."""
        return sum(int((mask == 0).sum()) for mask in self.masks.values())

    def check(self, sparsity: float, *, final: bool) -> None:
        """Assert what every later result rests on: exact counts, pruned weights at zero, and at the end the pattern."""
        group, kept = self._pruning.parsed.group, self._pruning.parsed.kept
        for name, mask in self.masks.items():
            assert int((mask == 0).sum()) == pruned_weights(mask.numel(), sparsity), f"{name}: count of zeros"
            assert not bool((self._weights[name].detach()[mask == 0] != 0).any()), f"{name}: a pruned weight came back"
            if final and group is not None:
                assert bool(mask.view(-1, group).sum(1).eq(kept or 0).all()), f"{name}: {self._pruning.pattern} broken"

    def state(self) -> dict[str, Tensor]:
        """The masks as booleans, for a checkpoint."""
        return {name: mask.bool() for name, mask in self.masks.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take the masks of a checkpoint."""
        assert state.keys() == self.masks.keys(), "a checkpoint holds the masks of all matrices"
        for name, mask in self.masks.items():
            mask.copy_(state[name])


def pruned_mask(weight: Tensor, mask: Tensor, sparsity: float, *, kept: int | None, group: int | None) -> Tensor:
    """The mask after pruning `weight` to `sparsity`, of `weight`'s dtype; a part of `mask`.

    Among equal magnitudes the first in memory goes first, so the count is exact and the choice repeatable.
    """
    number = pruned_weights(weight.numel(), sparsity)
    alive = mask.flatten() > 0
    to_prune = number - (weight.numel() - int(alive.sum()))
    if to_prune == 0:
        return mask.clone()
    scores, losers = weight.abs().flatten(), alive
    if group is not None and kept is not None:
        losers = alive & ~group_winners((scores + (alive.to(scores.dtype) - 1.0)).view(-1, group), kept).flatten()
    threshold = _smallest(scores[losers], to_prune)
    gone = losers & (scores <= threshold)
    surplus = int(gone.sum()) - to_prune
    if surplus:  # the last of those as large as the threshold stay
        ties = (losers & (scores == threshold)).nonzero().flatten()
        gone[ties[-surplus:]] = False
    return mask * ~gone.view_as(mask)


def group_winners(scores: Tensor, kept: int) -> Tensor:
    """Which are the `kept` largest of each row, the first of equals; scores `(groups, m)`, the result alike and bool.

    A score wins if fewer than `kept` others beat it. Comparing whole columns is several times as fast as sorting rows.
    """
    columns = scores.t().contiguous()
    beaten = torch.zeros_like(columns, dtype=torch.uint8)
    for apart in range(1, len(columns)):
        beaten[apart:] += columns[:-apart] >= columns[apart:]
        beaten[:-apart] += columns[apart:] > columns[:-apart]
    return (beaten < kept).t()


def _smallest(scores: Tensor, number: int) -> Tensor:
    """The `number`-th smallest of some scores, counted from 1."""
    if scores.device.type == "cpu":  # numpy selects some ten times as fast as torch does
        return torch.from_numpy(np.partition(scores.numpy(), number - 1)[number - 1 : number])
    return scores.kthvalue(number).values
