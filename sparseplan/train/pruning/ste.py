"""The plain straight-through mask: the largest weights of every matrix, or group, chosen at every step.

Unstructured, the mask of a step holds what is above a threshold: where two weights are equal it may miss the exact
count, which the final cut keeps.

Source: Bengio et al. 2013, arXiv:1308.3432; google-research/jaxpruner, jaxpruner/algorithms/ste.py.
"""

import torch

from sparseplan.train.pruning.masks import kth_smallest, pruned_mask
from sparseplan.train.pruning.straight_through import StraightThroughPruner


class StePruner(StraightThroughPruner):
    """Masks by magnitude."""

    @torch.no_grad()
    def _choose(self, *, exactly: bool) -> None:
        if self._pattern.group is not None:
            super()._choose(exactly=exactly)
            return
        assert self._zeros is not None
        for zeros, dense, mask in zip(self._zeros.values(), self._dense_matrices, self.masks.values(), strict=True):
            if exactly:
                every = torch.ones_like(mask)
                mask.copy_(pruned_mask(dense, every, self._run.pruning.sparsity, kept=None, group=None))
            elif zeros:
                size = dense.abs()
                torch.gt(size, kth_smallest(size.flatten(), zeros), out=mask)
