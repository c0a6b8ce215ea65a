"""What every picture shares: an empty figure, the formats, writing whole or not at all."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseplan.common.files import replacing
from sparseplan.errors import PlanError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FORMATS = (".png", ".svg", ".pdf")
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "svg.hashsalt": "sparseplan",  # the same picture gives the same file
    "svg.fonttype": "none",
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
}


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches, that needs no display."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update(_STYLE)
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
