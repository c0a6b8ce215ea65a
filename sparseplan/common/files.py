"""Write files whole or not at all: to a temporary name beside the target, then renamed into place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sparseplan.errors import SparseplanError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; on success it replaces `path`, on any failure it is removed.

    The temporary name keeps the suffix, since some writers choose their format by it.

    Raises:
        SparseplanError: if the folder or the file can't be written.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as problem:
        raise SparseplanError(f"{path}: can't write this file: {problem.strerror or problem}.") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
