"""What a model costs over its life: training, and reading or writing a number of tokens once it is trained.

    C_total = 6 N D c_mul(S, N) tokens_per_unit + 2 (N / (1 - S)) T / v(S, N)

T tokens of inference; v is how much faster inference is than that of the dense model before pruning: 1 / (1 - S) where
zeros cost nothing, 1 where they cost as much as weights, and what a device makes of 2:4.

Source: Sardana et al. 2024, arXiv:2401.00448, for dense models; with sparsity it is derived here.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from sparseplan.cost.flops import FLOPS_COSTS, Cost
from sparseplan.cost.overhead import PLAIN, Overhead
from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.sparsity.pattern import Pattern

FLOPS_PER_PARAMETER_AND_TOKEN_SERVED = 2.0
CountedIn = Literal["flops", "hours", "money"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """How many tokens a model will read or write once it is trained, and what zeros save then.

    Attributes:
        name: What the user called it: sparse, dense or a hardware profile.
        tokens: T, >= 0; a scalar, or an array that broadcasts with sizes.
        weight: What a FLOP of inference costs against one of training: 1 where both run at one rate and price.
        counted_in: What the weight makes of a total: FLOPs, device hours, or money.
        overhead: What tokens take beside 2 FLOPs a weight, as in training; v is of the weights alone.
    """

    name: str
    tokens: Floats
    weight: float = 1.0
    counted_in: CountedIn = "flops"
    overhead: Overhead = PLAIN

    @property
    def depends_on_size(self) -> bool:
        """Whether v depends on N."""
        return False

    @property
    def kind(self) -> Literal["decoding", "prefill"] | None:
        """Which speed-ups of a device count; None where none do."""
        return None

    def on(self, pattern: Pattern) -> Self:  # noqa: ARG002 - devices read it
        """The same for another pattern."""
        return self

    def speedup(self, S: Floats, N: Floats) -> Array:  # noqa: ARG002 - devices read N
        """v(S, N), against the dense model before pruning."""
        density = 1.0 - np.asarray(S, dtype=np.float64)
        return np.asarray(1.0 / density if self.name == "sparse" else np.ones_like(density))

    def flops(self, S: Floats, N: Floats) -> Array:
        """FLOPs of T tokens at sparsity S with N non-zero parameters; where a device is faster, fewer in proportion.

        >>> float(Inference(name="dense", tokens=1e12).flops(0.5, 1e9))  # 2 x 2e9 weights x 1e12
        4e+21
        """
        dense_params = np.asarray(N, dtype=np.float64) / (1.0 - np.asarray(S, dtype=np.float64))
        per_parameter = self.overhead.weights / self.speedup(S, N) + self.overhead.rest
        return np.asarray(FLOPS_PER_PARAMETER_AND_TOKEN_SERVED * dense_params * self.tokens * per_parameter)


def flops_inference(name: str, tokens: Floats, weight: float = 1.0, overhead: Overhead = PLAIN) -> Inference:
    """Inference in which zeros cost nothing ("sparse"), or as much as weights ("dense")."""
    assert name in FLOPS_COSTS
    return Inference(name=name, tokens=tokens, weight=weight, overhead=overhead)


@dataclass(frozen=True, kw_only=True, slots=True)
class LifetimeCost(Cost):
    """Training and inference together: what is left of a budget after inference buys data."""

    training: Cost
    inference: Inference

    @property
    def depends_on_size(self) -> bool:
        """Whether training or inference costs by the width."""
        return self.training.depends_on_size or self.inference.depends_on_size

    def multiplier(self, S: Floats, N: Floats | None = None) -> Array:
        """c_mul of training."""
        return self.training.multiplier(S, N)

    def idle(self, S: Floats, N: Floats) -> Array:
        """Inference in units of training data at the run's own price: T tokens of a dense model are T / 3.

        >>> cost = lifetime_cost(Cost(name="sparse", saving=0.625), flops_inference("dense", 3e12))
        >>> round(float(cost.idle(0.0, 1e9)) / 1e12, 6)
        1.0
        """
        per_unit = self.flops_per_parameter * np.asarray(N) * self.multiplier(S, N)
        return np.asarray(self.inference.weight * self.inference.flops(S, N) / per_unit)

    def budget(self, train_flops: Floats) -> Budget:
        """What a total of training and inference FLOPs buys."""
        plain = self.training.budget(train_flops)
        return replace(plain, saving=None, depends_on_size=self.depends_on_size, idle=self.idle)

    def flops_for(self, D: Floats, S: Floats, N: Floats) -> Array:
        """Training FLOPs of a run, and what its inference costs in such FLOPs."""
        return np.asarray(self.training.flops_for(D, S, N) + self.inference.weight * self.inference.flops(S, N))


def lifetime_cost(training: Cost, inference: Inference) -> LifetimeCost:
    """The cost of both."""
    return LifetimeCost(
        name=training.name,
        saving=training.saving,
        tokens_per_unit=training.tokens_per_unit,
        overhead=training.overhead,
        training=training,
        inference=inference,
    )
