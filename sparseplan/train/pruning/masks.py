"""Masks by magnitude: the smallest weights of a matrix, within its pattern, exact in number and repeatable.

A matrix is pruned to a sparsity s by taking its smallest weights until `pruned_weights(numel, s)` are zero. With a
pattern n:m the n largest of every m consecutive inputs are protected: then every cut removes only losers, no group ever
falls below n, and at the pattern's own sparsity exactly the n winners of every group are left.
"""

import numpy as np
import torch
from torch import Tensor

from sparseplan.shapes.base import pruned_weights


def pruned_mask(weight: Tensor, mask: Tensor, sparsity: float, *, kept: int | None, group: int | None) -> Tensor:
    """The mask after pruning `weight` to `sparsity`, of `weight`'s dtype; a part of `mask`.

    Among equal magnitudes the first in memory goes first, so the count is exact and the choice repeatable.
    """
    number = pruned_weights(weight.numel(), sparsity)
    alive = mask.flatten() > 0
    to_prune = number - (weight.numel() - int(alive.sum()))
    scores, losers = weight.abs().flatten(), alive
    if group is not None and kept is not None:
        losers = alive & ~group_winners((scores + (alive.to(scores.dtype) - 1.0)).view(-1, group), kept).flatten()
    return mask * ~smallest(scores, losers, to_prune).view_as(mask)


def smallest(scores: Tensor, among: Tensor, number: int) -> Tensor:
    """Which are the `number` smallest of the scores chosen by `among`, the first of equals; all of one dimension."""
    if number == 0:
        return torch.zeros_like(among)
    threshold = kth_smallest(scores[among], number)
    found = among & (scores <= threshold)
    surplus = int(found.sum()) - number
    if surplus:  # the last of those as large as the threshold stay out
        ties = (among & (scores == threshold)).nonzero().flatten()
        found[ties[-surplus:]] = False
    return found


def group_winners(scores: Tensor, kept: int) -> Tensor:
    """Which are the `kept` largest of each row, the first of equals; scores `(groups, m)`, the result alike and bool.

    Always `kept` a row, NaN or not: of any two scores one beats the other, and those win that are beaten less than
    `kept` times. Comparing whole columns is several times as fast as sorting rows.
    """
    columns = torch.stack(scores.unbind(1))  # four times as fast on a CPU as transposing
    last = len(columns) - 1
    # count every score as beaten by all that come after it, then move those beatings that it has won
    later = torch.arange(last, -1, -1, dtype=torch.uint8, device=scores.device)
    beaten = later[:, None].expand(columns.shape).contiguous()
    for apart in range(1, len(columns)):
        first_wins = (columns[:-apart] >= columns[apart:]).view(torch.uint8)
        beaten[apart:] += first_wins
        beaten[:-apart] -= first_wins
    return (beaten < kept).t()


def kth_smallest(scores: Tensor, number: int) -> Tensor:
    """The `number`-th smallest of some scores, counted from 1."""
    if scores.device.type == "cpu":  # numpy selects some ten times as fast as torch does
        return torch.from_numpy(np.partition(scores.numpy(), number - 1)[number - 1 : number])
    return scores.kthvalue(number).values
