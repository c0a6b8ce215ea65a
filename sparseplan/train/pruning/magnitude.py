"""Magnitude pruning: masks that only ever shrink, exact at the end, on a ramp or in one cut.

Each cut takes the smallest of the weights that are left: of every matrix its share, or, with the scope `global`, of all
matrices together, so that some end sparser than others. What is gone is gone.

Source: Zhu & Gupta 2017, arXiv:1710.01878; Frantar et al. 2023, arXiv:2309.08520; Jin et al. 2025, arXiv:2501.12486.
"""

import torch
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import GradualMagnitude, OneShot
from sparseplan.shapes.base import pruned_weights
from sparseplan.train.pruning.base import Weights
from sparseplan.train.pruning.held import HeldMasks
from sparseplan.train.pruning.masks import smallest


class MagnitudePruner(HeldMasks):
    """Prunes the smallest weights at every step of the ramp."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        super().__init__(weights, run)
        strategy = run.pruning.strategy
        assert isinstance(strategy, GradualMagnitude | OneShot)
        if strategy.scope == "global":
            self._zeros = None

    def _choose_all(self, step: int) -> dict[str, Tensor]:
        return super()._choose_all(step) if self._zeros is not None else self._globally(self._ramp[step])

    def _globally(self, sparsity: float) -> dict[str, Tensor]:
        sizes = [mask.numel() for mask in self.masks.values()]
        number = sum(pruned_weights(size, sparsity) for size in sizes)
        scores = torch.cat([weight.detach().abs().flatten() for weight in self._weights.values()])
        alive = torch.cat([mask.flatten() for mask in self.masks.values()]) > 0
        alive &= ~smallest(scores, alive, number - (len(alive) - int(alive.sum())))
        pieces = zip(self.masks.items(), torch.split(alive, sizes), strict=True)
        return {name: piece.view_as(mask).to(mask) for (name, mask), piece in pieces}
