"""The pruner of each strategy: to add one, write its struct in `runs.strategies` and its file here, and add a line."""

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
    Wanda,
)
from sparseplan.train.pruning.base import Pruner, Weights
from sparseplan.train.pruning.calibrated import CalibratedMasks
from sparseplan.train.pruning.inputs import Inputs
from sparseplan.train.pruning.magnitude import MagnitudePruner
from sparseplan.train.pruning.rewinding import RewindingPruner
from sparseplan.train.pruning.rigl import RigLPruner
from sparseplan.train.pruning.s_ste import SStePruner
from sparseplan.train.pruning.sparse_evolution import SparseEvolutionPruner
from sparseplan.train.pruning.sparsegpt import SparseGptPruner
from sparseplan.train.pruning.sr_ste import SrStePruner
from sparseplan.train.pruning.static import StaticPruner
from sparseplan.train.pruning.ste import StePruner
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
CALIBRATED: dict[type[Any], type[CalibratedMasks]] = {Wanda: WandaPruner, SparseGpt: SparseGptPruner}
"""Those that look at the inputs of the matrices as well."""


def build_pruner(weights: Weights, run: RunSpec, inputs: Inputs | None = None) -> Pruner:
    """The pruner of a run's strategy, for the prunable weights of its model and what goes into them."""
    kind = type(run.pruning.strategy)
    return CALIBRATED[kind](weights, run, inputs) if kind in CALIBRATED else PRUNERS[kind](weights, run)
