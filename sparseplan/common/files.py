"""Read plain files only, and write files whole or not at all: to a temporary name beside the target, then renamed."""

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sparseplan.errors import SparseplanError

if sys.platform != "win32":
    import fcntl


_TRIAL_BYTES = 2**16
"""About what a law with its draws takes."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading if it is a regular one: a pipe would block, and a device never ends.

    Raises:
        OSError: if it can't be opened, or is a pipe, a device, a socket or a folder.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "expected a name without zero bytes", str(path))
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "expected a regular file, found a pipe, device or folder", str(path))
    return os.fdopen(handle, "rb")


def read_regular(path: Path) -> bytes:
    """The content of a regular file; raises as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to; on success it replaces `path`, on any failure it is removed.

    The temporary file is there, empty, under a name that nobody can foresee, and keeps the suffix, since some writers
    choose their format by it. The mode of a file that is replaced is kept. A symbolic link is replaced, not followed:
    somebody else may have put it there. What a killed writer of the same file left is cleared.

    Args:
        path: The file to be.
        durable: Whether it must outlast a power cut from when this returns; costs a flush of the disk.

    Raises:
        SparseplanError: if the folder or the file can't be written.
    """
    partial = held = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_partials(path.parent, f".{path.stem}.*.partial{path.suffix}")
        partial = _partial(path)  # known before it is there: an interrupt in between leaves no file
        held = _begin(partial, path)
        yield partial
        if durable:
            os.fsync(held)
        partial.replace(path)
        if durable:
            _flush_folder(path.parent)
    except OSError as problem:
        raise SparseplanError(f"{path}: can't write this file: {problem.strerror or problem}.") from None
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        if held is not None:
            os.close(held)


def try_writing(path: Path) -> None:
    """Find out whether a file can be written here, without leaving a trace.

    Raises:
        SparseplanError: if it can't: no permission, a folder of that name, a full disk.
    """
    partial = held = None
    try:
        if path.is_dir():
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        partial = _partial(path)
        held = _begin(partial, path)
        os.write(held, bytes(_TRIAL_BYTES))
        partial.unlink(missing_ok=True)
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise SparseplanError(f"{path}: can't write this file: {why}.") from None
    finally:
        if partial is not None:
            with suppress(OSError, ValueError):
                partial.unlink(missing_ok=True)
        if held is not None:
            os.close(held)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write UTF-8 text whole or not at all; a file that holds it already is left alone."""
    content = text.encode()
    with suppress(OSError):
        if not path.is_symlink() and read_regular(path) == content:
            return
    with replacing(path, durable=durable) as partial:
        partial.write_bytes(content)


def write_bytes(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write bytes whole or not at all."""
    with replacing(path, durable=durable) as partial:
        partial.write_bytes(content)


def set_aside(path: Path) -> Path:
    """Rename a broken file so that nothing finds it, and somebody can still look at it; returns its new name.

    Raises:
        SparseplanError: if it can't be renamed.
    """
    aside = path.with_name(f"{path.name}.broken")
    try:
        path.replace(aside)
    except OSError as problem:
        raise SparseplanError(f"{path}: can't set this broken file aside: {problem.strerror or problem}.") from None
    return aside


def clear_partials(folder: Path, pattern: str) -> None:
    """Remove temporary files whose writers are gone: a writer holds a lock on its file for as long as it lives."""
    if sys.platform == "win32":
        return
    for partial in folder.glob(pattern):
        try:
            handle = os.open(partial, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:  # gone, a link, or another user's: not ours to remove
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink(missing_ok=True)
        except OSError:  # at work, or on a file system that can't say
            continue
        finally:
            os.close(handle)


def _partial(path: Path) -> Path:
    """The name of a temporary file that nobody can foresee."""
    return path.with_name(f".{path.stem}.{os.urandom(8).hex()}.partial{path.suffix}")


def _begin(partial: Path, path: Path) -> int:
    """Make an empty temporary file for a path; returns its open handle, locked."""
    while True:
        held = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # less what the umask takes
        if sys.platform != "win32":
            with suppress(OSError):  # a file system without locks: nobody will clear there either
                fcntl.flock(held, fcntl.LOCK_EX)
        if not partial.exists():  # cleared by another writer between the two calls
            os.close(held)
            continue
        with suppress(OSError):
            old = path.lstat().st_mode
            if stat.S_ISREG(old):
                partial.chmod(stat.S_IMODE(old))
        return held


def _flush_folder(folder: Path) -> None:
    """Make a rename in a folder outlast a power cut, where folders can be flushed."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
