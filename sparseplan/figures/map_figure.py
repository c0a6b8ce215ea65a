"""The figure of one map or several: title above, panels, legend and caption below, in a journal's widths."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseplan.figures import map_words
from sparseplan.figures.base import SMALL, TEXT, TITLE, WIDTHS, in_style, new_figure, png, save_figure
from sparseplan.figures.labels import LINE_HEIGHT, height_of, legend_below, wrapped
from sparseplan.figures.sparsity_map import fill_sparsity_map, label_sparsity_map
from sparseplan.plan.sparsity_map import SparsityMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _BELOW, _GAP, _EDGE = 0.58, 0.1, 0.37, 0.14, 0.06
_MOST_ACROSS = 3
_SHAPE = {1: 0.72, 2: 0.95, 3: 1.15}
_COLUMN_SHAPE = 0.9
"""Height of a panel over its width, by how many stand side by side on a page; in a column."""


@in_style
def draw_sparsity_maps(charts: Sequence[SparsityMap], path: Path, *, width: str = "page") -> None:
    """Draw maps of one law, one for each cost, on the same axes.

    Args:
        charts: The maps; on a page they stand side by side, in a column one below the other.
        path: .png, .svg or .pdf.
        width: One of `base.WIDTHS`.
    """
    save_figure(map_figure(charts, width), path)


@in_style
def png_of_sparsity_map(chart: SparsityMap) -> bytes:
    """One map as the bytes of a PNG."""
    return png(map_figure([chart], "page"))


def map_figure(charts: Sequence[SparsityMap], width_name: str) -> "Figure":
    """Title above, panels, and below them legend and caption; every height follows from its text."""
    width = WIDTHS[width_name]
    across = 1 if width_name == "column" else min(len(charts), _MOST_ACROSS)
    down = -(-len(charts) // across)
    room = width - _LEFT - _RIGHT
    wide = (room - _GAP * (across - 1)) / across
    high = wide * (_COLUMN_SHAPE if width_name == "column" else _SHAPE[across])
    several = len(charts) > 1
    first = charts[0]
    title = wrapped(map_words.title(charts), width - 3 * _EDGE, TITLE, most=2, weight="bold")
    system = wrapped(first.law.description or first.law.name, width - 3 * _EDGE, TEXT, most=3)
    caption = wrapped(map_words.caption(charts, "Faded"), width - 3 * _EDGE, SMALL, most=9)
    above = height_of(title, TITLE) + height_of(system, TEXT) + 0.14
    headings = [_heading(chart, wide) for chart in charts] if several else [""]
    row = high + _BELOW + (max(height_of(one, TEXT) for one in headings) + 0.06 if several else 0.0)

    figure = new_figure(width, 1.0)
    figure.set_layout_engine("none")
    panels = [figure.add_axes((0.1, 0.1, 0.8, 0.8)) for _ in charts]
    entries: dict[str, Any] = {}
    for panel, chart in zip(panels, charts, strict=True):
        entries |= fill_sparsity_map(panel, chart, detailed=not several)
    legend = legend_below(figure, entries, width - 2 * _EDGE)
    below = legend.get_window_extent().height / figure.dpi if legend else 0.0
    height = above + down * row + below + height_of(caption, SMALL) + 3 * _EDGE
    figure.set_size_inches(width, height)

    for i, panel in enumerate(panels):
        column, line = i % across, i // across
        left = _LEFT + column * (wide + _GAP)
        bottom = height - above - line * row - (row - _BELOW)
        panel.set_position((left / width, bottom / height, wide / width, high / height))
        if several:
            panel.set_title(headings[i], fontsize=TEXT, pad=4, linespacing=1.1)
        if column > 0:
            panel.set_ylabel("")
            panel.tick_params(labelleft=False)
    top = height - _EDGE
    figure.text(_EDGE / width, top / height, title, fontsize=TITLE, weight="bold", va="top", linespacing=LINE_HEIGHT)
    top -= height_of(title, TITLE)
    figure.text(_EDGE / width, top / height, system, fontsize=TEXT, va="top", linespacing=LINE_HEIGHT)
    if legend:
        legend.set_bbox_to_anchor((_EDGE / width, (2 * _EDGE + height_of(caption, SMALL) + below) / height))
    figure.text(
        _EDGE / width, _EDGE / height, caption, fontsize=SMALL, va="bottom", linespacing=LINE_HEIGHT, color="0.25"
    )
    for panel, chart in zip(panels, charts, strict=True):
        label_sparsity_map(panel, chart)
    return figure


def _heading(chart: SparsityMap, wide: float) -> str:
    """What tells one of several maps from the others: its cost, and its plan."""
    lines = [map_words.cost_words(chart.cost_name), *([map_words.plan_words(chart.plan)] if chart.plan else [])]
    return "\n".join(wrapped(line, wide, TEXT, most=2) for line in lines)
