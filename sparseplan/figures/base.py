"""What every picture shares: an empty figure in our style, the formats, writing whole or not at all."""

import io
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import chdir
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sparseplan.common.files import write_bytes
from sparseplan.common.text import shown
from sparseplan.errors import PlanError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")

_NOT_OURS = {"backend", "backend_fallback", "interactive", "toolbar", "timezone"}
"""Settings of windows and sessions, which no picture depends on."""
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
        mpl = _matplotlib()
        own = {key: value for key, value in mpl.rcParamsDefault.items() if key not in _NOT_OURS}
        with mpl.rc_context(own | _STYLE):
            return draw(*args, **kwargs)

    return drawn


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise PlanError(
            "drawing a picture needs matplotlib, found none. Install it: pip install 'matplotlib>=3.8'"
        ) from None
    return matplotlib


def import_from_elsewhere() -> None:
    """Import matplotlib without the settings that lie in the working folder: it may be a stranger's.

    Our commands call this before they draw; in somebody's own program matplotlib is theirs to set up.

    Raises:
        PlanError: if there is no matplotlib.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)  # for windows; a picture in a file needs none
    try:
        with chdir(Path(__file__).parent):
            _matplotlib()
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


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
    kind = path.suffix.lower().removeprefix(".")
    write_bytes(path, _drawn(figure, kind, {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})))


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG, for a notebook."""
    return _drawn(figure, "png", {})


def _drawn(figure: "Figure", kind: str, metadata: dict[str, Any]) -> bytes:
    """The picture's bytes; words in it are words, whatever signs a name in a file has."""
    for text in _words(figure):
        text.set_text(shown(text.get_text(), lines=True))
        text.set_parse_math(False)
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+", category=UserWarning)  # drawn as an empty box
        figure.savefig(out, format=kind, metadata=metadata)
    return out.getvalue()


def _words(figure: "Figure") -> "list[Text]":
    """Titles, labels and legends; the numbers along an axis are matplotlib's own, powers with superscripts."""
    from matplotlib.text import Text

    numbers: set[int] = set()
    for axes in figure.findobj(lambda artist: hasattr(artist, "xaxis")):
        for axis in (axes.xaxis, axes.yaxis):  # type: ignore[attr-defined]
            numbers |= {id(text) for text in axis.findobj(Text) if text is not axis.label}
    return [text for text in figure.findobj(Text) if isinstance(text, Text) and id(text) not in numbers]
