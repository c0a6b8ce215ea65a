"""S-STE: n:m weights that are continuous in the dense weights behind them.

In every group the n largest magnitudes are kept and shrunk by t, the largest of the others (for 2:4 the second smallest
of the four), so that a weight reaches zero before its mask does:

    forward weight = scale sign(W) max(|W| - t, 0)

The scale of a matrix is the one of least squares, sum(W F) / sum(F^2) with F the unscaled forward weights, at the
initial weights; it stays fixed, and the gradient goes straight through to all weights.

Source: Hu et al. 2024, arXiv:2409.09099.
"""

import torch
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.train.pruning.base import Weights
from sparseplan.train.pruning.straight_through import StraightThroughPruner


class SStePruner(StraightThroughPruner):
    """Soft thresholds within groups; scales follow from the initial weights, which the seed draws."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        super().__init__(weights, run)
        if run.pruning.sparsity:
            self._scales = [float((dense * soft).sum() / soft.square().sum()) for dense, soft in self._pairs()]

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self._dense_matrices, self._matrices(self._shrunk()), strict=True))

    @torch.no_grad()
    def _shrunk(self) -> Tensor:
        """The unscaled forward weights of all matrices, flat."""
        assert self._pattern.group is not None
        dense, mask = (flat.view(-1, self._pattern.group) for flat in (self._dense, self._mask))
        threshold = dense.abs().mul_(1.0 - mask).amax(1, keepdim=True)
        return (dense - dense.clamp(-threshold, threshold)).flatten()  # 0 up to the threshold, less it beyond

    @torch.no_grad()
    def _put(self) -> None:
        torch._foreach_copy_(self._parameters, self._matrices(self._shrunk()))
        torch._foreach_mul_(self._parameters, self._scales)
