"""Zeros that stay: masks that a ramp sets at some steps, and that hold in between.

A pruned weight stays zero since its gradient and its optimizer state are zero: an update of zero moves nothing, through
momentum, decay and resumption alike.
"""

from abc import abstractmethod

import torch
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.train.pruning.base import Pruner, Weights


class HeldMasks(Pruner):
    """A strategy that chooses masks at the steps of its ramp; `_choose` says which."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        super().__init__(weights, run)
        self._ramp = dict(run.pruning.ramp(run.steps))

    @abstractmethod
    def _choose(self, name: str, weight: Tensor, mask: Tensor, sparsity: float) -> Tensor:
        """The mask of a weight from here on, of `mask`'s dtype and shape."""

    def acts_at(self, step: int) -> bool:
        """At the steps of the ramp."""
        return step in self._ramp

    @torch.no_grad()
    def at_step(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Set every matrix's mask, and forget the optimizer's state of what it takes out."""
        for name, weight in self._weights.items():
            mask = self.masks[name]
            mask.copy_(self._choose(name, weight, mask, self._ramp[step]))
            weight.mul_(mask)
            for state in optimizer.state[weight].values():
                if isinstance(state, Tensor) and state.shape == weight.shape:
                    state.mul_(mask)

    def before_forward(self) -> None:
        """Leave the weights as they stand: what is pruned is zero already."""

    def after_backward(self) -> None:
        """Take the gradients of pruned weights out, so that the update leaves them at zero."""
        torch._foreach_mul_(self._gradients(), list(self.masks.values()))

    def state(self) -> dict[str, Tensor]:
        """The masks as booleans."""
        return {name: mask.bool() for name, mask in self.masks.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take the masks of a checkpoint."""
        assert state.keys() == self.masks.keys(), "a checkpoint holds the masks of all matrices"
        for name, mask in self.masks.items():
            mask.copy_(state[name])
