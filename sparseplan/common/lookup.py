"""Find a YAML file by its name: in the repository, in a path list, in the user's folder, among the built-ins."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from sparseplan.common.files import open_regular
from sparseplan.errors import SparseplanError, nearest

BUILTIN = Path(__file__).parents[1] / "builtin"
_NAME_LINE = re.compile(r"^name:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)


def is_path(word: str) -> bool:
    """Whether a word means a file rather than a name."""
    return word.endswith((".yaml", ".yml")) or os.sep in word


def named_files(*, local: str, variable: str, builtin: str) -> Iterator[tuple[str, Path]]:
    """Name and file of everything that is found by name, in lookup order; a name's first file is the one meant.

    Args:
        local: Pattern of files below the working folder.
        variable: Environment variable that holds a path list of files, and of folders with such files.
        builtin: Folder below the package's `builtin`, and what the user's own one is called in `user_folder`.
    """
    for path in _regular(Path().glob(local)):
        yield _name_of(path), path
    for entry in os.environ.get(variable, "").split(os.pathsep):
        for path in _files_at(entry) if entry else ():
            yield _name_of(path), path
    for path in _files_at(str(user_folder() / builtin)):
        yield _name_of(path), path
    for path in sorted((BUILTIN / builtin).glob("*.yaml")):
        yield path.stem, path


def user_folder() -> Path:
    """What a user keeps for all their work: $XDG_CONFIG_HOME/sparseplan, by default ~/.config/sparseplan.

    As the XDG Base Directory Specification has it, a relative path in the variable counts as none. `~` is not expanded.
    """
    configured = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (configured if configured.is_absolute() else Path("~/.config")) / "sparseplan"


def find(name: str, files: list[tuple[str, Path]], *, kind: str, error: type[SparseplanError]) -> Path:
    """The file that a name means: the first of that name, else the first whose name differs in case alone.

    Raises:
        SparseplanError: of the class `error`, naming the nearest name, if there is none.
    """
    for candidate, path in files:
        if candidate == name:
            return path
    in_other_case = [path for candidate, path in files if candidate.casefold() == name.casefold()]
    if in_other_case:
        return in_other_case[0]
    known = sorted({candidate for candidate, _ in files})
    raise error(
        f"no {kind} is called {name!r}{nearest(name, known)}. Known: {', '.join(known)}. "
        "A file is given by its path, ending in .yaml."
    )


def _files_at(entry: str) -> list[Path]:
    """The file or the folder's files that an entry of a path list names; none where it names nothing."""
    try:
        place = Path(entry).expanduser()
        return [place] if place.is_file() else _regular([*place.glob("*.yaml"), *place.glob("*/law.yaml")])
    except (OSError, RuntimeError, ValueError):  # an entry that no file system can mean
        return []


def _regular(paths: Iterable[Path]) -> list[Path]:
    """The regular files among some, sorted, without hidden ones: those are half-written files that a kill left."""
    return sorted(
        path
        for path in paths
        if path.is_file() and not any(part.startswith(".") for part in (path.name, path.parent.name))
    )


def _name_of(path: Path) -> str:
    """The name that a file gives itself, read without parsing it: a broken neighbour must not stop a lookup."""
    try:
        with open_regular(path) as file:
            match = _NAME_LINE.search(file.read(4096).decode("utf-8", errors="replace"))
    except OSError:
        match = None
    if match:
        return match[1]
    return path.parent.name if path.name == "law.yaml" else path.stem
