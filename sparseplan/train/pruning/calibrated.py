"""One cut by scores that know the inputs of every matrix; then the masks hold and training goes on."""

from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import SparseGpt, Wanda
from sparseplan.train.pruning.base import Weights
from sparseplan.train.pruning.held import HeldMasks
from sparseplan.train.pruning.view import ModelView


class CalibratedMasks(HeldMasks):
    """A strategy that measures inputs on the last batches before its cut, or the first where there are not as many."""

    def __init__(self, weights: Weights, run: RunSpec, view: ModelView | None) -> None:
        super().__init__(weights, run)
        strategy = run.pruning.strategy
        assert isinstance(strategy, Wanda | SparseGpt)
        self._batches, self._view = strategy.batches, view

    def _steps(self, cut: int) -> range:
        first = max(0, cut - self._batches)
        return range(first, min(first + self._batches, self._run.steps))

    @property
    def _measured(self) -> ModelView:
        assert self._view is not None, "a training lets its pruner look at the model"
        return self._view
