"""SET: every so often the smallest weights are dropped and as many others, drawn by the seed, grow from zero.

Source: Mocanu et al. 2018, arXiv:1707.04780.
"""

import torch

from sparseplan.train.pruning.rewired import RewiredMasks
from sparseplan.train.pruning.static import random_scores


class SparseEvolutionPruner(RewiredMasks):
    """Grows at random: scores are hashes of seed, matrix, place and step."""

    def acts_at(self, step: int) -> bool:
        """At the start and at every rewiring."""
        return super().acts_at(step) or self._rewires_at(step)

    @torch.no_grad()
    def at_step(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Draw the mask, or rewire it."""
        if super().acts_at(step):
            super().at_step(step, optimizer)
            return
        growth = {
            name: random_scores(f"{name} at {step}", tuple(mask.shape), seed=self._run.seed).to(mask)
            for name, mask in self.masks.items()
        }
        self._rewire(step, growth, optimizer)
