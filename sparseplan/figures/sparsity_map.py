"""One panel of the best sparsity over sizes and budgets: filled, faded where extrapolated, runs and plan on it."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparseplan.common.units import format_scientific, format_sparsity
from sparseplan.figures import map_words, palette
from sparseplan.figures.base import SMALL, TEXT
from sparseplan.figures.labels import Labels, polylines
from sparseplan.plan.sparsity_map import SparsityMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
LEVELS = (0.25, 0.5, 0.75, 0.875, 0.9375)
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_BANDS_PER_HALVING = 8
_SPECK = 0.05
_BEGINS = 1e-3  # in halvings of the density: where colour begins


def fill_sparsity_map(axes: "Axes", chart: SparsityMap, *, detailed: bool = True) -> dict[str, Any]:
    """Draw the map into a panel without a word in it; returns what a legend shows, by label.

    `label_sparsity_map` writes the words, once the panel has its final place. `detailed` says in the legend what the
    plan is.
    """
    from matplotlib.patches import Patch

    N, C = chart.nonzero_params, chart.train_flops
    entries: dict[str, Any] = {}
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(N[0], N[-1])
    axes.set_ylim(C[0], C[-1])
    axes.set_facecolor(palette.DENSE)
    _fill_colors(axes, chart)
    if chart.two_to_four is not None and np.any(chart.two_to_four):
        wins = np.asarray(chart.two_to_four, dtype=np.float64)
        half = palette.sparsity_color(0.5)
        axes.contourf(N, C, wins, levels=[0.5, 1.5], colors=[half], hatches=["...."])
        entries["2:4 is best"] = Patch(facecolor=half, edgecolor="black", linewidth=0.0, hatch="....")
    if chart.outside is not None:
        _fade(axes, chart, entries)
    _draw_levels(axes, chart)
    begins = chart.sparsity_begins_flops
    style = {"color": palette.ACCENT, "linewidth": 1.4}
    if _crosses(begins, C):
        entries["sparsity begins to pay"] = _line(axes, N, begins, **style)
    held = chart.held_flops
    if _crosses(held, C):
        _line(axes, N, held, color=palette.INK, linewidth=1.1, linestyle=(0, (1, 1.2)))
    if _crosses(chart.dense_optimal_flops, C):
        style = {"color": palette.INK, "linewidth": 1.4, "linestyle": (0, (5, 2))}
        entries["compute-optimal dense size"] = _line(axes, N, chart.dense_optimal_flops, **style)
    if chart.half_flops is not None and any(_crosses(edge, C) for edge in chart.half_flops):
        for edge in chart.half_flops:
            style = {"color": palette.SERIES[2], "linewidth": 1.0, "linestyle": (0, (3, 1, 1, 1))}
            entries["90% interval of the 50% line"] = _line(axes, N, edge, **style)
    if chart.runs is not None:
        name = "the law's runs" if chart.runs.of_the_law else f"runs of {chart.runs.name or 'a table'}"
        entries[f"{name}, coloured by their sparsity"] = _draw_runs(axes, chart)
    if chart.plan is not None:
        plan = chart.plan
        words = f": {map_words.plan_words(plan)}" if detailed else ""
        entries[f"plan for {format_scientific(plan.train_flops)} FLOPs{words}"] = axes.plot(
            [plan.nonzero_params],
            [plan.train_flops],
            linestyle="",
            marker="*",
            markersize=11,
            color="white",
            markeredgecolor="black",
            markeredgewidth=0.9,
            zorder=6,
        )[0]
    _powers_of_ten(axes)
    axes.set_xlabel("non-zero parameters N", fontsize=TEXT, labelpad=2)
    axes.set_ylabel("training FLOPs C", fontsize=TEXT, labelpad=2)
    axes.tick_params(labelsize=TEXT - 0.5, pad=2)
    return entries


def _crosses(line: Array, C: Array) -> bool:
    return bool(np.any((line > C[0]) & (line < C[-1])))


def _line(axes: "Axes", x: Array, y: Array, **style: Any) -> Any:
    """A line with a white edge, which is seen on any colour."""
    from matplotlib.patheffects import Normal, Stroke

    around = [Stroke(linewidth=style["linewidth"] + 1.4, foreground="white", alpha=0.8), Normal()]
    (drawn,) = axes.plot(x, np.where(np.isfinite(y), y, np.nan), path_effects=around, **style)
    return drawn


def _fill_colors(axes: "Axes", chart: SparsityMap) -> None:
    """Colour by the sparsity in even steps of the eye; where it jumps from one choice to the next, by the choice."""
    N, C, choices = chart.nonzero_params, chart.train_flops, chart.pattern.sparsities
    halvings = -np.log2(1.0 - np.minimum(chart.sparsity, 1.0 - 1e-12))
    if choices is None:
        top = max(float(halvings.max()), 2 * _BEGINS)
        edges = np.arange(0.0, top + 1.0 / _BANDS_PER_HALVING, 1.0 / _BANDS_PER_HALVING)
        middles = 1.0 - 2.0 ** -(edges[:-1] + 0.5 / _BANDS_PER_HALVING)
        edges[0] = _BEGINS
    else:
        steps = np.array([palette.halvings(S) for S in choices if chart.max_sparsity >= S] or [0.0])
        edges = np.append((steps[1:] + steps[:-1]) / 2, steps[-1] + 1.0)
        middles = 1.0 - 2.0 ** -steps[1:]
    if len(edges) < 2:
        return
    colors = [palette.sparsity_color(float(S)) for S in middles]
    filled = axes.contourf(N, C, halvings, levels=edges, colors=colors)
    filled.set(edgecolor="face", linewidth=0.3)  # or hairlines show between the bands of a vector picture


def _fade(axes: "Axes", chart: SparsityMap, entries: dict[str, Any]) -> None:
    """Take colour from what is extrapolated, and outline what is not."""
    from matplotlib.patches import Patch
    from matplotlib.patheffects import Normal, Stroke

    N, C, outside = chart.nonzero_params, chart.train_flops, chart.outside
    assert outside is not None
    if not np.any(outside > 0.0):
        return
    top = max(float(outside[np.isfinite(outside)].max()), 0.0) + 1.0
    axes.contourf(N, C, np.minimum(outside, top), levels=[0.0, top + 1.0], colors=["white"], alpha=palette.FADE)
    for piece in _outlines(axes, chart):
        around = [Stroke(linewidth=2.2, foreground="black"), Normal()]
        axes.plot(piece[:, 0], piece[:, 1], color="white", linewidth=0.8, path_effects=around)
        inside = palette.sparsity_color(0.6)
        entries["inside the span of the law's runs"] = Patch(facecolor=inside, edgecolor="black", linewidth=1.0)


def _outlines(axes: "Axes", chart: SparsityMap) -> list[Array]:
    """The edge of what is not extrapolated, without the specks that a grid makes where plans jump."""
    if chart.outside is None or not np.any(chart.outside <= 0.0) or not np.any(chart.outside > 0.0):
        return []
    pieces = _level_lines(axes, chart, np.minimum(chart.outside, 1e3), 0.0)
    return [piece for piece in pieces if len(piece) > _SPECK * len(pieces[0])]


def _level_lines(axes: "Axes", chart: SparsityMap, values: Any, level: float) -> list[Array]:
    """The lines on which values over the map reach a level, the longest first."""
    probe = axes.contour(chart.nonzero_params, chart.train_flops, values, levels=[level], linewidths=0)
    pieces = polylines(probe)
    probe.remove()
    return pieces


def _draw_levels(axes: "Axes", chart: SparsityMap) -> None:
    lines = _levels(chart)
    if lines:
        drawn = axes.contour(
            chart.nonzero_params, chart.train_flops, _smooth(chart), levels=lines, colors=palette.INK, linewidths=0.8
        )
        drawn.set_gid("levels")


def _levels(chart: SparsityMap) -> list[float]:
    """The sparsities that have a line on the map; a pattern's few sparsities have regions instead."""
    if chart.pattern.sparsities is not None:
        return []
    S = _smooth(chart)
    return [level for level in LEVELS if level < chart.max_sparsity and S.min() < level < S.max()]


def _smooth(chart: SparsityMap) -> Any:
    """The sparsity where it changes smoothly."""
    return chart.sparsity if chart.two_to_four is None else np.ma.masked_where(chart.two_to_four, chart.sparsity)


def _draw_runs(axes: "Axes", chart: SparsityMap) -> Any:
    runs = chart.runs
    assert runs is not None
    order = np.argsort(-runs.sparsity, kind="stable")  # dense ones above
    return axes.scatter(
        runs.nonzero_params[order],
        runs.train_flops[order],
        s=13,
        c=[palette.sparsity_color(float(S)) for S in runs.sparsity[order]],
        edgecolors="black",
        linewidths=0.6,
        zorder=5,
    )


def label_sparsity_map(axes: "Axes", chart: SparsityMap, *, size: float = SMALL) -> None:
    """Write levels on their lines and names into their regions, as far as there is room for them."""
    N, C = chart.nonzero_params, chart.train_flops
    labels = Labels(axes, size)
    lines = {"begins": chart.sparsity_begins_flops, "held": chart.held_flops, "optimal": chart.dense_optimal_flops}
    for name, line in lines.items():
        labels.avoid_line(N, line, name)
    for edge in () if chart.half_flops is None else chart.half_flops:
        labels.avoid_line(N, edge, "half")
    if chart.runs is not None:
        labels.avoid_marks(chart.runs.nonzero_params, chart.runs.train_flops, 4.0)
    if chart.plan is not None:
        at = np.array([chart.plan.nonzero_params]), np.array([chart.plan.train_flops])
        labels.avoid_marks(*at, 10.0)
    pieces = {level: _level_lines(axes, chart, _smooth(chart), level) for level in _levels(chart)}
    for level, found in pieces.items():
        for piece in found:
            labels.avoid_line(piece[:, 0], piece[:, 1], f"level {level}")
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
    for piece in _outlines(axes, chart):
        labels.avoid_line(piece[:, 0], piece[:, 1], "outline")
    if chart.plan is not None:
        labels.beside(at[0][0], at[1][0], format_sparsity(chart.plan.sparsity), 7.0, bbox=box, zorder=7, weight="bold")
    for level, found in pieces.items():
        for piece in found[:1]:
            labels.along(piece[:, 0], piece[:, 1], format_sparsity(level), f"level {level}", bbox=box)
    labels.along(N, chart.held_flops, format_sparsity(chart.max_sparsity), "held", bbox=box)
    for where, text in _regions(chart):
        labels.inside(where, N, C, text, style="italic", bbox=box)


def _regions(chart: SparsityMap) -> list[tuple[NDArray[np.bool_], str]]:
    """The regions of a map and their names."""
    found = [(chart.sparsity == 0.0, "dense is best")]
    if chart.two_to_four is not None:
        found.append((chart.two_to_four, "2:4 is best"))
    if chart.pattern.sparsities is not None:
        found += [(chart.sparsity == S, format_sparsity(S)) for S in chart.pattern.sparsities if S > 0]
    held, highest = chart.held, format_sparsity(chart.max_sparsity)
    own = chart.law.range.sparsity is not None and chart.max_sparsity == chart.law.range.sparsity[1]
    found.append((held, f"held at {highest},\n{'the sparsest run' if own else 'the highest allowed'}"))
    return [(where, name) for where, name in found if np.any(where)]


def _powers_of_ten(axes: "Axes") -> None:
    """Label decades with raised digits: matplotlib's own labels are mathematics, which no text of ours is read as."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
        axis.set_minor_formatter(NullFormatter())


def _power(value: float) -> str:
    """A power of ten with a raised exponent; other values, which axes of less than a decade have, in plain digits.

    >>> _power(1e20), _power(2e20)
    ('10²⁰', '2e20')
    """
    exponent = round(math.log10(value))
    if not math.isclose(value, 10.0**exponent):
        return format_scientific(value)
    return "10" + str(exponent).translate(_RAISED)
