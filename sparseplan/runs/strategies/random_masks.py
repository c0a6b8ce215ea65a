"""Masks drawn at random before the first step: fixed, or rewired as training goes."""

import math
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from sparseplan.runs.strategies.base import Settings
from sparseplan.sparsity.schedule import Schedule

Distribution = Annotated[
    Literal["uniform", "erdos-renyi"],
    Meta(
        description="uniform: the same sparsity in every matrix; erdos-renyi: densities in proportion to "
        "(inputs + outputs) / (inputs x outputs), so that large matrices are sparser; unstructured only."
    ),
]


class Static(Settings, frozen=True, kw_only=True, tag="static"):
    """A random mask from step 0 on, uniform over each matrix or, with a pattern, over each group; the seed draws it.

    It is sparse at every step, so c_mul = 1 under sparse FLOPs: a sparse training costs what a dense one of the same
    non-zero size does. Source: Thangarasa et al. 2023, arXiv:2303.10464 (SPDF's sparse pre-training); erdos-renyi:
    Mocanu et al. 2018, arXiv:1707.04780, Evci et al. 2020, arXiv:1911.11134.
    """

    distribution: Distribution = "uniform"

    @property
    def schedule(self) -> Schedule:
        """One cut at the very start."""
        return Schedule(start=0.0, end=0.0)

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"a random mask, fixed from the start{_distribution(self.distribution)}"


Every = Annotated[int, Meta(ge=1, description="Updates between two rewirings.")]
Drop = Annotated[float, Meta(gt=0, le=1, description="Share of the living weights that a rewiring replaces.")]
Until = Annotated[
    float, Meta(ge=0, le=1, description="Share of training after which the masks stay, so that the last can settle.")
]


class SparseEvolution(Settings, frozen=True, kw_only=True, tag="set"):
    """SET: a random mask that drops its smallest weights every `every` updates and grows as many at random.

    Source: Mocanu et al. 2018, arXiv:1707.04780; the share as Wu et al. 2026, arXiv:2606.01155.
    """

    allows_groups: ClassVar[bool] = False

    distribution: Distribution = "uniform"
    every: Every = 100
    drop: Drop = 0.1
    until: Until = 0.75

    @property
    def schedule(self) -> Schedule:
        """Sparse from the start, at a constant density."""
        return Schedule(start=0.0, end=0.0)

    def rewires_at(self, step: int, steps: int) -> bool:
        """Whether weights are replaced after `step` updates."""
        return 0 < step < self.until * steps and step % self.every == 0

    def share(self, step: int, steps: int) -> float:  # noqa: ARG002 - constant
        """The share of the living weights that is replaced at a step."""
        return self.drop

    def alike_until(self, steps: int) -> int:
        """Until its rewirings end: a longer run goes on with them."""
        return math.ceil(self.until * steps)

    def describe(self) -> str:
        """The strategy in a few words."""
        words = f"{self.drop:.3g} of the weights grown again at random every {self.every} updates"
        return f"{words} to {self.until:.3g} of training{_distribution(self.distribution)}"


class RigL(Settings, frozen=True, kw_only=True, tag="rigl"):
    """RigL: a random mask that drops its smallest weights and grows as many where the dense gradient is largest.

    The share that it replaces falls from `drop` to 0 as half a cosine until `until`. The gradient of all weights is
    formed at the rewirings only. Source: Evci et al. 2020, arXiv:1911.11134.
    """

    allows_groups: ClassVar[bool] = False

    distribution: Distribution = "uniform"
    every: Every = 100
    drop: Drop = 0.3
    until: Until = 0.75

    @property
    def schedule(self) -> Schedule:
        """Sparse from the start; one update in `every` forms the gradient of all weights."""
        return Schedule(start=0.0, end=0.0, dense_gradients=self.until / self.every)

    def rewires_at(self, step: int, steps: int) -> bool:
        """Whether weights are replaced in the update that follows `step` others."""
        return 0 < step < self.until * steps and step % self.every == 0

    def share(self, step: int, steps: int) -> float:
        """The share of the living weights that is replaced at a step.

        >>> [round(RigL().share(step, 1000), 3) for step in (100, 375, 700)]
        [0.287, 0.15, 0.003]
        """
        return self.drop / 2 * (1.0 + math.cos(math.pi * step / (self.until * steps)))

    def dense_gradients(self, from_step: int, to_step: int, steps: int) -> int:
        """The rewirings among these updates."""
        first, last = max(from_step, 1), min(to_step, math.ceil(self.until * steps))
        return max(0, (last - 1) // self.every - (first - 1) // self.every)

    def alike_until(self, steps: int) -> int:
        """Until the first rewiring, whose share depends on the length."""
        return min(self.every, steps)

    def describe(self) -> str:
        """The strategy in a few words."""
        words = f"{self.drop:.3g} of the weights, falling to 0, grown again by gradient every {self.every} updates"
        return f"{words} to {self.until:.3g} of training{_distribution(self.distribution)}"


def _distribution(distribution: str) -> str:
    return ", Erdos-Renyi densities" if distribution == "erdos-renyi" else ""
