"""The page of a fit: its verdict, predicted against measured, the map that follows, learning curves and errors.

Colour is a run's sparsity, the mark its pattern family; each family's points stand beside its own curves.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseplan.common.units import format_bounds, format_count, format_sparsity
from sparseplan.cost.flops import flops_cost
from sparseplan.figures import map_words, palette
from sparseplan.figures.base import SMALL, TEXT, TITLE, WIDTHS, in_style, new_figure, save_figure
from sparseplan.figures.labels import LINE_HEIGHT, height_of, legend_below, wrapped
from sparseplan.figures.map_runs import runs_on_map
from sparseplan.figures.sparsity_map import fill_sparsity_map, label_sparsity_map
from sparseplan.figures.ticks import log_axis
from sparseplan.fit.fit_table import FitResult
from sparseplan.fit.levels import MOST_LEVELS, binned, by_level
from sparseplan.fit.verdict import said_against, verdict
from sparseplan.laws.law import main_family
from sparseplan.plan.sparsity_map import MapCost, SparsityMap, sparsity_maps
from sparseplan.sparsity.pattern import UNSTRUCTURED, parse_pattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
_MAX_PANELS = 4
_NINETY = 1.645  # standard deviations to either side of a normal error
_MAP_POINTS = 120
_EDGE, _LEFT, _RIGHT, _UNDER, _HEADING = 0.06, 0.55, 0.14, 0.46, 0.2
_BESIDE = 0.2
_TOP_ROW, _MIDDLE_ROW, _LAST_ROW = 2.55, 1.65, 1.25


class _Kind(NamedTuple):
    """Runs of one family, by its name and number, and about one sparsity."""

    family: str | None
    number: int
    sparsity: float
    low: float
    high: float
    rows: Rows

    @property
    def label(self) -> str:
        if self.high == 0.0:
            return "dense"
        family = "" if self.family in (None, "unstructured") else f" {self.family}"
        return f"{format_bounds((self.low, self.high), format_sparsity)}{family}"


@in_style
def draw_fit_page(result: FitResult, path: Path) -> None:
    """Draw the page as PNG, SVG or PDF by the file's suffix.

    Raises:
        PlanError: for another suffix.
    """
    save_figure(fit_page(result), path)


def fit_page(result: FitResult) -> "Figure":
    """The figure, as wide as a journal's page; every height follows from its text."""
    width = WIDTHS["page"]
    law, room = result.law, width - 3 * _EDGE
    kinds = _kinds(result)
    panels = _panels(result, kinds)
    chart = _map(result)
    title = wrapped(law.description or law.name, room, TITLE, most=2, weight="bold")
    words = wrapped(_verdict(result), room, TEXT, most=3)
    facts = wrapped(_facts(result, chart), room, SMALL, most=8)
    above = 2 * _EDGE + height_of(title, TITLE) + height_of(words, TEXT) + 0.2

    figure = new_figure(width, 1.0)
    figure.set_layout_engine("none")
    axes = _Axes(*(_new_axes(figure, count) for count in (2, len(panels), len(_error_axes(result)))))
    entries: dict[str, Any] = {one.label: _mark(one) for one in kinds}
    entries |= _fill(axes, result, kinds, panels, chart)
    legend = legend_below(figure, entries, room)
    below = legend.get_window_extent().height / figure.dpi + height_of(facts, SMALL) + 3 * _EDGE
    height = _arrange(figure, axes, above, below)
    top = height - _EDGE
    figure.text(_EDGE / width, top / height, title, fontsize=TITLE, weight="bold", va="top", linespacing=LINE_HEIGHT)
    top -= height_of(title, TITLE) + 0.03
    figure.text(_EDGE / width, top / height, words, fontsize=TEXT, va="top", linespacing=LINE_HEIGHT)
    legend.set_bbox_to_anchor((_EDGE / width, (below - _EDGE) / height))
    style: dict[str, Any] = {"fontsize": SMALL, "va": "bottom", "linespacing": LINE_HEIGHT, "color": "0.25"}
    figure.text(_EDGE / width, _EDGE / height, facts, **style)
    if chart is not None:
        label_sparsity_map(axes.top[1], chart)
    return figure


class _Axes(NamedTuple):
    """The panels, row by row."""

    top: list["Axes"]
    curves: list["Axes"]
    errors: list["Axes"]


def _new_axes(figure: "Figure", count: int) -> list["Axes"]:
    return [figure.add_axes((0.1, 0.1, 0.8, 0.8)) for _ in range(count)]


def _fill(
    axes: _Axes, result: FitResult, kinds: list["_Kind"], panels: list["_Panel"], chart: SparsityMap | None
) -> dict[str, Any]:
    """Draw every panel; returns what the legend shows of the map."""
    entries: dict[str, Any] = {}
    _measured_against_predicted(axes.top[0], result, kinds)
    if chart is None:
        _spread(axes.top[1], result)
    else:
        entries = fill_sparsity_map(axes.top[1], chart)
        axes.top[1].set_title(f"Optimal sparsity, {map_words.cost_words(chart.cost_name)}")
    for panel, chosen in zip(axes.curves, panels, strict=True):
        _learning_curves(panel, result, kinds, chosen)
    axes.curves[0].set_ylabel("loss (nats)")
    for panel, axis in zip(axes.errors, _error_axes(result), strict=True):
        _errors(panel, result, kinds, axis)
    for panel in axes.errors[1:]:
        panel.set_ylim(axes.errors[0].get_ylim())
        panel.tick_params(labelleft=False)
    axes.errors[0].set_ylabel("error (%)")
    return entries


def _arrange(figure: "Figure", axes: _Axes, above: float, below: float) -> float:
    """Put the panels in their places, in inches; returns the figure's height."""
    width = float(figure.get_figwidth())
    height = above + _TOP_ROW + _MIDDLE_ROW + _LAST_ROW + 3 * _UNDER + _HEADING + below
    figure.set_size_inches(width, height)
    top = above
    rows = ((axes.top, _TOP_ROW, _LEFT), (axes.curves, _MIDDLE_ROW, 0.42), (axes.errors, _LAST_ROW, 0.14))
    for panels, high, gap in rows:
        wide = (width - _LEFT - _RIGHT - gap * (len(panels) - 1)) / len(panels)
        for i, panel in enumerate(panels):
            left = _LEFT + i * (wide + gap)
            panel.set_position((left / width, (height - top - high) / height, wide / width, high / height))
        top += high + _UNDER + (_HEADING if panels is axes.top else 0.0)
    return height


def _verdict(result: FitResult) -> str:
    """The verdict, with the gravest warning where there is one against the fit."""
    against = said_against(result.answer) if result.answer.status == "converged" else []
    message = against[0].replace("`", "") if against else ""
    return verdict(result.answer) + (f" Warning: {message.rstrip('.')}." if message else "")


def _facts(result: FitResult, chart: SparsityMap | None) -> str:
    """What a reader of the page alone has to know."""
    answer = result.answer
    penalty = answer.loss + ("" if answer.huber_delta is None else f" (delta {answer.huber_delta:g})")
    found = [
        f"Law {result.law.name}: {answer.form} on {answer.n_runs} runs, {penalty} on {answer.residual} residuals, "
        f"objective {answer.objective:.4g}, reached by {answer.starts_at_optimum} of {answer.starts} starts.",
        f"Curves: {f'{answer.form} alone, as all errors' if result.law.forms else 'the law'}. Bars below: mean and "
        "root mean square error, of every level or of bins of runs.",
    ]
    if answer.forms is not None:
        found.append(f"Form chosen: {answer.form_choice}")
    if answer.prediction is not None:
        reach = _NINETY * float(answer.prediction.deviation(0.0))
        found.append(f"90% of runs like these are expected within {100 * reach:.2g}% of the law.")
    if _scattered(result):
        found.append("Learning curves: the runs stand where their losses would be at the panel's size and sparsity.")
    if chart is not None:
        found.append(f"Map: {map_words.caption([chart], 'Faded', written=False)}")
    elif result.law.loss:
        found.append(f"Loss: {result.law.loss}.")
    return " ".join(found)


def _kinds(result: FitResult) -> list[_Kind]:
    """Every family's sparsities, dense first, in bins where they are many."""
    runs = result.fit.runs
    families = result.fit.design.families
    dense = np.flatnonzero(runs.sparsity == 0.0)
    found = [_Kind(main_family(result.law), 0, 0.0, 0.0, 0.0, dense)] if len(dense) else []
    for number, family in enumerate(sorted(families, key=lambda one: one != str(UNSTRUCTURED))):
        own = np.flatnonzero((np.array(runs.family) == family) & (runs.sparsity > 0.0))
        if not len(own):
            continue
        S = runs.sparsity[own]
        for rows in binned(by_level(-np.log1p(-S))):
            found.append(
                _Kind(family, number, float(S[rows].mean()), float(S[rows].min()), float(S[rows].max()), own[rows])
            )
    return found


def _style(kind: _Kind) -> dict[str, Any]:
    """Colour by sparsity, mark and line by family."""
    color = palette.INK if kind.high == 0.0 else palette.sparsity_color(kind.sparsity)
    index = 0 if kind.high == 0.0 else kind.number
    return {
        "color": color,
        "marker": palette.MARKERS[index % len(palette.MARKERS)],
        "linestyle": palette.LINES[index % len(palette.LINES)],
        "markeredgecolor": "black",
        "markeredgewidth": 0.4,
    }


def _points(axes: "Axes", x: Array, y: Array, kind: _Kind, *, size: float = 3.6) -> None:
    axes.plot(x, y, **_style(kind) | {"linestyle": ""}, markersize=size, alpha=0.9, label=kind.label)


def _mark(kind: _Kind) -> Any:
    """A kind's mark for the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **_style(kind), markersize=4, linewidth=1.1)


def _measured_against_predicted(axes: "Axes", result: FitResult, kinds: list[_Kind]) -> None:
    measured, predicted = result.fit.runs.loss, result.fit.predicted
    for kind in kinds:
        _points(axes, measured[kind.rows], predicted[kind.rows], kind)
    ends = np.array([min(measured.min(), predicted.min()) / 1.01, max(measured.max(), predicted.max()) * 1.01])
    axes.plot(ends, ends, color="black", linewidth=0.8, zorder=0)
    log_axis(axes, "xy", most=6)
    axes.set_xlabel("measured loss (nats)")
    axes.set_ylabel("predicted loss (nats)")
    axes.set_title("Measured and predicted")


def _spread(axes: "Axes", result: FitResult) -> None:
    """How far runs lie from the law, for laws without a map."""
    error = np.sort(100.0 * np.abs(result.fit.predicted / result.fit.runs.loss - 1.0))
    axes.step(error, 100.0 * np.arange(1, len(error) + 1) / len(error), where="post", color=palette.INK)
    axes.set_xlim(left=0.0)
    axes.set_ylim(0.0, 100.0)
    axes.set_xlabel("error of at most (%)")
    axes.set_ylabel("share of the runs (%)")
    axes.set_title("Errors of the runs")


def _map(result: FitResult) -> SparsityMap | None:
    """The map that follows from the law, around its runs; None for a law that has none."""
    law, sizes, data = result.law, result.law.range.nonzero_params, result.law.range.data_seen
    family = main_family(law)
    if family is None or sizes is None or data is None or not result.fit.certificate.identified:
        return None
    per_unit = 6.0 * law.tokens_per_unit
    cost = MapCost(flops_cost("sparse", law.schedule, tokens_per_unit=law.tokens_per_unit))
    (chart,) = sparsity_maps(
        law,
        [cost],
        pattern=parse_pattern(family),
        sizes=(sizes[0] / 2, sizes[1] * 4),
        flops=(sizes[0] * data[0] * per_unit / 4, sizes[1] * data[1] * per_unit * 100),
        points=_MAP_POINTS,
        runs=[replace(runs_on_map(result.fit.runs, cost, law), of_the_law=True)],
    )
    return chart


class _Panel(NamedTuple):
    """Runs of about one size: non-zero parameters, or those before pruning."""

    title: str
    rows: Rows
    dense: bool


def _scattered(result: FitResult) -> bool:
    runs = result.fit.runs
    few_sizes = min(len(by_level(np.log(sizes))) for sizes in _sizes(result).values()) <= MOST_LEVELS
    return not few_sizes or len(by_level(-np.log1p(-runs.sparsity))) > MOST_LEVELS


def _sizes(result: FitResult) -> dict[str, Array]:
    runs = result.fit.runs
    return {"N": runs.nonzero_params, "dense size": runs.nonzero_params / (1.0 - runs.sparsity)}


def _panels(result: FitResult, kinds: list[_Kind]) -> list[_Panel]:
    """Up to four sizes, of the kind of size in which panels show most sparsities."""
    kind_of = np.zeros(len(result.fit.runs), dtype=np.intp)
    for number, kind in enumerate(kinds):
        kind_of[kind.rows] = number
    best: list[_Panel] = []
    most = 0.0
    for word, sizes in _sizes(result).items():
        levels = by_level(np.log(sizes))
        groups = binned(levels, _MAX_PANELS)
        shown = np.array([len(np.unique(kind_of[rows])) for rows in groups])
        if shown.mean() <= most:
            continue
        most = float(shown.mean())
        full = [groups[i] for i in np.flatnonzero(shown >= shown.max() / 2)]
        chosen = [full[i] for i in np.unique(np.linspace(0, len(full) - 1, min(_MAX_PANELS, len(full))).astype(int))]
        about = "=" if len(levels) == len(groups) else "around"
        centres = [float(np.exp(np.log(sizes[rows]).mean())) for rows in chosen]
        titles = [f"{word} {about} {format_count(centre)}" for centre in centres]
        best = [_Panel(title, rows, word != "N") for title, rows in zip(titles, chosen, strict=True)]
    return best


def _learning_curves(axes: "Axes", result: FitResult, kinds: list[_Kind], chosen: _Panel) -> None:
    """Loss against data at one size: points are runs, lines the law.

    Runs that repeat data stand at what their data and size count as, where the law's line is. Runs beside the line's
    size and sparsity are moved there along the law.
    """
    fit = result.fit
    size, data = fit.counted
    D = np.geomspace(data.min() / 1.5, data.max() * 1.5, 60)
    whole = float(np.exp(np.log(size / (1.0 - fit.runs.sparsity))[chosen.rows].mean()))
    for kind in kinds:
        rows = np.intersect1d(kind.rows, chosen.rows)
        if not len(rows):
            continue
        N = whole * (1.0 - kind.sparsity) if chosen.dense else float(np.exp(np.log(size[chosen.rows]).mean()))
        theta = fit.coefficients(kind.family)
        line = theta.loss(kind.sparsity, N, D)
        axes.plot(D, line, color=_style(kind)["color"], linestyle=_style(kind)["linestyle"], linewidth=1.1)
        there = fit.runs.loss[rows] / fit.predicted[rows] * theta.loss(kind.sparsity, N, data[rows])
        _points(axes, data[rows], there, kind)
    log_axis(axes, "x", most=3)
    axes.set_title(chosen.title, fontsize=TEXT)
    axes.set_xlabel(f"{'data' if fit.rates is None else 'effective data'} ({result.law.data_unit}s)")
    axes.tick_params(axis="y", pad=1.5, labelsize=SMALL)


def _error_axes(result: FitResult) -> tuple[str, ...]:
    """What errors are shown along."""
    return ("S", "N", "D") if np.any(result.fit.runs.sparsity > 0) else ("N", "D")


def _errors(axes: "Axes", result: FitResult, kinds: list[_Kind], axis: str) -> None:
    """Errors of the runs along one of S, N and D, and over them mean and root mean square of levels or bins."""
    runs = result.fit.runs
    error = 100.0 * (result.fit.predicted / runs.loss - 1.0)
    percent = axis == "S"
    values = {"S": 100.0 * runs.sparsity, "N": runs.nonzero_params, "D": runs.data_seen}[axis]
    for i, kind in enumerate(kinds):
        beside = 1.0 if percent else 1.0 + _BESIDE * (i - (len(kinds) - 1) / 2) / len(kinds)  # or they hide each other
        _points(axes, values[kind.rows] * beside, error[kind.rows], kind, size=2.8)
    levels = [row for row in result.answer.errors if row.axis == axis]
    axes.errorbar(
        [100.0 * row.value if percent else float(np.sqrt(row.low * row.high)) for row in levels],
        [100.0 * row.mean for row in levels],
        yerr=[100.0 * row.rms for row in levels],
        linestyle="",
        marker="_",
        markersize=9,
        color=palette.ACCENT,
        elinewidth=0.9,
        capsize=2.5,
        zorder=4,
    )
    axes.axhline(0.0, color="black", linewidth=0.7, zorder=0)
    if not percent:
        log_axis(axes, "x", most=4)
    unit = f"{result.law.data_unit}s"
    axes.set_xlabel({"S": "sparsity S (%)", "N": "non-zero parameters N", "D": f"data D ({unit})"}[axis])
    most = 1.15 * max(float(np.abs(error).max()), *(100.0 * (abs(row.mean) + row.rms) for row in levels))
    most = most or 1.0  # runs that the law meets exactly
    axes.set_ylim(-most, most)
