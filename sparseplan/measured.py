"""The cost of training on a given device: 2:4 from its speed-up, everything else as if zeros were weights.

A 2:4 run is dense until its mask is exactly 2:4, at the end t1 of the ramp, and runs s times faster from there on.
Against a dense model with the same non-zero parameters, whose model is half as large,

    c_mul = (t1 + (1 - t1) / s(width)) / (1 - S),    S = 1/2,

with the width of the model before pruning. Unstructured sparsity and other n:m cost 1 / (1 - S): no kernel that these
devices have makes use of their zeros in training.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseplan.arch import typical_width
from sparseplan.cost import ACCELERATED_SPARSITY, Cost
from sparseplan.hardware import Curve, Profile, speedup
from sparseplan.pattern import Pattern
from sparseplan.schedule import Schedule

_ACCELERATED_GROUP = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredCost(Cost):
    """A cost in which sparsity 1/2 of the family n:4 runs faster after the ramp, by a factor that depends on the width.

    Attributes:
        after_ramp: 1 - t1, the share of training with the final mask.
        speedup: Training speed-up of 2:4 by width.
    """

    after_ramp: float
    speedup: Curve

    @property
    def depends_on_size(self) -> bool:
        """Whether the multiplier depends on N."""
        return self.speedup.widths is not None

    def multiplier(
        self, S: NDArray[np.float64] | float, N: NDArray[np.float64] | float | None = None
    ) -> NDArray[np.float64]:
        """c_mul(S, N) for N non-zero parameters."""
        density = 1.0 - np.asarray(S, dtype=np.float64)
        assert N is not None or not self.depends_on_size
        width = np.ones(()) if N is None else typical_width(np.asarray(N, dtype=np.float64) / density)
        time = 1.0 + self.after_ramp * (1.0 / self.speedup.at(width) - 1.0)
        return np.asarray(np.where(density == 1.0 - ACCELERATED_SPARSITY, time, 1.0) / density)


def device_cost(profile: Profile, pattern: Pattern, schedule: Schedule) -> Cost:
    """The cost of a pattern's sparsities on a device, trained with a ramp."""
    curve = speedup(profile, "training")
    if curve is None or not accelerates(pattern):
        return Cost(name=profile.name, saving=0.0)
    return MeasuredCost(name=profile.name, saving=0.0, after_ramp=1.0 - schedule.end, speedup=curve)


def accelerates(pattern: Pattern) -> bool:
    """Whether 2:4 is among a pattern's sparsities.

    >>> from sparseplan.pattern import parse_pattern
    >>> [accelerates(parse_pattern(word)) for word in ("2:4", "n:4", "4:8", "unstructured")]
    [True, True, False, False]
    """
    return pattern.group == _ACCELERATED_GROUP and ACCELERATED_SPARSITY in (pattern.sparsities or ())
