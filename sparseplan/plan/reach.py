"""Refusals of a loss that no run reaches: the floor of the law, or of the runs that the givens allow."""

import numpy as np

from sparseplan.common.units import format_loss
from sparseplan.errors import PlanError
from sparseplan.laws.law import Law
from sparseplan.plan.question import Question, lowest_reducible
from sparseplan.plan.sides import Planned, Sides


def require_reached(law: Law, sides: Sides, question: Question, point: Planned) -> None:
    """Refuse a loss that no budget reaches.

    Raises:
        PlanError: with the loss that runs come near to, however much they cost.
    """
    if np.isfinite(point.best.total_flops) and point.best.total_flops > 0.0:
        return
    assert question.loss is not None
    wanted, floor = format_loss(float(question.loss)), float(sides.dense.floor)
    if float(question.loss) <= floor:
        raise PlanError(
            f"`loss`: expected a loss above {format_loss(floor)}, the floor of the law {law.name}, "
            f"which no size and no data goes below; found {wanted}."
        )
    nearest = floor + min(float(lowest_reducible(theta, question)) for theta in _asked(sides, question))
    raise PlanError(
        f"`loss`: no compute reaches {wanted} with {_limits(question)}: these runs end at {format_loss(nearest)}; "
        f"the floor of the law {law.name} is {format_loss(floor)}."
    )


def _asked(sides: Sides, question: Question) -> Sides:
    return Sides(sides.dense, sides.dense) if question.only_dense else sides


def _limits(question: Question) -> str:
    """The givens that end the runs, as arguments."""
    names = ("nonzero_params", "dense_params", "data_seen", "max_data", "tokens_per_param", "unique_data")
    words = {"nonzero_params": "params", "data_seen": "data"}
    given = [f"`{words.get(name, name)}`" for name in names if getattr(question, name) is not None]
    return f"the given {' and '.join(given)}" if given else "these givens"
