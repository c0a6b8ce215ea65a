"""What a drawn figure holds, for tests: its words and where they stand."""

from itertools import combinations
from unittest.mock import patch

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

DPI = 300.0


def words_of(figure: Figure) -> list[str]:
    """Every text that is drawn."""
    return [text.get_text() for text, _ in _drawn(figure)]


def overflowing(figure: Figure) -> list[str]:
    """Texts that reach beyond the figure's edge; two pixels of 300 per inch are rounding."""
    drawn = _drawn(figure)
    frame = figure.bbox.padded(2.0)
    return [
        text.get_text()
        for text, box in drawn
        if not (
            frame.containsx(box.x0) and frame.containsx(box.x1) and frame.containsy(box.y0) and frame.containsy(box.y1)
        )
    ]


def colliding(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of level texts that cover each other."""
    flat = [(text.get_text(), box.padded(-2.0)) for text, box in _drawn(figure) if text.get_rotation() % 90 == 0]
    return [(one, two) for (one, a), (two, b) in combinations(flat, 2) if a.overlaps(b)]


def _drawn(figure: Figure) -> list[tuple[Text, Bbox]]:
    """The texts that are drawn, and where: ticks beyond an axis have texts too, which are not."""
    figure.set_dpi(DPI)
    found: list[Text] = []
    draw = Text.draw

    def recorded(self: Text, *args: object, **kwargs: object) -> None:
        found.append(self)
        draw(self, *args, **kwargs)  # type: ignore[arg-type]

    with patch.object(Text, "draw", recorded):
        figure.draw_without_rendering()
    return [(text, text.get_window_extent()) for text in found if text.get_visible() and text.get_text().strip()]
