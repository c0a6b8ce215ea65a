"""Scaling by density: sparse models that start as large and learn as fast as dense ones do.

A matrix of density d sums d times as many products as a dense one. Sparse maximal-update parametrisation lets what it
gives start at the same size, and change as much in an update of Adam, by initial weights larger by 1 / sqrt(d) and a
rate 1 / d times as high: d is to the inputs of a matrix what the width is. A run that starts dense has d = 1, whatever
it is pruned to later. With AdamW the decay, a multiple of the rate, follows it, as it follows the width.

Source: Dey et al. 2024, arXiv:2405.15743 (sparse muP).
"""

import math

import torch

from sparseplan.runs.spec import RunSpec
from sparseplan.train.models.base import Model
from sparseplan.train.pruning.distribution import spread_zeros


def initial_densities(run: RunSpec) -> dict[str, float]:
    """The density at which every prunable matrix starts, of those that are scaled by it; empty where none is."""
    if not run.scaled_by_density:
        return {}
    shapes = {matrix.name: (matrix.outputs, matrix.inputs) for matrix in run.shape.matrices}
    spread = getattr(run.pruning.strategy, "distribution", "uniform")
    zeros = spread_zeros(shapes, run.pruning.sparsity, spread)
    numels = {matrix.name: matrix.numel for matrix in run.shape.matrices}
    return {name: max(1, numels[name] - zeros[name]) / numels[name] for name in numels}


@torch.no_grad()
def scale_weights(model: Model, densities: dict[str, float]) -> None:
    """Make fresh weights larger by 1 / sqrt(density)."""
    for name, weight in model.prunable().items():
        if name in densities:
            weight.mul_(1.0 / math.sqrt(densities[name]))
