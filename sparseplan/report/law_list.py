"""The laws that `--law` finds by name, as a list."""

from typing import Any

from sparseplan.common.console import open_console, say, say_wrapped, text_width
from sparseplan.common.text import shown
from sparseplan.common.units import format_bounds, format_count
from sparseplan.errors import LawError
from sparseplan.laws.file import law_files, read_law, shadowing
from sparseplan.laws.identity import law_date, law_hash
from sparseplan.laws.law import draw_count

_INDENT = "    "


def law_rows() -> list[dict[str, Any]]:
    """One row per law that `--law` finds; a broken file is a row with its error, a hidden one is not listed."""
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    for name, path in law_files():
        if name in seen:
            continue
        seen.add(name)
        try:
            law = read_law(path)
        except LawError as problem:
            rows.append({"name": name, "path": str(path), "error": str(problem)})
            continue
        rows.append(
            {
                "name": name,
                "hash": law_hash(law),
                "form": law.form,
                "patterns": list(law.sparsity),
                "data_unit": law.data_unit,
                "nonzero_params": law.range.nonzero_params,
                "data_seen": law.range.data_seen,
                "draws": draw_count(law),
                "description": law.description,
                "status": law.fit.get("status"),
                "date": law_date(law),
                "source": law.provenance.get("source"),
                "shadows_builtin": shadowing(name) is not None,
                "path": str(path),
            }
        )
    return rows


def print_law_rows(rows: list[dict[str, Any]]) -> None:
    """Print the list of laws: of each its facts in columns, then what it covers and where it comes from.

    On a terminal too narrow for the columns the facts go below the name.
    """
    console = open_console()
    names = max((len(shown(row["name"])) for row in rows), default=0)
    for row in rows:
        if "error" in row:
            say(console, f"{row['name']}: broken")
            say_wrapped(console, f"{_INDENT}! {row['error']}", indent=_INDENT)
            continue
        facts = [row["hash"], row["date"] or "undated", _status(row)]
        facts.append(f"{row['draws']} draws" if row["draws"] else "no draws")
        widths = (names, 8, 10, 11, 0)
        line = "  ".join(f"{fact:<{width}}" for fact, width in zip((row["name"], *facts), widths, strict=True))
        if len(line) <= text_width(console):
            say(console, line)
        else:
            say(console, row["name"])
            say_wrapped(console, f"{_INDENT}{', '.join(facts)}", indent=_INDENT)
        say_wrapped(console, f"{_INDENT}{_coverage(row)}", indent=_INDENT)
        if row["source"]:
            say_wrapped(console, f"{_INDENT}{row['source']}", indent=_INDENT)
        if row["shadows_builtin"]:
            hidden = f"! {row['name']} is the file {row['path']}, in the place of the built-in law of that name"
            say_wrapped(console, f"{_INDENT}{hidden}", indent=_INDENT)


def _status(row: dict[str, Any]) -> str:
    """The first word of how the fit ended: published, converged, transferred, ..."""
    return str(row["status"] or "not stated").partition(";")[0]


def _coverage(row: dict[str, Any]) -> str:
    N, D = (format_bounds(row[axis], format_count) if row[axis] else "?" for axis in ("nonzero_params", "data_seen"))
    return f"{', '.join(row['patterns']) or 'dense only'}; N {N}, D {D} {row['data_unit']}s"
