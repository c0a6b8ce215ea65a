"""SR-STE: n:m masks chosen at every step, over dense weights that all learn, so that a pruned weight may come back.

With W the dense weights, M the mask of the n largest magnitudes of every group and G the gradient of the loss at the
masked weights M * W, the optimizer gets, for all weights,

    G + decay (1 - M) W

The model's parameters hold M * W while the loss and its gradient are formed, so a straight-through gradient is simply
their gradient; then W is put back. Nothing of the model, its compilation or its dtype is touched.

Source: Zhou et al. 2021, arXiv:2102.04010 (decay is its lambda_W).
"""

import torch
from torch import Tensor

from sparseplan.runs.pruning import SrSte
from sparseplan.runs.spec import RunSpec
from sparseplan.train.pruning.base import Pruner, Weights
from sparseplan.train.pruning.masks import group_winners

_PIECE = 2**24
"""Weights whose groups are compared at once: few calls for small models, little memory for large ones."""


class SrStePruner(Pruner):
    """Masks and dense weights of all matrices lie each in one piece of memory, so that a step takes few calls."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        super().__init__(weights, run)
        strategy = run.pruning.strategy
        assert isinstance(strategy, SrSte)
        self._decay = strategy.decay
        self._parameters: list[Tensor] = list(weights.values())
        self._sizes = [weight.numel() for weight in self._parameters]
        self._mask = torch.cat([mask.flatten() for mask in self.masks.values()])
        self.masks = dict(zip(weights, self._matrices(self._mask), strict=True))
        if run.pruning.sparsity:  # a dense run needs no second copy
            self._dense = torch.empty_like(self._mask)
            self._dense_matrices = self._matrices(self._dense)
            self._choose()  # so that masks are within the pattern before the first update too

    def _matrices(self, flat: Tensor) -> list[Tensor]:
        pieces = zip(torch.split(flat, self._sizes), self._parameters, strict=True)
        return [piece.view(weight.shape) for piece, weight in pieces]

    @torch.no_grad()
    def _choose(self) -> None:
        """Keep a copy of the weights as they stand, and set the masks to their winners."""
        torch.cat([weight.detach().flatten() for weight in self._parameters], out=self._dense)
        group, kept = self._pattern.group, self._pattern.kept
        assert group is not None
        assert kept is not None
        size = group * (_PIECE // group)
        for dense, mask in zip(torch.split(self._dense, size), torch.split(self._mask, size), strict=True):
            mask.view(-1, group).copy_(group_winners(dense.abs().view(-1, group), kept))

    def acts_at(self, step: int) -> bool:
        """After the last update."""
        return step == self._run.steps and self._run.pruning.sparsity > 0

    @torch.no_grad()
    def at_step(self, step: int, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Mask the weights for good."""
        self._choose()
        torch._foreach_mul_(self._parameters, list(self.masks.values()))

    @torch.no_grad()
    def before_forward(self) -> None:
        """Choose the masks, and put the masked weights in the model."""
        self._choose()
        torch._foreach_mul_(self._parameters, list(self.masks.values()))

    @torch.no_grad()
    def after_backward(self) -> None:
        """Add the decay of what the mask leaves out, and put the dense weights back."""
        left_out = torch._foreach_sub(self._dense_matrices, self._parameters)  # W - M W
        torch._foreach_add_(self._gradients(), left_out, alpha=self._decay)
        torch._foreach_copy_(self._parameters, self._dense_matrices)

    def state(self) -> dict[str, Tensor]:
        """Nothing: masks follow from the weights."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take nothing."""
        assert not state, "a checkpoint of straight-through masks holds none"
