"""The figure of several plans: best sparsity and gain over the budget, or side by side where there is one budget."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparseplan.errors import PlanError
from sparseplan.figures import palette, plan_words
from sparseplan.figures.base import TEXT, WIDTHS, in_style, new_figure, save_figure
from sparseplan.figures.framed import arranged
from sparseplan.figures.labels import height_of, text_width, wrapped
from sparseplan.figures.map_words import cost_words
from sparseplan.figures.ticks import log_axis, round_numbers
from sparseplan.plan.answer import Answer
from sparseplan.plan.answer_facts import budget_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = len(palette.SERIES)
MOST_ROWS = 40
_HEIGHTS = (1.9, 1.7)
_ROW = 0.21
_TALL, _WIDE = 0.16, 0.42
"""Inches between labels that stand on each other, and beside each other."""


class _Point(NamedTuple):
    """A plan as it is drawn: percent of sparsity and gain, each with its interval."""

    budget: float
    sparsity: tuple[float, float, float]
    gain: tuple[float, float, float]
    outside: bool


@in_style
def draw_plans(answers: Sequence[Answer], path: Path, *, width: str = "page") -> None:
    """Draw several answers as .png, .svg or .pdf, as wide as one of `base.WIDTHS`.

    Raises:
        PlanError: for more lines than colours tell apart, or more rows than a page has.
    """
    save_figure(plans_figure(answers, width), path)


def plans_figure(answers: Sequence[Answer], width_name: str) -> "Figure":
    """A line for each law, cost and pattern over the budgets; with one budget, a row for each."""
    lines: dict[str, list[_Point]] = {}
    for answer in answers:
        lines.setdefault(_label(answer, answers), []).append(_point(answer))
    several = len({budget_of(one) for one in answers}) > 1
    most, kind = (MOST_LINES, "lines") if several else (MOST_ROWS, "rows")
    if len(lines) > most:
        raise PlanError(f"`plot`: expected at most {most} {kind} in a picture, found {len(lines)}; ask for fewer.")
    figure = new_figure(WIDTHS[width_name], 1.0)
    figure.set_layout_engine("none")
    panels = [figure.add_axes((0.1, 0.1, 0.8, 0.8)) for _ in range(2)]
    width = WIDTHS[width_name]
    left = 0.62 if several else min(max(text_width(label, TEXT) for label in lines) + 0.2, 0.45 * width)
    inches = _HEIGHTS[1] if several else (width - left) / 2 - 0.2
    labels = list(lines) if several else [wrapped(label, left - 0.12, TEXT, most=4) for label in lines]
    entries = _over_budgets(panels, lines, answers) if several else _in_rows(panels, labels, lines, inches)
    high = sum(_ROW + height_of(label, TEXT) - height_of("x", TEXT) for label in labels) + 0.6 * _ROW
    title = f"Best sparsity and what it gains{'' if several else ', ' + plan_words.goal(answers[0])}"
    return arranged(
        figure,
        panels,
        heights=_HEIGHTS if several else (high,),
        title=title,
        words=_shared(answers),
        caption=_caption(answers, several=several),
        entries=entries,
        left=left,
        across=not several,
    )


def _label(answer: Answer, answers: Sequence[Answer]) -> str:
    """What tells a plan's line from the others."""
    words = [
        ("law", answer.law.name, {one.law.name for one in answers}),
        ("cost", _cost(answer), {_cost(one) for one in answers}),
        ("pattern", answer.pattern, {one.pattern for one in answers}),
    ]
    return ", ".join(word for _, word, all_of_them in words if len(all_of_them) > 1) or answer.law.name


def _cost(answer: Answer) -> str:
    return {"sparse": "zeros free", "dense": "zeros at full price"}.get(answer.cost, answer.cost)


def _point(answer: Answer) -> _Point:
    intervals, ratio = answer.intervals, answer.comparison.compute_ratio_any_size
    S = answer.plan.sparsity
    low, high = intervals.sparsity if intervals else (S, S)
    gain = 1 / ratio if ratio > 0 else np.nan
    most, least = intervals.compute_ratio_any_size if intervals else (ratio, ratio)
    spread = (1 / least if least > 0 else np.nan, 1 / most if most > 0 else np.nan)
    return _Point(
        budget=budget_of(answer) or np.nan,
        sparsity=(100 * S, 100 * low, 100 * high),
        gain=(gain, *spread),
        outside=any(one.of == "plan" for one in answer.extrapolation),
    )


def _over_budgets(panels: list["Axes"], lines: dict[str, list[_Point]], answers: Sequence[Answer]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    panels[1].set_yscale("log")  # before anything is drawn: limits are found on the scale
    for index, (label, found) in enumerate(lines.items()):
        points = sorted(found, key=lambda one: one.budget)
        x, inside = np.array([one.budget for one in points]), np.array([not one.outside for one in points])
        color = palette.SERIES[index]
        for panel, values in zip(panels, zip(*((one.sparsity, one.gain) for one in points), strict=True), strict=True):
            y, low, high = np.array(values).T
            if np.any(high > low):
                panel.fill_between(x, low, high, color=color, alpha=0.13, linewidth=0)
            style: dict[str, Any] = {"color": color, "linewidth": 1.2, "linestyle": palette.LINES[index]}
            (line,) = panel.plot(x, y, marker=palette.MARKERS[index], markersize=3.6, **style)
            line.set_markevery(np.flatnonzero(inside).tolist())
            mark: dict[str, Any] = {"marker": palette.MARKERS[index], "markersize": 3.6, "linestyle": "none"}
            mark |= {"markerfacecolor": "white", "markeredgecolor": color, "markeredgewidth": 0.8}
            panel.plot(x[~inside], y[~inside], **mark)
        entries[label] = line
    above, below = panels
    _sparsity_axis(above, "y")
    above.set_ylabel("best sparsity (%)")
    below.axhline(1.0, color="0.45", linewidth=0.8, linestyle="--")
    below.set_ylabel("gain")
    budgets = [point.budget for points in lines.values() for point in points]
    beside = (max(budgets) / min(budgets)) ** 0.02
    ends = (min(budgets) / beside, max(budgets) * beside)
    for panel in panels:
        panel.grid(visible=True, axis="y", linewidth=0.4, color="0.88")
        panel.set_xlim(ends[0], ends[1])
        log_axis(panel, "x", most=8)
    _gain_axis(below, "y", _TALL / _HEIGHTS[1])
    above.tick_params(labelbottom=False)
    below.set_xlabel(plan_words.spent_word(answers[0]))
    below.figure.align_ylabels(panels)
    return entries if len(entries) > 1 else {}


def _in_rows(panels: list["Axes"], labels: list[str], lines: dict[str, list[_Point]], inches: float) -> dict[str, Any]:
    from matplotlib.ticker import MaxNLocator

    rows = [points[0] for points in lines.values()]
    panels[1].set_xscale("log")
    at = np.arange(len(rows))[::-1]
    for panel, name in zip(panels, ("sparsity", "gain"), strict=True):
        for y, row in zip(at, rows, strict=True):
            value, low, high = getattr(row, name)
            color = palette.SERIES[2]
            if high > low:
                panel.plot([low, high], [y, y], color=color, linewidth=2.6, alpha=0.3, solid_capstyle="butt")
            panel.plot(
                [value], [y], marker="o", markersize=4.2, color=color, markerfacecolor="white" if row.outside else color
            )
        panel.set_ylim(-0.8, len(rows) - 0.2)
        panel.set_yticks(at, labels if name == "sparsity" else [""] * len(rows))
        panel.tick_params(axis="y", length=0)
        panel.grid(visible=True, axis="x", linewidth=0.4, color="0.88")
    _sparsity_axis(panels[0], "x")
    panels[0].set_xlabel("best sparsity (%)")
    panels[1].axvline(1.0, color="0.45", linewidth=0.8, linestyle="--")
    panels[0].xaxis.set_major_locator(MaxNLocator(max(2, int(inches / _WIDE))))
    _gain_axis(panels[1], "x", _WIDE / inches)
    panels[1].set_xlabel("gain")
    return {}


def _sparsity_axis(axes: "Axes", which: str) -> None:
    low, high = getattr(axes, f"get_{which}lim")()
    getattr(axes, f"set_{which}lim")(max(low, -2.0), min(high, 102.0))


def _gain_axis(axes: "Axes", which: str, apart: float) -> None:
    """Logarithmic, with ratios as labels at least `apart` of it from each other, and never too narrow for any."""
    from matplotlib.ticker import FixedLocator

    low, high = getattr(axes, f"get_{which}lim")()
    middle, half = np.sqrt(low * high), max(np.sqrt(high / low), 1.15)
    low, high = middle / half, middle * half
    getattr(axes, f"set_{which}lim")(low, high)
    log_axis(axes, which, most=6)
    axis = getattr(axes, f"{which}axis")
    ticks = [1.0] if low < 1.0 < high else []
    for value in round_numbers(low, high, 6):
        if all(abs(np.log(value / other)) > apart * np.log(high / low) for other in ticks):
            ticks.append(value)
    axis.set_major_locator(FixedLocator(sorted(ticks)))
    axis.set_major_formatter(lambda value, _: f"{value:g}x")


def _shared(answers: Sequence[Answer]) -> str:
    """What all plans share."""
    first = answers[0]
    parts = []
    if len({one.law.name for one in answers}) == 1:
        parts.append(f"law {first.law.name}")
    if len({one.cost for one in answers}) == 1:
        parts.append(cost_words(first.cost))
    if len({one.pattern for one in answers}) == 1:
        parts.append(plan_words.pattern_words(first.pattern))
    parts.append(plan_words.givens(first))
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _caption(answers: Sequence[Answer], *, several: bool) -> str:
    said = ["Gain: compute that the best dense model of any size needs for the plan's loss, over the plan's."]
    if any(one.intervals for one in answers):
        said.append(f"{'Bands' if several else 'Bars'}: 90% intervals over each law's draws.")
    if any(one.intervals is None for one in answers):
        without = dict.fromkeys(one.law.name for one in answers if one.intervals is None)
        said.append(f"No intervals: {', '.join(without)}.")
    if any(one.of == "plan" for answer in answers for one in answer.extrapolation):
        said.append("White marks: the plan lies outside what the law's runs covered.")
    if any(answer.comparison.compute_ratio_any_size <= 0 for answer in answers):
        said.append("No mark for the gain: no compute of a dense model is enough.")
    return " ".join([*said, *plan_words.law_facts(answers)])
