"""Words in pictures that fit where they stand: wrapped to a measured width, placed where nothing else is."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparseplan.common.text import shown
from sparseplan.figures.base import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
POINTS_PER_INCH = 72.0
LINE_HEIGHT = 1.25
"""Of the font's size, from one line to the next."""
_PAD = 0.8
_STEP = 3.0
_CLEAR = 0.8
_ALONG = (0.5, 0.6, 0.4, 0.7, 0.3, 0.8, 0.2, 0.9, 0.1, 0.55, 0.45, 0.65, 0.35, 0.75, 0.25, 0.85, 0.15)
_ROOMY = (3.0, 2.0, 1.5, 1.15)
_TRIED = 40


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """The width of a line in inches, at a font size in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)
    return float(width) / POINTS_PER_INCH


def height_of(text: str, size: float) -> float:
    """The height of lines in inches."""
    return (text.count("\n") + 1) * size * LINE_HEIGHT / POINTS_PER_INCH


def wrapped(text: str, width: float, size: float, *, most: int, weight: str = "normal") -> str:
    """Text broken into lines of at most `width` inches, at words and within words that are longer.

    More lines than `most` end in an ellipsis.
    """
    space = text_width("x x", size, weight) - text_width("xx", size, weight)
    lines: list[str] = [""]
    used = 0.0
    for word in shown(text).split():
        for part in _parts(word, width, size, weight):
            wide = text_width(part, size, weight)
            if lines[-1] and used + space + wide > width:
                lines.append("")
            used = used + space + wide if lines[-1] else wide
            lines[-1] = f"{lines[-1]} {part}" if lines[-1] else part
    if len(lines) > most:
        last = lines[most - 1]
        while last and text_width(f"{last} ...", size, weight) > width:
            last = last[:-1]
        lines = [*lines[: most - 1], f"{last.rstrip()} ..."]
    return "\n".join(lines)


def _parts(word: str, width: float, size: float, weight: str) -> list[str]:
    """A word, in pieces where it is wider than a line."""
    parts = [word]
    while text_width(parts[-1], size, weight) > width and len(parts[-1]) > 1:
        last = parts.pop()
        fits = next(n for n in range(len(last) - 1, 0, -1) if n == 1 or text_width(last[:n], size, weight) <= width)
        parts += [last[:fits], last[fits:]]
    return parts


class Labels:
    """Labels of one panel whose limits and place in the figure are final; none covers another, a line or a mark."""

    def __init__(self, axes: "Axes", size: float) -> None:
        self.axes = axes
        self.size = size
        self._taken: list[
            tuple[Array, float, str]
        ] = []  # points (k, 2) in display units, radius around, whose they are
        box = axes.get_window_extent()
        self._frame = np.array([box.x0, box.y0, box.x1, box.y1])
        self._unit = float(axes.figure.dpi) / POINTS_PER_INCH

    def avoid_line(self, x: Array, y: Array, owner: str) -> None:
        """Keep other labels than the owner's off a line, given by its points in data coordinates."""
        points = _resampled(self._display(x, y), _STEP * self._unit)
        self._taken.append((points, _CLEAR * self._unit, owner))

    def avoid_marks(self, x: Array, y: Array, size: float) -> None:
        """Keep labels off marks of a size in points."""
        self._taken.append((self._display(x, y), size / 2 * self._unit, ""))

    def along(self, x: Array, y: Array, text: str, owner: str, **style: Any) -> bool:
        """Write on a line, turned as it runs there; False where there is no room."""
        points = _resampled(self._display(x, y), self._unit)
        inside = np.all((points >= self._frame[:2]) & (points <= self._frame[2:]), axis=1)
        points = points[inside]
        wide, high = self._measure(text)
        if len(points) * self._unit < wide:
            return False
        for share in _ALONG:
            i = int(share * (len(points) - 1))
            reach = int(wide / self._unit / 2)
            before, after = points[max(i - reach, 0)], points[min(i + reach, len(points) - 1)]
            angle = float(np.degrees(np.arctan2(after[1] - before[1], after[0] - before[0])))
            if self._place(points[i], text, wide, high, (angle + 90) % 180 - 90, owner, style):
                return True
        return False

    def inside(self, where: NDArray[np.bool_], x: Array, y: Array, text: str, **style: Any) -> bool:
        """Write in a region of a grid, where it is roomiest; False where the region is too small.

        Args:
            where: Whether a point of the grid belongs to it, shape (m, n).
            x, y: The grid, shapes (n,) and (m,), ascending.
            text: What to write.
            style: Of matplotlib's text.
        """
        wide, high = self._measure(text)
        columns = self._display(x, np.full(len(x), y[0]))[:, 0]
        rows = self._display(np.full(len(y), x[0]), y)[:, 1]
        total = np.pad(np.cumsum(np.cumsum(where, axis=0), axis=1), ((1, 0), (1, 0)))
        middle = (self._frame[:2] + self._frame[2:]) / 2
        across = np.linspace(float(columns[0]), float(columns[-1]), _TRIED)
        spots = [(cx, cy) for cy in np.linspace(float(rows[0]), float(rows[-1]), _TRIED) for cx in across]
        spots.sort(key=lambda spot: float(np.hypot(spot[0] - middle[0], spot[1] - middle[1])))
        for room in _ROOMY:
            for cx, cy in spots:
                ends = np.searchsorted(columns, [cx - room * wide / 2, cx + room * wide / 2])
                sides = np.searchsorted(rows, [cy - room * high / 2, cy + room * high / 2])
                count = (ends[1] - ends[0]) * (sides[1] - sides[0])
                within = total[sides[1], ends[1]] - total[sides[0], ends[1]] - total[sides[1], ends[0]]
                whole = ends[0] > 0 and sides[0] > 0 and ends[1] < len(columns) and sides[1] < len(rows)
                if not whole or within + total[sides[0], ends[0]] < count:
                    continue
                if self._place(np.array([cx, cy]), text, wide, high, 0.0, "", style):
                    return True
        return False

    def beside(self, x: float, y: float, text: str, gap: float, **style: Any) -> bool:
        """Write beside a mark, `gap` points away, on whichever side there is room."""
        wide, high = self._measure(text)
        at, away = self._display(np.array([x]), np.array([y]))[0], gap * self._unit
        for right, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            spot = at + np.array([right * (wide / 2 + away), up * (high / 2 + away)])
            if self._place(spot, text, wide, high, 0.0, "", style):
                return True
        return False

    def _display(self, x: Array, y: Array) -> Array:
        return np.asarray(self.axes.transData.transform(np.column_stack([x, y])), dtype=np.float64)

    def _measure(self, text: str) -> tuple[float, float]:
        lines = shown(text, lines=True).split("\n")
        unit = self._unit * POINTS_PER_INCH
        wide = max(text_width(line, self.size) for line in lines) * unit
        return wide, len(lines) * LINE_HEIGHT * self.size * self._unit

    def _place(
        self, at: Array, text: str, wide: float, high: float, angle: float, owner: str, style: dict[str, Any]
    ) -> bool:
        """Write text around a place if nothing else is there."""
        turned = np.radians(angle)
        ahead = np.array([np.cos(turned), np.sin(turned)])
        upward = np.array([-ahead[1], ahead[0]])
        half = np.array([wide, high]) / 2 + _PAD * self._unit
        reach = half @ np.abs(np.stack([ahead, upward]))
        if np.any(at - reach < self._frame[:2]) or np.any(at + reach > self._frame[2:]):
            return False
        for points, radius, whose in self._taken:
            if owner and whose == owner:
                continue
            away = points - at
            if np.any((np.abs(away @ ahead) < half[0] + radius) & (np.abs(away @ upward) < half[1] + radius)):
                return False
        along = np.arange(-half[0] + half[1], half[0] - half[1] + 1.0, half[1]) if half[0] > half[1] else np.zeros(1)
        self._taken.append((at + along[:, None] * ahead, float(half[1]), ""))
        x, y = self.axes.transData.inverted().transform(at)
        self.axes.text(
            x,
            y,
            text,
            fontsize=self.size,
            rotation=angle,
            rotation_mode="anchor",
            ha="center",
            va="center_baseline" if "\n" not in text else "center",
            linespacing=1.1,
            clip_on=True,
            **style,
        )
        return True


def _resampled(points: Array, step: float) -> Array:
    """Points along a line at equal distances."""
    points = points[np.all(np.isfinite(points), axis=1)]
    if len(points) < 2:
        return points
    run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.arange(0.0, min(run[-1], 1e5), step)
    return np.column_stack([np.interp(at, run, points[:, 0]), np.interp(at, run, points[:, 1])])


def polylines(lines: Any) -> list[Array]:
    """The pieces of a contour, each an array of shape (k, 2), the longest first."""
    pieces = [np.asarray(one) for path in lines.get_paths() for one in path.to_polygons(closed_only=False)]
    return sorted((one for one in pieces if len(one) > 1), key=len, reverse=True)


def legend_below(figure: "Figure", entries: dict[str, Any], width: float) -> Any:
    """As many columns as fit; the place is set later."""
    legend: Any = None
    for columns in (3, 2, 1):
        if legend is not None:
            legend.remove()
        legend = figure.legend(
            entries.values(),
            [wrapped(label, width - 0.5, SMALL + 0.5, most=2) for label in entries],
            loc="upper left",
            ncols=columns,
            fontsize=SMALL + 0.5,
            frameon=False,
            borderpad=0.2,
            borderaxespad=0.0,
            handlelength=2.4,
            columnspacing=1.4,
        )
        if legend.get_window_extent().width / figure.dpi <= width:
            break
    return legend
