"""What every picture shares: an empty figure in our style, the formats, writing whole or not at all."""

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sparseplan.common.files import replacing
from sparseplan.errors import PlanError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")

FORMATS = (".png", ".svg", ".pdf")
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "svg.hashsalt": "sparseplan",  # the same picture gives the same file
    "svg.fonttype": "none",
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
}


def in_style(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Draw in our style and leave matplotlib's settings as they were: a notebook has figures of its own.

    Raises:
        PlanError: on drawing, if there is no matplotlib.
    """

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        try:
            import matplotlib as mpl
        except ImportError:
            raise PlanError(
                "drawing a picture needs matplotlib, found none. Install it: pip install 'matplotlib>=3.8'"
            ) from None
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches, that needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def require_format(path: Path) -> None:
    """Refuse a file that is not a picture that we write; for long work, before it begins.

    Raises:
        PlanError: for a suffix that is not among `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise PlanError(f"{path}: expected a picture ending in {', '.join(FORMATS)}, found {path.suffix!r}.")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, SVG or PDF by its suffix, whole or not at all.

    Raises:
        PlanError: for another suffix.
    """
    require_format(path)
    metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
    with replacing(path) as partial:
        figure.savefig(partial, metadata=metadata)


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG, for a notebook."""
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
