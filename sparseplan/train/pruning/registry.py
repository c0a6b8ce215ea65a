"""The pruner of each strategy: to add one, write its struct in `runs.strategies` and its file here, and add a line."""

from collections.abc import Callable
from typing import Any

from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import (
    GradualMagnitude,
    OneShot,
    Rewinding,
    RigL,
    SparseEvolution,
    SparseGpt,
    SrSte,
    SSte,
    Static,
    Ste,
    Structured,
    Wanda,
)
from sparseplan.train.pruning.base import Pruner, Weights
from sparseplan.train.pruning.magnitude import MagnitudePruner
from sparseplan.train.pruning.rewinding import RewindingPruner
from sparseplan.train.pruning.rigl import RigLPruner
from sparseplan.train.pruning.s_ste import SStePruner
from sparseplan.train.pruning.sparse_evolution import SparseEvolutionPruner
from sparseplan.train.pruning.sparsegpt import SparseGptPruner
from sparseplan.train.pruning.sr_ste import SrStePruner
from sparseplan.train.pruning.static import StaticPruner
from sparseplan.train.pruning.ste import StePruner
from sparseplan.train.pruning.structured import StructuredPruner
from sparseplan.train.pruning.view import ModelView
from sparseplan.train.pruning.wanda import WandaPruner

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
VIEWERS: dict[type[Any], Callable[[Weights, RunSpec, ModelView | None], Pruner]] = {
    Wanda: WandaPruner,
    SparseGpt: SparseGptPruner,
    Structured: StructuredPruner,
}
"""Those that look at the model as well."""


def build_pruner(weights: Weights, run: RunSpec, view: ModelView | None = None) -> Pruner:
    """The pruner of a run's strategy, for the prunable weights of its model, which some look at more closely."""
    kind = type(run.pruning.strategy)
    return VIEWERS[kind](weights, run, view) if kind in VIEWERS else PRUNERS[kind](weights, run)
