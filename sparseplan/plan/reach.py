"""Refusals of what no run can do: a loss below the floor of the law or of the givens, a demand above the budget."""

import numpy as np

from sparseplan.common.units import format_count, format_loss, format_scientific
from sparseplan.errors import PlanError
from sparseplan.laws.law import Law
from sparseplan.plan.question import Question, lowest_reducible
from sparseplan.plan.sides import Planned, Sides


def require_reached(law: Law, sides: Sides, question: Question, point: Planned) -> None:
    """Refuse a loss that no budget reaches.

    Raises:
        PlanError: with the loss that runs come near to, however much they cost.
    """
    if np.isfinite(point.best.spent) and point.best.spent > 0.0:
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


def require_paid(question: Question, point: Planned) -> None:
    """Refuse a total that inference alone exceeds.

    Raises:
        PlanError: naming both.
    """
    inference = question.inference
    if inference is None or question.train_flops is None or np.isfinite(point.best.spent):
        return
    raise PlanError(
        f"`flops`: a total of {format_scientific(float(question.train_flops))} does not pay for the inference of "
        f"{format_count(float(inference.tokens))} tokens at this size; raise it, or lower `inference_tokens`."
    )


def _asked(sides: Sides, question: Question) -> Sides:
    return Sides(sides.dense, sides.dense) if question.only_dense else sides


def _limits(question: Question) -> str:
    """The givens that end the runs, as arguments."""
    sizes, data = ("nonzero_params", "dense_params", "max_dense_params"), ("data_seen", "max_data")
    names = (*sizes, *data, "tokens_per_param", "unique_data")
    words = {"nonzero_params": "params", "data_seen": "data", "max_dense_params": "max_memory"}
    given = [f"`{words.get(name, name)}`" for name in names if getattr(question, name) is not None]
    return f"the given {' and '.join(given)}" if given else "these givens"
