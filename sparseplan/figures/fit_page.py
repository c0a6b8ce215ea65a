"""The figure page of a fit: predicted against measured, residuals, learning curves, and the plan that follows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparseplan.common.units import format_count, format_sparsity
from sparseplan.cost.flops import flops_cost
from sparseplan.figures.base import in_style, new_figure, save_figure
from sparseplan.figures.sparsity_map import fill_sparsity_map
from sparseplan.fit.fit_table import FitResult
from sparseplan.fit.levels import by_level
from sparseplan.plan.sparsity_map import sparsity_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osD^vP*X<>"
_MAX_PANELS = 4
_NINETY = 1.645  # standard deviations to either side
_MAP_POINTS = 80


@in_style
def draw_fit_page(result: FitResult, path: Path) -> None:
    """Draw the page as PNG, SVG or PDF by the file's suffix.

    Raises:
        PlanError: for another suffix.
    """
    figure: Any = new_figure(12.0, 9.6)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.25, 1.0))
    left, right = top.subfigures(1, 2)
    colors = _level_colors(result)
    _measured_against_predicted(left.subplots(), result, colors)
    if result.law.sparsity and result.fit.certificate.identified:
        _plan(right.subplots(), result)
    else:
        _residuals(right.subplots(), result, "nonzero_params", "non-zero parameters N", colors)
    curves, rest = bottom.subfigures(1, 2, width_ratios=(1.9, 1.0))
    _learning_curves(curves, result, colors)
    _residual_panels(rest, result, colors)
    save_figure(figure, path)


def _level_colors(result: FitResult) -> dict[float, Any]:
    """One colour a sparsity, dark to light and so readable in grey."""
    import matplotlib as mpl

    levels = sorted(set(np.round(result.fit.runs.sparsity, 4).tolist()))
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(len(levels), 2)))
    return {level: shades[i] for i, level in enumerate(levels)}


def _by_sparsity(result: FitResult, colors: dict[float, Any]) -> list[tuple[str, NDArray[np.bool_], Any, str]]:
    rounded = np.round(result.fit.runs.sparsity, 4)
    return [
        (f"S = {format_sparsity(level)}", rounded == level, color, MARKERS[i % len(MARKERS)])
        for i, (level, color) in enumerate(colors.items())
    ]


def _measured_against_predicted(axes: "Axes", result: FitResult, colors: dict[float, Any]) -> None:
    fit = result.fit
    measured, predicted = fit.runs.loss, fit.predicted
    for label, rows, color, marker in _by_sparsity(result, colors):
        axes.plot(measured[rows], predicted[rows], marker, color=color, markersize=5, alpha=0.85, label=label)
    answer = result.answer
    ends = np.array([min(measured.min(), predicted.min()) / 1.01, max(measured.max(), predicted.max()) * 1.01])
    axes.plot(ends, ends, color="black", linewidth=0.9, zorder=0)
    if answer.prediction is not None:
        reach = np.exp(_NINETY * answer.prediction.deviation(0.0))
        axes.fill_between(ends, ends / reach, ends * reach, color="0.9", zorder=-1, label="90% of runs like these")
    _log_axes(axes, "both")
    axes.set_xlabel("measured loss (nats)")
    axes.set_ylabel("predicted loss (nats)")
    axes.set_title(
        f"{result.law.name}: {answer.n_runs} runs, {answer.status}\n"
        f"objective {answer.objective:.4g}, {answer.starts_at_optimum} of {answer.starts} starts at the minimum"
    )
    axes.legend(loc="upper left", fontsize=8)


def _plan(axes: "Axes", result: FitResult) -> None:
    """Contours of optimal sparsity, around what the runs covered, with the band of the draws."""
    law = result.law
    sizes, data = law.range.nonzero_params, law.range.data_seen
    assert sizes is not None
    assert data is not None
    per_unit = 6.0 * law.tokens_per_unit
    chart = sparsity_map(
        law,
        flops_cost("sparse", law.schedule, tokens_per_unit=law.tokens_per_unit),
        family=next(iter(law.sparsity)),
        sizes=(sizes[0] / 2, sizes[1] * 4),
        flops=(sizes[0] * data[0] * per_unit / 4, sizes[1] * data[1] * per_unit * 100),
        points=_MAP_POINTS,
    )
    fill_sparsity_map(axes, chart)


def _learning_curves(figure: Any, result: FitResult, colors: dict[float, Any]) -> None:
    """Loss against data at up to four sizes: points are runs, lines the law.

    Runs that repeat data stand at what their data and size count as, where the law's line is.
    """
    fit = result.fit
    runs, (size, data) = fit.runs, fit.counted
    sizes = [np.isin(np.arange(len(runs)), rows) for rows in by_level(np.log(runs.nonzero_params))]
    chosen = [sizes[i] for i in np.unique(np.linspace(0, len(sizes) - 1, min(_MAX_PANELS, len(sizes))).astype(int))]
    panels = np.atleast_1d(figure.subplots(1, len(chosen), sharex=True))
    D = np.geomspace(data.min() / 1.5, data.max() * 1.5, 60)
    what = "data" if fit.rates is None else "effective data"
    for panel, rows in zip(panels, chosen, strict=True):
        N = float(np.exp(np.mean(np.log(runs.nonzero_params[rows]))))
        for _, same, color, marker in _by_sparsity(result, colors):
            here = rows & same
            if not here.any():
                continue
            panel.plot(data[here], runs.loss[here], marker, color=color, markersize=5)
            S = float(runs.sparsity[here].mean())
            family = runs.family[int(np.flatnonzero(here)[0])] if S > 0 else next(iter(fit.design.families), None)
            line = fit.coefficients(family).loss(S, float(np.exp(np.mean(np.log(size[here])))), D)
            panel.plot(D, line, color=color, linewidth=1.1)
        _log_axes(panel, "x", most=3)
        panel.set_title(f"N = {format_count(N)}")
        panel.set_xlabel(f"{what} ({result.law.data_unit}s)")
    panels[0].set_ylabel("loss (nats)")


def _residual_panels(figure: Any, result: FitResult, colors: dict[float, Any]) -> None:
    upper, lower = figure.subplots(2, 1)
    _residuals(upper, result, "nonzero_params", "non-zero parameters N", colors)
    _residuals(lower, result, "data_seen", f"data D ({result.law.data_unit}s)", colors)


def _residuals(axes: "Axes", result: FitResult, column: str, label: str, colors: dict[float, Any]) -> None:
    fit = result.fit
    error = 100.0 * (fit.predicted / fit.runs.loss - 1.0)
    groups = _by_sparsity(result, colors)
    values = getattr(fit.runs, column)
    for i, (_, rows, color, marker) in enumerate(groups):
        beside = 1.0 + 0.05 * (i - (len(groups) - 1) / 2)  # side by side, or they hide each other
        axes.plot(values[rows] * beside, error[rows], marker, color=color, markersize=4, alpha=0.85)
    axes.axhline(0.0, color="black", linewidth=0.9, zorder=0)
    _log_axes(axes, "x")
    axes.set_xlabel(label)
    axes.set_ylabel("error (%)")


def _log_axes(axes: "Axes", which: str, *, most: int = 6) -> None:
    """Logarithmic axes with a few plain labels, 2.5 and 85M rather than powers with superscripts."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    for name in "xy" if which == "both" else which:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        low, high = getattr(axes, f"get_{name}lim")()
        axis.set_major_locator(FixedLocator(_ticks(low, high, most)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        axis.set_minor_formatter(NullFormatter())


def _ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers between two positive ends, as many as there are.

    >>> _ticks(1.1e10, 9e10, 3)
    [20000000000.0, 50000000000.0]
    >>> _ticks(1.5, 3.2, 6)
    [1.5, 2.0, 2.5, 3.0]
    """
    best: list[float] = []
    for digits in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), tuple(np.arange(2, 20) / 2)):
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        found = [float(f"{digit * 10.0**k:.3g}") for k in decades for digit in digits]
        found = [value for value in found if low <= value <= high]
        if len(best) < len(found) <= most:
            best = found
    return best


def _short(value: float) -> str:
    """A tick label without trailing zeros.

    >>> _short(3e7), _short(1.5e10), _short(2.5)
    ('30M', '15B', '2.5')
    """
    text = format_count(value)
    number, suffix = (text[:-1], text[-1]) if text[-1].isalpha() else (text, "")
    return f"{float(number):g}{suffix}" if "e" not in number else text
