"""How far single runs lie off a law, from what its file says of its fit."""

import math

from msgspec import Struct

from sparseplan.laws.forms.budget import Array
from sparseplan.laws.law import Law, form_of, members

ASSUMED = 0.005
"""Relative scatter where a law doesn't say how it was fitted: about what another seed changes."""


class Scatter(Struct, frozen=True, kw_only=True):
    """The standard deviation of a run's loss about the law.

    Attributes:
        value: Relative, or in nats where the fit's residuals were plain.
        relative: Which of the two.
        source: given (by the user), fit (from the law's file) or assumed.
    """

    value: float
    relative: bool
    source: str

    def of(self, loss: Array) -> Array:
        """In nats, for runs of some losses."""
        return self.value * loss if self.relative else self.value + 0.0 * loss


def scatter_of(law: Law, given: float | None = None) -> Scatter:
    """The scatter that the law's fit measured of its runs, their own and what they share.

    `given`, relative, comes first. Without a measurement it is that of normal residuals that would give the law's
    objective.
    """
    if given is not None:
        return Scatter(value=given, relative=True, source="given")
    if law.prediction is not None:
        return Scatter(value=float(law.prediction.deviation(0.0)), relative=True, source="fit")
    facts = law.fit
    objective, runs = _number(facts.get("objective")), _number(facts.get("runs"))
    delta = {"huber": _number(facts.get("huber_delta")), "squared": math.inf}.get(facts.get("loss", ""))
    if objective is None or runs is None or delta is None:
        return Scatter(value=ASSUMED, relative=True, source="assumed")
    free = max(len(form_of(one).coefficients) for one in members(law))
    slack = math.sqrt(runs / max(runs - free, 1))
    return Scatter(
        value=slack * _normal_scatter(objective, delta),
        relative=facts.get("residual", "log") == "log",
        source="fit",
    )


def _number(value: object) -> float | None:
    """A number above 0 from a law's free-form facts; None for anything else."""
    real = isinstance(value, float | int) and math.isfinite(value) and value > 0
    return float(value) if real and isinstance(value, float | int) else None


def mean_huber(sigma: float, delta: float) -> float:
    """The mean Huber penalty of normal residuals.

    >>> round(mean_huber(0.1, 1e9), 6), round(mean_huber(1.0, 1e-9) / 1e-9, 6)
    (0.005, 0.797885)
    """
    t = delta / sigma
    tail = 0.5 * math.erfc(t / math.sqrt(2.0))  # P(z > t)
    density = math.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)
    inside = 0.5 * sigma**2 * (1.0 - 2.0 * tail - 2.0 * t * density)
    outside = 2.0 * delta * sigma * density - delta**2 * tail
    return inside + outside


def _normal_scatter(objective: float, delta: float) -> float:
    """The sigma of `mean_huber` = objective, by bisection of its logarithm: the mean grows with sigma."""
    if math.isinf(delta):
        return math.sqrt(2.0 * objective)
    # H lies below r^2 / 2 and above delta |r| - delta^2 / 2, which bracket the sigma.
    low, high = math.sqrt(2.0 * objective), math.sqrt(math.pi / 2.0) * (objective / delta + delta)
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if mean_huber(middle, delta) < objective else (low, middle)
    return math.sqrt(low * high)
