"""How far a measured run lies from a law's mean: its own scatter, an error it shares, and the form's beyond the runs.

A law's draws say what its runs leave open of its coefficients. A run to be trained misses the law by more: single runs
scatter, runs of one size or seed have an error in common, and no form holds for ever beyond the runs that it was fitted
to. The three are independent here; the last grows with the logarithm of the distance.
"""

from typing import TYPE_CHECKING, Annotated

import numpy as np
from msgspec import Meta, Struct

from sparseplan.common.intervals import Bounds, bounds
from sparseplan.laws.forms.budget import Array, Floats

if TYPE_CHECKING:
    from sparseplan.laws.law import Range

_PAIRS, _LEAST, _MOST = 100_000, 101, 2001  # of draws and points of the normal distribution
Share = Annotated[float, Meta(ge=0, lt=10)]


class RunError(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Standard deviations of log(measured / predicted loss), and where the runs end."""

    runs: Annotated[Share, Meta(description="Of a single run, by itself.")]
    groups: Annotated[Share, Meta(description="Of an error that runs of one size, length, trunk or seed share.")] = 0.0
    beyond: Annotated[Share, Meta(description="Of the form, per factor e beyond the runs.")]
    product: Annotated[
        tuple[Annotated[float, Meta(gt=0)], Annotated[float, Meta(gt=0)]],
        Meta(description="Smallest and largest N D among the runs; training FLOPs grow with it."),
    ]
    cuts: Annotated[
        int, Meta(ge=0, description="How many times dearer or longer runs were held out to measure `beyond`.")
    ] = 0

    def __post_init__(self) -> None:
        if self.product[0] > self.product[1]:
            raise ValueError(f"product: expected [smallest, largest], found [{self.product[0]:g}, {self.product[1]:g}]")

    def distance(self, covered: "Range", S: Floats, N: Floats, D: Floats) -> Array:
        """ln of how far runs lie outside what was covered, >= 0: the most of N, D, N D and density 1 - S."""
        S, N, D = (np.asarray(value, dtype=np.float64) for value in (S, N, D))
        most = _outside(N * D, self.product)
        for value, ends in ((N, covered.nonzero_params), (D, covered.data_seen)):
            if ends is not None:
                most = np.maximum(most, _outside(value, ends))
        if covered.sparsity is not None:
            low, high = covered.sparsity
            most = np.maximum(most, _outside(1.0 - S, (1.0 - high, 1.0 - low)))
        return np.asarray(most)

    def deviation(self, distance: Floats) -> Array:
        """Relative standard deviation of a run at a distance."""
        return np.asarray(np.sqrt(self.runs**2 + self.groups**2 + (self.beyond * np.asarray(distance)) ** 2))

    def interval(self, losses: Array, distance: float) -> Bounds:
        """Where a run's loss lies whose mean is one of these draws, shape (K,)."""
        from statistics import NormalDist  # noqa: PLC0415  imports a dozen modules that plans don't need

        count = min(max(_PAIRS // np.size(losses), _LEAST), _MOST)
        scores = np.array([NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)])
        factors = np.exp(self.deviation(distance) * scores)
        return bounds(np.multiply.outer(np.asarray(losses, dtype=np.float64), factors))


def _outside(value: Array, ends: tuple[float, float]) -> Array:
    return np.asarray(np.maximum(np.maximum(np.log(value / ends[1]), np.log(ends[0] / value)), 0.0))
