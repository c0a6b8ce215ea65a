"""Dictionaries in cells as columns of their own: `config` holding {"n_params": 7e9} gives `config.n_params`.

W&B's own recipe for an export puts `run.summary` and `run.config`, dictionaries, into cells of a dataframe; written as
CSV they are text as Python prints it, in single quotes, or JSON. Source: docs.wandb.ai, "Import and export data".
"""

import ast
import json
import warnings
from collections.abc import Iterator
from typing import Any

from sparseplan.errors import RunsError
from sparseplan.runs.cells import Row

MOST_PAIRS = 4_000_000
_LONGEST_PYTHON = 100_000
"""Characters of one dictionary as Python prints it; parsing takes some hundred bytes for each."""


def flat(entry: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a dictionary by dotted names.

    >>> dict(flat({"summary": {"loss": 3.1}, "n": 7}))
    {'summary.loss': 3.1, 'n': 7}
    """
    for name, value in entry.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def spread(rows: tuple[Row, ...], source: str) -> tuple[Row, ...]:
    """Every row with its dictionaries spread over columns; text that only looks like one stays text.

    Raises:
        RunsError: if they hold more values than a table may have.
    """
    written = [cell for row in rows for cell in row.cells.values() if _may_be_dictionary(cell)]
    if not written:
        return rows
    pairs = sum(cell.count(",") + cell.count("{") if isinstance(cell, str) else len(cell) for cell in written)
    if pairs > MOST_PAIRS:
        raise RunsError(
            f"{source}: expected dictionaries in cells with at most {MOST_PAIRS:,} values, found about {pairs:,}; "
            "export only the keys that are needed."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of escapes in somebody's strings
        return tuple(Row(where=row.where, cells=dict(_spread(row.cells))) for row in rows)


def _may_be_dictionary(cell: Any) -> bool:
    return isinstance(cell, dict) or (isinstance(cell, str) and cell.startswith("{") and cell.rstrip().endswith("}"))


def _spread(cells: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, cell in cells.items():
        read = _dictionary(cell) if _may_be_dictionary(cell) else None
        if read is None:
            yield name, cell
        else:
            yield from flat(read, f"{name}.")


def _dictionary(cell: Any) -> dict[str, Any] | None:
    if isinstance(cell, dict):
        return {str(key): value for key, value in cell.items()}
    for parse in (json.loads, _python):
        try:
            found = parse(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, dict) else None
    return None


def _python(text: str) -> Any:
    """A value as Python prints it; what is no literal, as tensor(3.0), stays its text."""
    if len(text) > _LONGEST_PYTHON:
        return None
    return _value(ast.parse(text, mode="eval").body)


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {str(_value(key)): _value(value) for key, value in pairs if key is not None}
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name(id="nan" | "inf" as word) | ast.UnaryOp(op=ast.USub(), operand=ast.Name(id="inf" as word)):
            return float(word if isinstance(node, ast.Name) else f"-{word}")
        case _:
            return ast.unparse(node)
