"""The pruner of each strategy: to add one, write its struct in `runs.pruning` and its file here, and add a line."""

from typing import Any

from sparseplan.runs.pruning import GradualMagnitude, SrSte, Static
from sparseplan.runs.spec import RunSpec
from sparseplan.train.pruning.base import Pruner, Weights
from sparseplan.train.pruning.gradual import GradualMagnitudePruner
from sparseplan.train.pruning.sr_ste import SrStePruner
from sparseplan.train.pruning.static import StaticPruner

PRUNERS: dict[type[Any], type[Pruner]] = {
    GradualMagnitude: GradualMagnitudePruner,
    Static: StaticPruner,
    SrSte: SrStePruner,
}


def build_pruner(weights: Weights, run: RunSpec) -> Pruner:
    """The pruner of a run's strategy, for the prunable weights of its model."""
    return PRUNERS[type(run.pruning.strategy)](weights, run)
