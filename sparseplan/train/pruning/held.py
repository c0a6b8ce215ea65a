"""Zeros that stay: masks that are set at some steps, by a ramp in most strategies, and hold in between.

A pruned weight stays zero since its gradient and its optimizer state are zero: an update of zero moves nothing, through
momentum, decay and resumption alike.
"""

import torch
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.train.pruning.base import Pruner, Weights
from sparseplan.train.pruning.masks import pruned_mask


class HeldMasks(Pruner):
    """A strategy that chooses masks at the steps of its ramp; `_choose` says which, a matrix at a time."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        super().__init__(weights, run)
        self._ramp = dict(run.pruning.ramp(run.steps))

    def _choose_all(self, step: int) -> dict[str, Tensor]:
        """The masks of all weights from a step of the ramp on, each of its mask's dtype and shape."""
        sparsity = self._ramp[step]
        return {name: self._choose(name, weight, self.masks[name], sparsity) for name, weight in self._weights.items()}

    def _choose(self, name: str, weight: Tensor, mask: Tensor, sparsity: float) -> Tensor:  # noqa: ARG002
        """The mask of a weight from here on, of `mask`'s dtype and shape. Here: the smallest of what is left go."""
        return pruned_mask(weight, mask, sparsity, kept=self._pattern.kept, group=self._pattern.group)

    def acts_at(self, step: int) -> bool:
        """At the steps of the ramp."""
        return step in self._ramp

    @torch.no_grad()
    def at_step(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Set every matrix's mask, and forget the optimizer's state of what it takes out."""
        self._set(self._choose_all(step), optimizer)

    def _set(self, masks: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
        """Put masks in force; where one is 0, weight and moments start again from 0 should it ever grow."""
        for name, weight in self._weights.items():
            mask = self.masks[name]
            mask.copy_(masks[name])
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
