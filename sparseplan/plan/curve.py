"""What every allowed sparsity reaches under a question's givens: the loss, or what a loss costs, with its interval."""

from typing import Literal

import numpy as np
from msgspec import Struct

from sparseplan.common.intervals import LEVEL
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array
from sparseplan.plan.question import Question, plan_at
from sparseplan.plan.sides import Sides

_POINTS = 61


class Curve(Struct, frozen=True, kw_only=True):
    """The best run of each sparsity, and how it compares with the dense one.

    Attributes:
        of: What `value` is: the loss in nats, or the FLOPs that reach the loss asked for, inference at its weight.
        sparsity: Ascending, with 0; a pattern's own where it makes a few.
        value: By sparsity; None where no run does it.
        low, high: The ends of the central 90 % of the law's draws; None without draws.
        gap: `value` minus that of the dense run where it is a loss, over it where it is FLOPs.
        gap_low, gap_high: Likewise, of each draw's own gap.
    """

    of: Literal["loss", "flops"]
    sparsity: list[float]
    value: list[float | None]
    gap: list[float | None]
    low: list[float | None] | None
    high: list[float | None] | None
    gap_low: list[float | None] | None
    gap_high: list[float | None] | None


def sparsity_curve(sides: Sides, draws: Sides | None, question: Question) -> Curve:
    """The curve for what is made lowest, with the interval of the draws."""
    S = _sparsities(question)
    value, gap = _values(sides, question, S)
    low = high = gap_low = gap_high = None
    if draws is not None:
        # Draws in which no run reaches a loss count as infinitely dear.
        (low, high), (gap_low, gap_high) = (_ends(table) for table in _values(draws, question, S))
    return Curve(
        of="loss" if question.loss is None else "flops",
        sparsity=S.tolist(),
        value=_finite(value),
        gap=_finite(gap),
        low=None if low is None else _finite(low),
        high=None if high is None else _finite(high),
        gap_low=None if gap_low is None else _finite(gap_low),
        gap_high=None if gap_high is None else _finite(gap_high),
    )


def _sparsities(question: Question) -> Array:
    made = question.pattern.sparsities
    if made is not None:
        return np.array(sorted({0.0, *(S for S in made if question.cap >= S)}))
    # Even steps of the logarithm of the density: fine where it matters.
    return np.append(0.0, -np.expm1(np.linspace(0.0, np.log1p(-question.cap), _POINTS)[1:]))


def _values(sides: Sides, question: Question, S: Array) -> tuple[Array, Array]:
    """Values and gaps, shape (n,), or (K, n) for draws."""
    sparse, dense = _value(sides.sparse, question, S), _value(sides.dense, question, np.zeros(1))
    value = np.where(S > 0.0, sparse, dense)
    with np.errstate(all="ignore"):
        return value, value - dense if question.loss is None else value / dense


def _value(theta: Theta, question: Question, S: Array) -> Array:
    plan = plan_at(theta.expanded(), question.expanded(), S)
    return np.broadcast_to(
        plan.loss if question.loss is None else plan.spent, np.broadcast_shapes(*map(np.shape, plan))
    )


def _ends(table: Array) -> tuple[Array, Array]:
    rows = np.sort(np.where(np.isnan(table), np.inf, table), axis=0)
    at = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = (rows[round(share * (len(rows) - 1))] for share in at)
    return low, high


def _finite(values: Array) -> list[float | None]:
    return [float(one) if np.isfinite(one) else None for one in np.ravel(values)]
