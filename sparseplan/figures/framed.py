"""A figure of panels one below the other: title and a sentence above, legend and caption below, all measured."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparseplan.figures.base import SMALL, TEXT, TITLE
from sparseplan.figures.labels import LINE_HEIGHT, height_of, legend_below, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EDGE, _RIGHT, _UNDER, _BETWEEN = 0.06, 0.16, 0.42, 0.13


def arranged(
    figure: "Figure",
    panels: Sequence["Axes"],
    *,
    heights: Sequence[float],
    title: str,
    words: str,
    caption: str,
    entries: dict[str, Any],
    left: float = 0.62,
    across: bool = False,
) -> "Figure":
    """Put panels and text in their places, in inches; the figure keeps its width and takes the height that it needs.

    Args:
        figure: With the panels in it, and no layout engine.
        panels: From top to bottom, or side by side with `across`, where they share the first height.
        heights: Of each panel.
        title, words, caption: Wrapped to the width.
        entries: Handles of the legend by their labels.
        left: Room for the labels of the vertical axis.
        across: Whether the panels stand side by side.
    """
    width = float(figure.get_figwidth())
    room = width - 3 * _EDGE
    title, words = wrapped(title, room, TITLE, most=3, weight="bold"), wrapped(words, room, TEXT, most=4)
    caption = wrapped(caption, room, SMALL, most=12)
    legend = legend_below(figure, entries, room) if entries else None
    key = legend.get_window_extent().height / figure.dpi if legend else 0.0
    above = height_of(title, TITLE) + height_of(words, TEXT) + 0.2
    drawn = heights[0] if across else sum(heights) + _BETWEEN * (len(panels) - 1)
    height = above + drawn + _UNDER + key + height_of(caption, SMALL) + 3 * _EDGE
    figure.set_size_inches(width, height)
    top = height - above
    wide = (width - left - _RIGHT - (_BETWEEN * (len(panels) - 1) if across else 0.0)) / (len(panels) if across else 1)
    for i, panel in enumerate(panels):
        high = heights[0 if across else i]
        at = left + i * (wide + _BETWEEN) if across else left
        panel.set_position((at / width, (top - high) / height, wide / width, high / height))
        if not across:
            top -= high + _BETWEEN
    style: dict[str, Any] = {"va": "top", "linespacing": LINE_HEIGHT}
    down = height - _EDGE
    figure.text(_EDGE / width, down / height, title, fontsize=TITLE, weight="bold", **style)
    down -= height_of(title, TITLE) + 0.02
    figure.text(_EDGE / width, down / height, words, fontsize=TEXT, **style)
    if legend:
        legend.set_bbox_to_anchor((_EDGE / width, (2 * _EDGE + height_of(caption, SMALL) + key) / height))
    style = {"fontsize": SMALL, "va": "bottom", "linespacing": LINE_HEIGHT, "color": "0.25"}
    figure.text(_EDGE / width, _EDGE / height, caption, **style)
    return figure
