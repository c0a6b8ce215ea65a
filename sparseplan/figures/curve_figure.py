"""The figure of one plan: what every sparsity reaches, with the plan on it, and below how far that is from dense."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparseplan.common.units import format_sparsity
from sparseplan.figures import palette, plan_words
from sparseplan.figures.base import WIDTHS, in_style, new_figure, save_figure
from sparseplan.figures.framed import arranged
from sparseplan.figures.ticks import log_axis
from sparseplan.plan.answer import Answer
from sparseplan.plan.answer_facts import loss_word, paid, size_is_free

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHTS = (1.9, 1.25)


@in_style
def draw_curve(answer: Answer, path: Path, *, width: str = "page") -> None:
    """Draw an answer that has a curve as .png, .svg or .pdf, as wide as one of `base.WIDTHS`."""
    save_figure(curve_figure(answer, width), path)


def curve_figure(answer: Answer, width_name: str) -> "Figure":
    """Value above, gap to dense below, on one axis of sparsity."""
    curve = answer.curve
    assert curve is not None, "answers that are drawn are asked for with their curve"
    figure = new_figure(WIDTHS[width_name], 1.0)
    figure.set_layout_engine("none")
    above, below = (figure.add_axes((0.1, 0.1, 0.8, 0.8)) for _ in _HEIGHTS)
    entries = _line(above, curve.sparsity, curve.value, curve.low, curve.high)
    _line(below, curve.sparsity, curve.gap, curve.gap_low, curve.gap_high)
    priced = curve.of == "flops"
    word = plan_words.spent_word(answer)
    above.set_ylabel(f"{word} for this loss" if priced else f"{loss_word(answer)} (nats)")
    below.set_ylabel("over dense" if priced else "minus dense")
    if priced:
        log_axis(above, "y", most=4)
    entries |= _plan(above, answer)
    rest = 1.0 if priced else 0.0
    entries["dense"] = below.axhline(rest, color="0.45", linewidth=0.9, linestyle="--")
    for panel in (above, below):
        panel.margins(x=0.02)
        panel.grid(visible=True, axis="y", linewidth=0.4, color="0.88")
        panel.xaxis.set_major_formatter(lambda value, _: format_sparsity(round(value, 6)))
    above.tick_params(labelbottom=False)
    below.set_xlabel("sparsity")
    below.set_xlim(above.get_xlim())
    title = f"What every sparsity {'costs for' if priced else 'reaches with'} {plan_words.goal(answer)}"
    figure.align_ylabels([above, below])
    return arranged(
        figure,
        [above, below],
        heights=_HEIGHTS,
        title=title,
        words=plan_words.plan_sentence(answer),
        caption=_caption(answer),
        entries=entries,
        left=0.74,
    )


def _line(
    axes: "Axes",
    x: Sequence[float],
    values: Sequence[float | None],
    low: Sequence[float | None] | None,
    high: Sequence[float | None] | None,
) -> dict[str, Any]:
    S, y = np.array(x), _numbers(values)
    few = len(S) < 20
    style: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linestyle": ":"} if few else {}
    color = palette.SERIES[2]
    entries: dict[str, Any] = {}
    if low is not None and high is not None:
        a, b = _numbers(low), _numbers(high)
        if few:
            axes.vlines(S, a, b, color=color, linewidth=1.0)
        else:
            entries["90% of the law's draws"] = axes.fill_between(S, a, b, color=color, alpha=0.18, linewidth=0)
    (line,) = axes.plot(S, y, color=color, linewidth=1.3, **style)
    return {"law": line, **entries}


def _plan(axes: "Axes", answer: Answer) -> dict[str, Any]:
    plan = answer.plan
    curve = answer.curve
    assert curve is not None
    y = plan.loss if curve.of == "loss" else paid(answer, plan)
    entries: dict[str, Any] = {}
    spread = answer.intervals.sparsity if answer.intervals else None
    if spread is not None and spread[0] < spread[1]:
        bar = axes.errorbar(
            [plan.sparsity],
            [y],
            xerr=[[plan.sparsity - min(spread[0], plan.sparsity)], [max(spread[1], plan.sparsity) - plan.sparsity]],
            color=palette.ACCENT,
            linewidth=1.0,
            capsize=2.5,
            zorder=4,
        )
        entries["90% interval of the best sparsity"] = bar.lines[2][0]
    (star,) = axes.plot(
        [plan.sparsity],
        [y],
        marker="*",
        markersize=10,
        color=palette.ACCENT,
        markeredgecolor="white",
        linestyle="none",
        zorder=5,
    )
    return {"plan": star, **entries}


def _caption(answer: Answer) -> str:
    curve = answer.curve
    assert curve is not None
    each = "with size and data the best for it" if size_is_free(answer) else "at the size that is given"
    said = [f"Each point is the best run of its sparsity, {each}.", *plan_words.facts(answer)]
    if curve.low is not None and len(curve.sparsity) < 20:
        said.append("Bars: 90% of the law's draws.")
    return " ".join(said)


def _numbers(values: Sequence[float | None]) -> Any:
    return np.array([np.nan if one is None else one for one in values])
