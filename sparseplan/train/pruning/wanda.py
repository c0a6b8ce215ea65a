"""Wanda: one cut by |weight| x norm of its input, in every output row alike; with n:m in every group of a row.

Weights that are left stay as they are. Source: Sun et al. 2023, arXiv:2306.11695.
"""

import torch
from torch import Tensor

from sparseplan.train.pruning.calibrated import CalibratedMasks
from sparseplan.train.pruning.masks import group_winners


class WandaPruner(CalibratedMasks):
    """Cuts by weights and norms of inputs."""

    def _choose_all(self, step: int) -> dict[str, Tensor]:
        self._norms = {name: found.sqrt() for name, found in self._measured.squares(self._steps(step)).items()}
        return super()._choose_all(step)

    def _choose(self, name: str, weight: Tensor, mask: Tensor, sparsity: float) -> Tensor:
        scores = weight.detach().abs() * self._norms[name].to(weight)
        kept, group = self._pattern.kept, self._pattern.group
        if kept is not None and group is not None:
            return group_winners(scores.view(-1, group), kept).view_as(mask).to(mask)
        return rowwise(scores, sparsity).to(mask)


def rowwise(scores: Tensor, sparsity: float) -> Tensor:
    """Which scores stay, `(rows, columns)` and bool: of every row all but its share of the smallest.

    Where rows have no whole number of them, some give one more, so that the whole is exact.
    """
    rows, columns = scores.shape
    ends = torch.tensor([round(row * columns * sparsity) for row in range(rows + 1)], device=scores.device)
    ranks = scores.argsort(dim=1, stable=True).argsort(dim=1)
    return ranks >= ends.diff()[:, None]
