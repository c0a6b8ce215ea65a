"""RigL: every so often the smallest weights are dropped and as many grow where the loss would gain most.

The growth score is the size of the gradient of all weights, dead ones too, on the batch of the update in which the
rewiring takes place: that update is made with the new masks, so a grown weight moves at once. (The authors skip it.)

Source: Evci et al. 2020, arXiv:1911.11134.
"""

import torch

from sparseplan.train.pruning.rewired import RewiredMasks


class RigLPruner(RewiredMasks):
    """Grows by gradient."""

    def looks_at(self, step: int) -> bool:
        """At every rewiring."""
        return self._rewires_at(step)

    @torch.no_grad()
    def at_gradient(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Rewire by the gradient of all weights."""
        growth = zip(self._weights, self._gradients(), strict=True)
        self._rewire(step, {name: gradient.abs() for name, gradient in growth}, optimizer)
