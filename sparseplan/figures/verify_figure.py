"""How a law did on plans of one budget outside its fit: predicted against measured losses, and the two orders."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparseplan.common.intervals import Bounds
from sparseplan.common.units import format_count, format_sparsity
from sparseplan.figures import palette
from sparseplan.figures.base import SMALL, TITLE, WIDTHS, in_style, new_figure, save_figure
from sparseplan.figures.labels import wrapped
from sparseplan.figures.ticks import log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS = {"plan": "*", "dense": "s", "rival": "o"}
_WORDS = {"plan": "recommended plan", "dense": "best dense plan", "rival": "rival"}
_HEIGHT_PER_PLAN, _ROOM = 0.16, 1.6


class PlanDrawn(NamedTuple):
    """A plan: its kind (plan, dense, rival), sparsity, dense size, predicted loss with its interval, measured loss."""

    kind: str
    sparsity: float
    dense_params: float
    predicted: float
    interval: Bounds | None
    measured: float

    @property
    def label(self) -> str:
        """Its sparsity and dense size."""
        sparse = f"{format_sparsity(self.sparsity)} of " if self.sparsity else "dense "
        return f"{sparse}{format_count(self.dense_params)}"


@in_style
def draw_plans(plans: Sequence[PlanDrawn], path: Path, *, title: str, level: float) -> None:
    """Draw plans that were measured, by the suffix of the file.

    Raises:
        PlanError: for a suffix that is no picture's.
    """
    figure = new_figure(WIDTHS["page"], max(2.8, _ROOM + _HEIGHT_PER_PLAN * len(plans)))
    losses, order = figure.subplots(1, 2, width_ratios=(1.0, 1.15))
    _losses(losses, plans, level)
    _orders(order, plans)
    handles, labels = losses.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    words = wrapped(title, figure.get_figwidth() - 0.3, TITLE, most=2, weight="bold")
    figure.suptitle(words, fontsize=TITLE, weight="bold")
    save_figure(figure, path)


def _style(plan: PlanDrawn) -> dict[str, Any]:
    size = 9.0 if plan.kind == "plan" else 5.0
    return {
        "marker": _MARKS[plan.kind],
        "markersize": size,
        "color": palette.sparsity_color(plan.sparsity),
        "markeredgecolor": palette.INK,
        "markeredgewidth": 0.6,
    }


def _losses(axes: "Axes", plans: Sequence[PlanDrawn], level: float) -> None:
    shown: set[str] = set()
    for plan in plans:
        label = None if plan.kind in shown else _WORDS[plan.kind]
        shown.add(plan.kind)
        if plan.interval is not None:
            axes.plot([plan.measured] * 2, plan.interval, color="0.6", linewidth=0.9, zorder=1)
        axes.plot(plan.measured, plan.predicted, linestyle="", label=label, zorder=3, **_style(plan))
    values = [plan.measured for plan in plans] + [plan.predicted for plan in plans]
    ends = [min(values) / 1.01, max(values) * 1.01]
    axes.plot(ends, ends, color="black", linewidth=0.8, zorder=0)
    log_axis(axes, "xy", most=6)
    axes.set_xlabel("measured loss (nats)")
    axes.set_ylabel("predicted loss (nats)")
    bars = f", bars {100 * level:.0f}% of measured runs" if any(plan.interval is not None for plan in plans) else ""
    axes.set_title(f"Losses{bars}")


def _orders(axes: "Axes", plans: Sequence[PlanDrawn]) -> None:
    """A line per plan from its predicted to its measured place, the best at the top."""
    count = len(plans)
    places = [np.argsort(np.argsort([getattr(plan, name) for plan in plans])) for name in ("predicted", "measured")]
    for plan, predicted, measured in zip(plans, *places, strict=True):
        own = {"plan": palette.ACCENT, "dense": palette.INK}.get(plan.kind, "0.65")
        axes.plot([0, 1], [predicted, measured], color=own, linewidth=1.8 if plan.kind == "plan" else 1.0, zorder=1)
        axes.plot([0, 1], [predicted, measured], linestyle="", zorder=3, **_style(plan))
        for x, place, loss, side in ((0, predicted, plan.predicted, "right"), (1, measured, plan.measured, "left")):
            text = f"{plan.label}  {loss:.3f}" if side == "right" else f"{loss:.3f}  {plan.label}"
            axes.annotate(
                text,
                (x, place),
                xytext=(-8 if side == "right" else 8, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=SMALL,
            )
    axes.set_xlim(-1.25, 2.25)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks([0, 1], ["predicted", "measured"])
    axes.set_title("Order, the lowest loss at the top")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
