"""SparseGPT: one cut by second-order error, after which the weights that are left make up for those that go.

With X the inputs of a matrix, H = X X^T + damping and U the upper Cholesky factor of H^-1, a weight's score is
w^2 / U_jj^2. Columns are gone through from left to right, in blocks; in every block the smallest scores go (with n:m
the smallest of every group as it is reached), and each column's error, (w - pruned w) / U_jj, is taken off the columns
to its right, times row j of U: what the layer gives on X changes as little as their freedom allows.

Source: Frantar & Alistarh 2023, arXiv:2301.00774, algorithm 1; damping and blocks as in its code.
"""

import torch
from torch import Tensor

from sparseplan.train.pruning.calibrated import CalibratedMasks
from sparseplan.train.pruning.masks import group_winners, smallest

_DAMPING = 0.01
"""Of the mean of the diagonal of X X^T."""
_BLOCK = 128
"""Columns whose weights compete, where there are no groups."""


class SparseGptPruner(CalibratedMasks):
    """Cuts by the products of inputs, and moves what is left."""

    def _choose_all(self, step: int) -> dict[str, Tensor]:
        self._products = self._measured.products(self._steps(step))
        try:
            return super()._choose_all(step)
        finally:
            del self._products

    def _choose(self, name: str, weight: Tensor, mask: Tensor, sparsity: float) -> Tensor:
        moved, kept = reconstructed(
            weight.detach().double(),
            self._products[name],
            sparsity,
            kept=self._pattern.kept,
            group=self._pattern.group,
        )
        weight.copy_(moved)
        return kept.to(mask)


def reconstructed(
    weight: Tensor, products: Tensor, sparsity: float, *, kept: int | None, group: int | None
) -> tuple[Tensor, Tensor]:
    """The weights `(outputs, inputs)` after the cut, and which of them stay (bool); `products` is X X^T; in float64."""
    rows, columns = weight.shape
    weight, stays = weight.clone(), torch.ones_like(weight, dtype=torch.bool)
    factor = _factor(products)
    width = _BLOCK if group is None else group * max(1, _BLOCK // group)
    for first in range(0, columns, width):
        last = min(first + width, columns)
        block, errors = weight[:, first:last], torch.zeros(rows, last - first, dtype=weight.dtype, device=weight.device)
        steps = factor.diagonal()[first:last]
        if group is None:
            number = round(rows * last * sparsity) - round(rows * first * sparsity)
            scores = (block / steps).square().flatten()
            gone = smallest(scores, torch.ones_like(scores, dtype=torch.bool), number)
            stays[:, first:last] = ~gone.view_as(block)
        for column in range(first, last):
            if group is not None and kept is not None and column % group == 0:
                ahead = slice(column, column + group)
                scores = (weight[:, ahead] / factor.diagonal()[ahead]).square()
                stays[:, ahead] = group_winners(scores, kept)
            left = weight[:, column] * stays[:, column]
            error = (weight[:, column] - left) / factor[column, column]
            weight[:, column:last] -= error[:, None] * factor[column, column:last]
            weight[:, column] = left
            errors[:, column - first] = error
        weight[:, last:] -= errors @ factor[first:last, last:]
    return weight, stays


def _factor(products: Tensor) -> Tensor:
    """U, upper triangular, with U^T U the inverse of the damped products."""
    damped, diagonal = products.clone(), products.diagonal()
    damped.diagonal().add_(_DAMPING * diagonal.mean())
    damped.diagonal()[diagonal == 0] += 1.0  # an input that is always 0 leaves its weights without any say
    factor: Tensor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True)
    return factor
