"""Pictures of plans; apart, since planning loads no picture's code."""

from collections.abc import Sequence
from pathlib import Path

from sparseplan.errors import PlanError
from sparseplan.plan.answer import Answer


def plot(answers: Sequence[Answer], path: Path, width: str) -> None:
    """Draw one answer with its curve, or several.

    Raises:
        PlanError: for one without a curve, or more than a picture holds.
    """
    if len(answers) > 1:
        from sparseplan.figures.plans_figure import draw_plans

        draw_plans(answers, path, width=width)
        return
    if answers[0].curve is None:
        raise PlanError("expected an answer with its curve, as `optimal` gives with `curve`, found none.")
    from sparseplan.figures.curve_figure import draw_curve

    draw_curve(answers[0], path, width=width)
