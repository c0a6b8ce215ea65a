"""A random mask, drawn by the run's seed before the first step and never changed.

Every weight gets a hash of seed, matrix and place as its score, and the mask is that of the scores by magnitude: so the
count is exact, n:m holds in every group, and the mask is the same on every device and under every library version.

Source: Thangarasa et al. 2023, arXiv:2303.10464 (static random sparsity, uniform over layers, in pre-training).
"""

import hashlib

import numpy as np
import torch
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import RigL, SparseEvolution, Static
from sparseplan.train.data import splitmix64
from sparseplan.train.pruning.base import Weights
from sparseplan.train.pruning.distribution import spread_zeros
from sparseplan.train.pruning.held import HeldMasks
from sparseplan.train.pruning.masks import pruned_mask, smallest


class StaticPruner(HeldMasks):
    """Prunes by random scores at step 0."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        super().__init__(weights, run)
        strategy = run.pruning.strategy
        assert isinstance(strategy, Static | SparseEvolution | RigL)
        self._spread = strategy.distribution
        shapes = {name: (weight.shape[0], weight.shape[1]) for name, weight in weights.items()}
        self._zeros = spread_zeros(shapes, run.pruning.sparsity, self._spread)

    def _choose(self, name: str, weight: Tensor, mask: Tensor, sparsity: float) -> Tensor:  # noqa: ARG002
        scores = random_scores(name, tuple(mask.shape), seed=self._run.seed)
        if self._spread == "uniform":
            every = torch.ones_like(scores)
            chosen = pruned_mask(scores, every, sparsity, kept=self._pattern.kept, group=self._pattern.group)
        else:
            assert self._zeros is not None
            flat = scores.flatten()
            chosen = ~smallest(flat, torch.ones_like(flat, dtype=torch.bool), self._zeros[name]).view_as(scores)
        return chosen.to(mask)


def random_scores(name: str, shape: tuple[int, ...], *, seed: int) -> Tensor:
    """Uniform numbers in [0, 1) with 53 random bits, on the CPU: one for each place of the matrix `name`."""
    matrix = np.frombuffer(hashlib.sha256(name.encode()).digest()[:8], dtype="<u8").astype(np.uint64)
    key = splitmix64(splitmix64(np.array([seed], dtype=np.uint64)) ^ matrix)
    with np.errstate(over="ignore"):  # 64-bit numbers are meant to wrap around
        hashes = splitmix64(np.arange(np.prod(shape), dtype=np.uint64) + key)
    return torch.from_numpy((hashes >> np.uint64(11)) * 2.0**-53).view(shape)
