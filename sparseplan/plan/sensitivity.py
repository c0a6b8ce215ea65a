"""How far a plan's numbers may be rounded: what costs less than a per cent of the compute."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from msgspec import Struct

from sparseplan.common.intervals import Bounds
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array
from sparseplan.plan.question import Plans, Question, plan_at
from sparseplan.plan.runs import run_for_loss
from sparseplan.plan.sides import Sides

SHARE = 0.01
_REACH = 7.0  # of ln N, on either side
_POINTS, _ROUNDS = 65, 5


class Sensitivity(Struct, frozen=True, kw_only=True):
    """The ends between which one number may lie for `share` more compute at the plan's loss; None for what is given.

    Attributes:
        share: Of the plan's compute, inference at its price included.
        sparsity: Size and data as good as they can be for it; not above the highest sparsity allowed.
        nonzero_params: At the plan's sparsity, the data following from the loss.
        data_seen: Likewise, the size following: the other ends of the same runs.
    """

    share: float
    sparsity: Bounds | None
    nonzero_params: Bounds | None
    data_seen: Bounds | None


def sensitivity(sides: Sides, question: Question, plan: Plans) -> Sensitivity:
    """How far each number of a plan may move alone."""
    theta: Theta = sides.sparse if plan.sparsity > 0 else sides.dense
    reach = replace(question, train_flops=None, loss=float(plan.loss))
    allowed = (1.0 + SHARE) * float(plan.spent)
    S = float(plan.sparsity)
    sparsity = params = data = None
    if question.pattern.sparsities is None and not question.only_dense:
        # In ln(1 - S), as everywhere; near S = 1 a step of S is a large one.
        x = np.log1p(-S)
        low = _farthest(lambda x: _spent(sides.sparse, reach, -np.expm1(x)), x, 0.0, allowed)
        high = _farthest(
            lambda x: _spent(sides.sparse, reach, -np.expm1(x)), x, min(x, np.log1p(-question.max_sparsity)), allowed
        )
        sparsity = (0.0 - float(np.expm1(low)), 0.0 - float(np.expm1(high)))
    if question.size_is_free and question.data_seen is None and question.tokens_per_param is None:
        y = float(np.log(plan.nonzero_params))

        def spent(y: Array) -> Array:
            return _spent(theta, replace(reach, nonzero_params=np.exp(y)), np.asarray(S))

        ends = [np.exp(_farthest(spent, y, y + end, allowed)) for end in (-_REACH, _REACH)]
        params = (float(ends[0]), float(ends[1]))
        runs = [run_for_loss(theta, replace(reach, nonzero_params=N), S, plan.reducible) for N in params]
        data = (float(runs[1][1]), float(runs[0][1]))
    return Sensitivity(share=SHARE, sparsity=sparsity, nonzero_params=params, data_seen=data)


def _spent(theta: Theta, question: Question, S: Array) -> Array:
    value = plan_at(theta, question, S).spent
    return np.where(np.isnan(value), np.inf, value)


def _farthest(spent: Callable[[Array], Array], start: float, end: float, allowed: float) -> float:
    """The point farthest from the start, towards an end, up to which no more than allowed is spent.

    Each round looks at some points between the last one inside and the first one outside.
    """
    inside, outside = start, end
    for _ in range(_ROUNDS):
        points = np.linspace(inside, outside, _POINTS)
        beyond = np.flatnonzero(spent(points[1:]) > allowed)
        if not len(beyond):
            return outside
        inside, outside = float(points[beyond[0]]), float(points[beyond[0] + 1])
    return inside
