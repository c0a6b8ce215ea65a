"""Columns in memory as a runs table: a dict, or any dataframe, by what it can do and not by whose it is."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sparseplan.errors import RunsError
from sparseplan.runs.cells import Row
from sparseplan.runs.nested import spread
from sparseplan.runs.reader import Table

SOURCE = "the table"
_EXPECTED = "expected a path, a dict of columns or a dataframe (pandas, polars, pyarrow or one like them)"
_TO_LIST = ("to_pylist", "to_list", "tolist")  # of arrow; of pandas and polars; of numpy and torch


def table_of(data: object) -> Table:
    """Columns in memory as rows, the first of them `row 1`.

    Args:
        data: A mapping of names to arrays or lists of one length; a dataframe, which names its columns
            (`column_names` or `columns`) and gives one by `data[name]`; or, where pyarrow is installed, whatever speaks
            Arrow's stream or the dataframe interchange protocol.

    Returns:
        The table. Cells that are missing in a dataframe's sense, None, NaN or NA, are None; dictionaries in cells are
        columns of their own, `config.n_params`.

    Raises:
        RunsError: for anything else, and for columns that aren't one value a row.
    """
    columns: dict[str, list[Any]] = {}
    for name, column in _named_columns(data):
        if name in columns:
            raise RunsError(f"{SOURCE}: expected each column once, found {name} more than once.")
        columns[name] = _cells(name, column)
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise RunsError(f"{SOURCE}: expected columns of one length, found {found}.")
    rows = tuple(
        Row(where=f"row {number}", cells=dict(zip(columns, cells, strict=True)))
        for number, cells in enumerate(zip(*columns.values(), strict=True), start=1)
    )
    if not rows:
        raise RunsError(f"{SOURCE}: expected at least one run, found no runs.")
    rows = spread(rows, SOURCE)
    return Table(
        source=SOURCE, columns=tuple(dict.fromkeys(name for row in rows for name in row.cells)), rows=rows, sha256=""
    )


def _named_columns(data: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(data, Mapping):
        return [(str(name), column) for name, column in data.items()]
    names = getattr(data, "column_names", None)  # an arrow table's `columns` are the columns
    if names is None:
        names = getattr(data, "columns", None)
    if names is not None and not callable(names) and hasattr(data, "__getitem__"):
        listed = list(names)
        twice = sorted({str(name) for name in listed if listed.count(name) > 1})
        if twice:  # asked for by name, each would be all of them
            raise RunsError(f"{SOURCE}: expected each column once, found {', '.join(twice)} more than once.")
        return [(str(name), data[name]) for name in listed]
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__dataframe__"):
        return _named_columns(_in_arrow(data))
    raise RunsError(f"`table`: {_EXPECTED}, found {type(data).__name__}.")


def _in_arrow(data: Any) -> Any:
    try:
        import pyarrow
        import pyarrow.interchange
    except ImportError:
        raise RunsError(
            f"`table`: reading this {type(data).__name__} needs pyarrow: pip install 'sparseplan[parquet]', "
            "or give a dict of its columns."
        ) from None
    try:
        if hasattr(data, "__arrow_c_stream__"):
            return pyarrow.table(data)
        return pyarrow.interchange.from_dataframe(data)
    except (pyarrow.ArrowException, TypeError, ValueError, NotImplementedError) as problem:
        raise RunsError(f"`table`: pyarrow can't read this {type(data).__name__}: {problem}.") from None


def _cells(name: str, column: Any) -> list[Any]:
    """A column's values as Python's own."""
    cells: Any = None
    for method in _TO_LIST:
        if hasattr(column, method):
            cells = getattr(column, method)()
            break
    else:
        if hasattr(column, "to_numpy"):
            cells = column.to_numpy().tolist()
        elif isinstance(column, Iterable) and not isinstance(column, str | bytes | Mapping):
            cells = list(column)
    if not isinstance(cells, list):
        raise RunsError(f"{SOURCE}: column {name}: expected a list or an array, found {column!r:.60}.")
    values = [_value(cell) for cell in cells]
    for number, value in enumerate(values, start=1):
        if isinstance(value, list | tuple):
            raise RunsError(f"row {number}: {name}: expected one value, found {value!r:.60}.")
    return values


def _value(cell: Any) -> Any:
    """A cell as Python's own value; None where it is missing."""
    value = cell.item() if hasattr(cell, "item") and getattr(cell, "ndim", None) == 0 else cell
    missing = (isinstance(value, float) and math.isnan(value)) or str(value) == "<NA>"  # pandas' own NA
    return None if missing else value
