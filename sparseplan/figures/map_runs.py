"""Finished runs on a map: where they stand under its cost."""

from pathlib import Path

import numpy as np

from sparseplan.laws.law import Law
from sparseplan.plan.sparsity_map import MapCost, MapRuns
from sparseplan.runs.table import Runs
from sparseplan.sparsity.pattern import TWO_OF_FOUR


def runs_on_map(runs: Runs, cost: MapCost, law: Law) -> MapRuns:
    """Where finished runs stand on a map of a cost."""
    halved = np.array([family == TWO_OF_FOUR.family for family in runs.family]) & (runs.sparsity > 0)
    plain = cost.pattern.flops_for(runs.data_seen, runs.sparsity, runs.nonzero_params)
    fast = plain
    if cost.two_to_four is not None:
        fast = cost.two_to_four.flops_for(runs.data_seen, runs.sparsity, runs.nonzero_params)
    return MapRuns(
        name=Path(runs.source).name,
        of_the_law=bool(runs.sha256) and runs.sha256 == law.provenance.get("runs_sha256"),
        sparsity=runs.sparsity,
        nonzero_params=runs.nonzero_params,
        train_flops=np.where(halved, fast, plain),
    )
