"""The pruner of each strategy: to add one, write its struct in `runs.strategies` and its file here, and add a line."""

from typing import Any

from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import (
    GradualMagnitude,
    OneShot,
    Rewinding,
    RigL,
    SparseEvolution,
    SrSte,
    SSte,
    Static,
    Ste,
)
from sparseplan.train.pruning.base import Pruner, Weights
from sparseplan.train.pruning.magnitude import MagnitudePruner
from sparseplan.train.pruning.rewinding import RewindingPruner
from sparseplan.train.pruning.rigl import RigLPruner
from sparseplan.train.pruning.s_ste import SStePruner
from sparseplan.train.pruning.sparse_evolution import SparseEvolutionPruner
from sparseplan.train.pruning.sr_ste import SrStePruner
from sparseplan.train.pruning.static import StaticPruner
from sparseplan.train.pruning.ste import StePruner

PRUNERS: dict[type[Any], type[Pruner]] = {
    GradualMagnitude: MagnitudePruner,
    OneShot: MagnitudePruner,
    Static: StaticPruner,
    SparseEvolution: SparseEvolutionPruner,
    RigL: RigLPruner,
    Ste: StePruner,
    SrSte: SrStePruner,
    SSte: SStePruner,
    Rewinding: RewindingPruner,
}


def build_pruner(weights: Weights, run: RunSpec) -> Pruner:
    """The pruner of a run's strategy, for the prunable weights of its model."""
    return PRUNERS[type(run.pruning.strategy)](weights, run)
