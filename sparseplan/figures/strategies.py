"""Strategies on one dense base, drawn: size multipliers, losses at equal training FLOPs, and what the law misses."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparseplan.common.intervals import bounds
from sparseplan.common.units import format_count, format_scientific
from sparseplan.cost.flops import flops_cost
from sparseplan.figures import palette
from sparseplan.figures.base import SMALL, TEXT, TITLE, WIDTHS, in_style, new_figure, save_figure
from sparseplan.figures.labels import wrapped
from sparseplan.fit.strategies import StrategiesFit, StrategyPart
from sparseplan.fit.strategy_answer import StrategyTable
from sparseplan.laws.forms.base import Theta
from sparseplan.runs.table import set_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
_POINTS = 60
_HEIGHT, _LEGEND_COLUMNS = 3.3, 4
_BAND = 0.12
_SPREAD = 0.09
"""How far beside a sparsity, in halvings of the density, the marks of several strategies stand."""


@in_style
def draw_strategies(found: StrategiesFit, table: StrategyTable, path: Path, title: str) -> None:
    """Draw the comparison as PNG, SVG or PDF by the file's suffix.

    Raises:
        PlanError: for another suffix.
    """
    save_figure(strategies_figure(found, table, title), path)


def strategies_figure(found: StrategiesFit, table: StrategyTable, title: str) -> "Figure":
    """The figure, as wide as a journal's page."""
    width = WIDTHS["page"]
    sets = [(part, family) for part in found.parts for family in part.fit.design.families]
    figure = new_figure(width, _HEIGHT + 0.18 * -(-len(sets) // _LEGEND_COLUMNS))
    multiplier, loss, missed = figure.subplots(1, 3)
    N, C = table.nonzero_params, table.train_flops
    for number, (part, family) in enumerate(sets):
        style = _style(number)
        _curve(multiplier, part, family, lambda theta, S: theta.size_multiplier(S, N), style)
        _errors(missed, part, family, (number - (len(sets) - 1) / 2) * _SPREAD, style)
        if part.schedule is None:
            continue
        cost = flops_cost("sparse", part.schedule, tokens_per_unit=part.law.tokens_per_unit)
        D = float(cost.data_for(C, 0.0, N))

        def above(theta: Theta, S: Array, cost: Any = cost, D: float = D) -> Array:
            return theta.loss(S, N, cost.data_for(C, S, N)) - theta.loss(0.0, N, D)

        _curve(loss, part, family, above, style)
    words = ("size multiplier m", f"loss above dense, nats\nN {format_count(N)}, {format_scientific(C)} FLOPs")
    for axes, label in zip((multiplier, loss, missed), (*words, "measured above law, %"), strict=True):
        axes.set_title(label, fontsize=TEXT)
        axes.set_xlabel("density of the sparse model", fontsize=TEXT)
        axes.tick_params(labelsize=SMALL)
        _halvings_axis(axes, max(float(part.fit.runs.sparsity.max()) for part in found.parts))
    loss.axhline(0.0, color=palette.INK, linewidth=0.6)
    missed.axhline(0.0, color=palette.INK, linewidth=0.6)
    handles, names = multiplier.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=_LEGEND_COLUMNS, frameon=False, fontsize=SMALL)
    figure.suptitle(wrapped(title, width - 0.2, TITLE, most=2, weight="bold"), fontsize=TITLE, weight="bold")
    return figure


def _style(number: int) -> dict[str, Any]:
    return {
        "color": palette.SERIES[number % len(palette.SERIES)],
        "linestyle": palette.LINES[number // len(palette.SERIES) % len(palette.LINES)],
        "marker": palette.MARKERS[number % len(palette.MARKERS)],
    }


def _curve(
    axes: "Axes", part: StrategyPart, family: str, asked: Callable[[Theta, Array], Array], style: dict[str, Any]
) -> None:
    """A quantity over the sparsities that were run, a mark at each of them, with the band of the draws."""
    levels = part.sparsities(family)
    S = -np.expm1(np.linspace(np.log1p(-levels[0]), np.log1p(-levels[-1]), _POINTS))
    theta = part.fit.coefficients(family)
    x = np.log2(1.0 / (1.0 - S))
    if part.drawn is not None:
        drawn = asked(part.fit.coefficients(family, part.drawn.theta).expanded(), S)
        low, high = zip(*(bounds(drawn[:, index]) for index in range(len(S))), strict=True)
        axes.fill_between(x, low, high, color=style["color"], alpha=_BAND, linewidth=0)
    at = [int(np.argmin(np.abs(S - level))) for level in levels]
    axes.plot(
        x, asked(theta, S), markevery=at, markersize=3.5, linewidth=1.1, label=set_name(part.name, family), **style
    )


def _errors(axes: "Axes", part: StrategyPart, family: str, beside: float, style: dict[str, Any]) -> None:
    """By how much each run lies above the law, beside its sparsity."""
    runs, mine = part.fit.runs, part.rows_of(family)
    error = 100.0 * (runs.loss[mine] / part.fit.predicted[mine] - 1.0)
    x = np.log2(1.0 / (1.0 - runs.sparsity[mine])) + beside
    axes.plot(x, error, linestyle="none", marker=style["marker"], color=style["color"], markersize=2.5)


def _halvings_axis(axes: "Axes", highest: float) -> None:
    """Halvings of the density along x, named by the density."""
    most = int(np.ceil(np.log2(1.0 / (1.0 - highest))))
    axes.set_xticks(range(1, most + 1), [f"1/{2**k}" for k in range(1, most + 1)])
