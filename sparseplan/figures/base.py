"""The style of every picture: settings, text as it is, the formats, writing whole or not at all.

A picture looks the same on every machine: settings begin from matplotlib's own defaults, whatever a `matplotlibrc` or a
notebook says, and text is never read as mathematics, so that a name may hold `$` or a backslash.
"""

import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sparseplan.common.files import write_bytes
from sparseplan.common.text import shown
from sparseplan.errors import PlanError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")

_NOT_OURS = {"backend", "backend_fallback", "interactive", "toolbar", "timezone"}
"""Settings of windows and sessions, which no picture depends on."""
FORMATS = (".png", ".svg", ".pdf")
WIDTHS = {"column": 3.3, "page": 6.8}
"""Widths of a journal's column and page, in inches."""
TITLE, TEXT, SMALL = 9.0, 7.5, 6.5
"""Sizes of letters in points, none too small at those widths."""
_NOTEBOOK_DPI = 144
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": TEXT,
    "axes.titlesize": TEXT + 0.5,
    "legend.fontsize": SMALL + 0.5,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "hatch.linewidth": 0.5,
    "text.parse_math": False,
    "text.hinting": "none",  # letters as wide at any resolution as they were measured
    "svg.hashsalt": "sparseplan",  # the same picture gives the same file
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,  # TrueType: journals refuse Type 3
    "savefig.dpi": 300,
    "figure.constrained_layout.use": True,
}
_OF_THE_PROGRAM = ("backend", "date.epoch", "docstring", "interactive", "timezone", "toolbar", "webagg", "tk.")


def in_style(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Draw in our style and leave matplotlib's settings as they were: a notebook has figures of its own.

    Raises:
        PlanError: on drawing, if there is no matplotlib, or it can't begin.
    """

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        mpl = _matplotlib()
        with mpl.rc_context(_settings(mpl)), warnings.catch_warnings():
            # A name in a script that the font lacks is drawn as boxes; the warning would name matplotlib's files.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            return draw(*args, **kwargs)

    return drawn


def _matplotlib() -> ModuleType:
    """matplotlib, imported without the `matplotlibrc` of the working folder, which may be anybody's.

    Raises:
        PlanError: if there is none, or what the environment sets stops it.
    """
    try:
        with _away_from_its_settings():
            import matplotlib as mpl
    except ImportError:
        raise PlanError(
            "drawing a picture needs matplotlib, found none. Install it: pip install 'matplotlib>=3.8'"
        ) from None
    except ValueError as problem:
        words = " ".join(str(problem).split())
        raise PlanError(
            f"drawing a picture: matplotlib refuses what MPLBACKEND or its matplotlibrc says: {words}"
        ) from None
    return mpl


@contextmanager
def _away_from_its_settings() -> Iterator[None]:
    """Import from another folder where ./matplotlibrc would be read on the first import."""
    if "matplotlib" in sys.modules or not Path("matplotlibrc").exists():
        yield
    else:
        with chdir(Path(__file__).parent):
            yield


def _settings(mpl: Any) -> dict[str, Any]:
    """matplotlib's defaults but for what concerns windows and the process, and our style over them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about defaults that are on their way out
        defaults = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith(_OF_THE_PROGRAM)}
    return defaults | _STYLE


def import_from_elsewhere() -> None:
    """Import matplotlib without the settings that lie in the working folder: it may be a stranger's.

    Our commands call this before they draw; in somebody's own program matplotlib is theirs to set up.

    Raises:
        PlanError: if there is no matplotlib.
    """
    backend = os.environ.pop("MPLBACKEND", None)  # for windows; a picture in a file needs none
    try:
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
        SparseplanError: if the file can't be written.
    """
    require_format(path)
    kind = path.suffix.lower().removeprefix(".")
    drawn = _rendered(figure, kind)  # before the file is touched: a writer that meets a full disk leaves noise behind
    write_bytes(path, drawn)


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG, for a notebook."""
    return _rendered(figure, "png", dpi=_NOTEBOOK_DPI)


def _rendered(figure: "Figure", kind: str, **options: Any) -> bytes:
    """The picture's bytes; words in it are words, whatever signs a name in a file has."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(shown(text.get_text(), lines=True))
    out = io.BytesIO()
    metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    figure.savefig(out, format=kind, metadata=metadata, **options)
    return _in_palette(out) if kind == "png" else out.getvalue()


def _in_palette(drawn: io.BytesIO) -> bytes:
    """A PNG in 256 colours, which the few of a drawing and their smooth edges need: a third of the bytes."""
    from PIL import Image  # matplotlib's own

    with Image.open(drawn) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        out = io.BytesIO()
        few.save(out, "png", dpi=picture.info["dpi"])
    return out.getvalue()
