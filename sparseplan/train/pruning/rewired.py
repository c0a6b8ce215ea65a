"""Masks that are rewired: the smallest living weights are dropped, and as many others grow in their place.

A share of every matrix's living weights is dropped by magnitude. Of all that are then dead, those just dropped among
them, as many grow as have the largest scores, which is where strategies differ. What grows starts at 0 with moments of
0; what is dropped and grows at once keeps weight and moments, as if nothing had happened. Counts never change.

Source: google-research/jaxpruner, jaxpruner/algorithms/sparse_trainers.py.
"""

import torch
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import RigL, SparseEvolution
from sparseplan.train.pruning.base import Weights
from sparseplan.train.pruning.masks import smallest
from sparseplan.train.pruning.static import StaticPruner


class RewiredMasks(StaticPruner):
    """A random mask to begin with, and `_rewire` for those who know what is to grow."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        super().__init__(weights, run)
        strategy = run.pruning.strategy
        assert isinstance(strategy, SparseEvolution | RigL)
        self._rewiring = strategy

    def _rewires_at(self, step: int) -> bool:
        return self._run.pruning.sparsity > 0 and self._rewiring.rewires_at(step, self._run.steps)

    @torch.no_grad()
    def _rewire(self, step: int, growth: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
        """Replace the smallest weights by those of the largest `growth`, a score for every place of every matrix."""
        share = self._rewiring.share(step, self._run.steps)
        masks = {
            name: rewired(weight.detach(), self.masks[name], growth[name], share)
            for name, weight in self._weights.items()
        }
        self._set(masks, optimizer)


def rewired(weight: Tensor, mask: Tensor, growth: Tensor, share: float) -> Tensor:
    """The mask after a rewiring, with as many ones as `mask`; at most as many are replaced as were dead before."""
    alive = mask.flatten() > 0
    living = int(alive.sum())
    number = min(round(share * living), len(alive) - living)
    kept = alive & ~smallest(weight.abs().flatten(), alive, number)
    return (kept | smallest(-growth.flatten(), ~kept, number)).view_as(mask).to(mask)
