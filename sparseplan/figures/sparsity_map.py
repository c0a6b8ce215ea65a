"""Pictures; matplotlib is imported on use, so that nothing else waits for it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparseplan.common.units import format_scientific
from sparseplan.figures.base import in_style, new_figure, png, save_figure
from sparseplan.plan.sparsity_map import SparsityMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LEVELS = (0.25, 0.5, 0.75, 0.875, 0.9375)


@in_style
def draw_sparsity_maps(charts: Sequence[SparsityMap], path: Path) -> None:
    """Draw contours of optimal sparsity, the dense compute-optimal line and the range that the law's runs covered.

    Several maps, one for each cost, stand side by side on the same axes.
    """
    save_figure(_figure(charts), path)


@in_style
def png_of_sparsity_map(chart: SparsityMap) -> bytes:
    """One map as the bytes of a PNG."""
    return png(_figure([chart]))


def _figure(charts: Sequence[SparsityMap]) -> "Figure":
    if len(charts) == 1:
        figure = new_figure(6.4, 4.8)
        fill_sparsity_map(figure.subplots(), charts[0])
    else:
        figure = new_figure(1.0 + 4.2 * len(charts), 5.4)
        panels = figure.subplots(1, len(charts), sharey=True)
        for panel, chart in zip(panels, charts, strict=True):
            fill_sparsity_map(panel, chart, legend=False)
            panel.set_title(f"{chart.cost_name} cost")
            panel.label_outer()
        entries: dict[str, Any] = {}
        for panel in panels:
            handles, labels = panel.get_legend_handles_labels()
            entries |= dict(zip(labels, handles, strict=True))
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3, fontsize=8)
        figure.suptitle(f"Optimal sparsity, {charts[0].law_name}")
    return figure


def fill_sparsity_map(axes: "Axes", chart: SparsityMap, *, legend: bool = True) -> None:
    """Draw the map into one panel; it reads in black and white: lines differ by style, the range by hatching."""
    from matplotlib.ticker import FuncFormatter

    N, C = chart.nonzero_params, chart.train_flops
    axes.set_xscale("log")
    axes.set_yscale("log")
    _draw_range(axes, chart)
    axes.plot(N, chart.dense_optimal_flops, color="black", linewidth=2.2, linestyle="--", label="dense compute-optimal")
    S = chart.sparsity if chart.two_to_four is None else np.ma.masked_where(chart.two_to_four, chart.sparsity)
    levels = [level for level in LEVELS if S.max() >= level > S.min()]
    begins = chart.sparsity_begins_flops
    if np.any((begins >= C[0]) & (begins <= C[-1])):
        axes.plot(N, begins, color="black", linewidth=1.1, linestyle=":", label="sparsity begins to pay")
    if levels:
        lines = axes.contour(N, C, S, levels=levels, colors="black", linewidths=1.1)
        axes.clabel(lines, fmt=FuncFormatter(lambda level, _: f"{100 * level:g}%"), fontsize=8)
        axes.plot([], [], color="black", linewidth=1.1, label="optimal sparsity")
    if chart.half_flops is not None:
        low, high = chart.half_flops
        axes.fill_between(N, low, high, color="0.55", alpha=0.5, linewidth=0, label="90% interval of the 50% contour")
    if chart.two_to_four is not None and np.any(chart.two_to_four):
        _draw_two_to_four(axes, chart)
    axes.set_xlim(N[0], N[-1])
    axes.set_ylim(C[0], C[-1])
    _powers_of_ten(axes)
    axes.set_xlabel("non-zero parameters N")
    axes.set_ylabel("training FLOPs C")
    axes.set_title(f"Optimal sparsity, {chart.cost_name} cost, {chart.law_name}")
    if legend:
        axes.legend(loc="lower right", fontsize=8, framealpha=0.95)


def _powers_of_ten(axes: "Axes") -> None:
    """Label decades with raised digits: matplotlib's own labels are mathematics, which no text of ours is read as."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
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


def _draw_two_to_four(axes: "Axes", chart: SparsityMap) -> None:
    """Hatch where 2:4 beats every unstructured sparsity on the device."""
    wins = np.asarray(chart.two_to_four, dtype=np.float64)
    axes.contourf(
        chart.nonzero_params, chart.train_flops, wins, levels=[0.5, 1.5], colors="0.93", hatches=["..."], zorder=0
    )
    axes.fill_between([], [], [], facecolor="0.93", edgecolor="black", hatch="...", linewidth=0, label="2:4 is best")


def _draw_range(axes: "Axes", chart: SparsityMap) -> None:
    """Shade what the runs covered: N between its ends, C between those of 6 N D."""
    sizes, data = chart.covered.nonzero_params, chart.covered.data_seen
    if sizes is None or data is None:
        return
    N = np.geomspace(*sizes, 50)
    low, high = (N * D * chart.flops_per_param_and_unit for D in data)
    axes.fill_between(
        N, low, high, facecolor="0.88", edgecolor="0.55", hatch="///", linewidth=0.5, label="the law's runs (dense)"
    )
