"""Masks chosen at every step over dense weights that all learn, so that a pruned weight may come back.

The model's parameters hold what the forward pass uses while the loss and its gradient are formed, so a straight-through
gradient is simply their gradient; then the dense weights are put back. Nothing of the model, its compilation or its
dtype is touched. After the last update the weights are masked for good.
"""

import torch
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.train.pruning.base import Pruner, Weights
from sparseplan.train.pruning.masks import group_winners

_PIECE = 2**24
"""Weights whose groups are compared at once: few calls for small models, little memory for large ones."""


class StraightThroughPruner(Pruner):
    """Masks and dense weights of all matrices lie each in one piece of memory, so that a step takes few calls."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        super().__init__(weights, run)
        self._parameters: list[Tensor] = list(weights.values())
        self._sizes = [weight.numel() for weight in self._parameters]
        self._mask = torch.cat([mask.flatten() for mask in self.masks.values()])
        self.masks = dict(zip(weights, self._matrices(self._mask), strict=True))
        if run.pruning.sparsity:  # a dense run needs no second copy
            self._dense = torch.empty_like(self._mask)
            self._dense_matrices = self._matrices(self._dense)
            self._keep()
            self._choose(exactly=True)  # so that masks are within the pattern before the first update too

    def _matrices(self, flat: Tensor) -> list[Tensor]:
        pieces = zip(torch.split(flat, self._sizes), self._parameters, strict=True)
        return [piece.view(weight.shape) for piece, weight in pieces]

    @torch.no_grad()
    def _keep(self) -> None:
        """Keep a copy of the weights as they stand."""
        torch.cat([weight.detach().flatten() for weight in self._parameters], out=self._dense)

    @torch.no_grad()
    def _choose(self, *, exactly: bool) -> None:  # noqa: ARG002 - groups always are
        """Set the masks for the dense weights; `exactly` in number even where two weights are equal. Here: by groups,
        the n largest of every one, the first of equals.
        """
        group, kept = self._pattern.group, self._pattern.kept
        assert group is not None
        assert kept is not None
        size = group * (_PIECE // group)
        for dense, mask in zip(torch.split(self._dense, size), torch.split(self._mask, size), strict=True):
            mask.view(-1, group).copy_(group_winners(dense.abs().view(-1, group), kept))

    @torch.no_grad()
    def _put(self) -> None:
        """Put what the forward pass uses in the parameters, which hold the dense weights. Here: these, masked."""
        torch._foreach_mul_(self._parameters, list(self.masks.values()))

    def _add_to_gradients(self) -> None:
        """Add what else moves the weights, while the parameters hold what the forward pass used; nothing in most."""

    def acts_at(self, step: int) -> bool:
        """After the last update."""
        return step == self._run.steps and self._run.pruning.sparsity > 0

    @torch.no_grad()
    def at_step(self, step: int, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Leave in the model for good what the forward pass would use."""
        self._keep()
        self._choose(exactly=True)
        self._put()

    @torch.no_grad()
    def before_forward(self) -> None:
        """Choose the masks, and put the masked weights in the model."""
        self._keep()
        self._choose(exactly=False)
        self._put()

    @torch.no_grad()
    def after_backward(self) -> None:
        """Put the dense weights back; their gradient is that of the masked ones."""
        self._add_to_gradients()
        torch._foreach_copy_(self._parameters, self._dense_matrices)

    def state(self) -> dict[str, Tensor]:
        """Nothing: masks follow from the weights."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take nothing."""
        assert not state, "a checkpoint of straight-through masks holds none"
