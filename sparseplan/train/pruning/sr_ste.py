"""SR-STE: n:m masks chosen at every step, and a decay of what they leave out.

With W the dense weights, M the mask of the n largest magnitudes of every group and G the gradient of the loss at the
masked weights M * W, the optimizer gets, for all weights,

    G + decay (1 - M) W

Source: Zhou et al. 2021, arXiv:2102.04010 (decay is its lambda_W).
"""

import torch

from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import SrSte
from sparseplan.train.pruning.base import Weights
from sparseplan.train.pruning.straight_through import StraightThroughPruner


class SrStePruner(StraightThroughPruner):
    """Masks by magnitude within groups."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        strategy = run.pruning.strategy
        assert isinstance(strategy, SrSte)
        self._decay = strategy.decay
        super().__init__(weights, run)

    def _add_to_gradients(self) -> None:
        left_out = torch._foreach_sub(self._dense_matrices, self._parameters)  # W - M W
        torch._foreach_add_(self._gradients(), left_out, alpha=self._decay)
