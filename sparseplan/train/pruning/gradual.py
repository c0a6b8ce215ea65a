"""Gradual magnitude pruning: masks that only ever shrink, alike in every matrix, exact at the end.

Each cut of the ramp takes the smallest of the weights that are left; what is gone is gone.

Source: Zhu & Gupta 2017, arXiv:1710.01878; Frantar et al. 2023, arXiv:2309.08520.
"""

from torch import Tensor

from sparseplan.train.pruning.held import HeldMasks
from sparseplan.train.pruning.masks import pruned_mask


class GradualMagnitudePruner(HeldMasks):
    """Prunes the smallest weights at every step of the ramp."""

    def _choose(self, name: str, weight: Tensor, mask: Tensor, sparsity: float) -> Tensor:  # noqa: ARG002
        return pruned_mask(weight, mask, sparsity, kept=self._pattern.kept, group=self._pattern.group)
