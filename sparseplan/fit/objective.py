"""What is minimised, over which runs: an objective, and the problem that a solver gets.

    objective = sum_i w_i H(r_i),   r = log L_predicted - log L  (or the plain difference),   w_i = 1 / n in a fit

With a Huber loss whose delta is small the objective is close to the mean absolute residual times delta, the paper's
choice for T5: half of its curvature is in the few runs inside delta.

Source: Frantar et al. 2023, arXiv:2309.08520.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparseplan.fit.penalties import Huber, Penalty
from sparseplan.laws.forms.fitting.coordinates import Array, Design
from sparseplan.laws.forms.fitting.prior import Prior

Residual = Literal["log", "plain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """The mean penalty of log or plain residuals."""

    residual: Residual = "log"
    penalty: Penalty = field(default_factory=Huber)

    def residuals(self, predicted: Array, measured: Array) -> Array:
        """Residuals r; the arguments broadcast."""
        return np.asarray(np.log(predicted / measured) if self.residual == "log" else predicted - measured)

    def apply(self, predicted: Array, residual: Array) -> Array:
        """The loss that was measured if `predicted` leaves this residual: the inverse of `residuals`."""
        return np.asarray(predicted * np.exp(-residual) if self.residual == "log" else predicted - residual)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Problem:
    """B minimisations that share their runs' places and may differ in measured losses and weights.

    Attributes:
        objective: what to minimise.
        design: where the runs are, n of them.
        free: the Q parameters to vary; the others keep the value of the point where they are evaluated.
        measured: losses, shape (n,), or (B, n) where each problem has its own.
        weights: weight of each run, shape (n,) or (B, n); they add up to 1.
        prior: what is added to the objective for coefficients unlike those of other setups; None for nothing.
    """

    objective: Objective
    design: Design
    free: tuple[int, ...]
    measured: Array
    weights: Array
    prior: Prior | None = None

    @classmethod
    def plain(cls, objective: Objective, design: Design, free: tuple[int, ...], measured: Array) -> "Problem":
        """Every run counts alike."""
        n = len(design.x)
        return cls(objective=objective, design=design, free=free, measured=measured, weights=np.full(n, 1.0 / n))

    @property
    def slot(self) -> dict[int, int]:
        """Position of each free parameter in a gradient."""
        return {parameter: position for position, parameter in enumerate(self.free)}

    @property
    def columns(self) -> NDArray[np.intp]:
        """The free parameters as an index array."""
        return np.array(self.free, dtype=np.intp)

    def take(self, rows: slice | NDArray[Any]) -> "Problem":
        """Some of the B problems; what they share stays shared."""
        measured, weights = (own if own.ndim == 1 else own[rows] for own in (self.measured, self.weights))
        prior = None if self.prior is None else self.prior.take(rows)
        return replace(self, measured=measured, weights=weights, prior=prior)
