"""What commands that draw check before they work; apart, since planning commands load no picture's code."""

from pathlib import Path

from sparseplan.cli.options import require_place


def require_picture(option: str, path: Path) -> None:
    """Refuse, before any work, a picture that could not be drawn or written after it.

    Raises:
        SparseplanError: as `require_place`, or for a format that we don't write, or without matplotlib.
    """
    from sparseplan.figures.base import import_from_elsewhere, require_format

    require_format(path)
    require_place(option, path)
    import_from_elsewhere()
