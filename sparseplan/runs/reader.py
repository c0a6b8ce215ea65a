"""Read the rows of a runs table from CSV, JSON lines, JSON or Parquet, each with the place it came from."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparseplan.common.files import open_regular
from sparseplan.errors import RunsError

MAX_BYTES = 256 * 2**20
_DELIMITERS = ",;\t"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row as it stands in its file: cells by column name, and where it is (`runs.csv:7`)."""

    where: str
    cells: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Every row of a file, the column names in the order of their first appearance, and the file's hash."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    sha256: str


def read_table(path: Path) -> Table:
    """Read a table; the suffix says the format: .csv, .tsv, .jsonl or .ndjson, .json, .parquet.

    A `.json` file is a list of objects, or columns as pandas writes them: `{"loss": {"0": 3.1, ...}, ...}`.
    Nested objects become dotted columns: `{"summary": {"loss": 3.1}}` has the column `summary.loss`.

    Raises:
        RunsError: if the file can't be read or isn't such a table.
    """
    readers = {
        ".csv": _csv_rows,
        ".tsv": _csv_rows,
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".json": _json_rows,
        ".parquet": _parquet_rows,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RunsError(f"{path}: expected a runs table ending in {', '.join(readers)}, found {path.suffix!r}.")
    try:
        with open_regular(path) as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise RunsError(f"{path}: expected a runs table below {MAX_BYTES >> 20} MiB; is this the right file?")
    except OSError as problem:
        raise RunsError(f"{path}: can't read this runs table: {problem.strerror or problem}.") from None
    rows = tuple(reader(raw, str(path)))
    if not rows:
        raise RunsError(f"{path}: expected a header and at least one run, found no runs.")
    columns = dict.fromkeys(name for row in rows for name in row.cells)
    return Table(source=str(path), columns=tuple(columns), rows=rows, sha256=hashlib.sha256(raw).hexdigest())


def _text(raw: bytes, source: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise RunsError(f"{source}: expected UTF-8 text, found other bytes at offset {problem.start}.") from None


def _csv_rows(raw: bytes, source: str) -> Iterator[Row]:
    text = _text(raw, source)
    first_line = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first_line.count), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            raise RunsError(f"{source}:1: expected each column once, found {', '.join(twice)} more than once.")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{source}:{reader.line_num}"
            if len(cells) != len(header):
                raise RunsError(f"{where}: expected {len(header)} cells, as in the header, found {len(cells)}.")
            yield Row(where=where, cells={name: cell for name, cell in zip(header, cells, strict=True) if name})
    except csv.Error as problem:
        raise RunsError(f"{source}:{reader.line_num}: this line isn't CSV: {problem}.") from None


def _json_lines(raw: bytes, source: str) -> Iterator[Row]:
    for number, line in enumerate(_text(raw, source).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        yield _object_row(_parsed(line, where), where)


def _json_rows(raw: bytes, source: str) -> Iterator[Row]:
    text = _text(raw, source)
    data = _parsed(text, source)
    if isinstance(data, list):
        for index, entry in enumerate(data):
            yield _object_row(entry, f"{source}[{index}]")
    elif isinstance(data, dict) and data and all(isinstance(column, dict) for column in data.values()):
        keys = dict.fromkeys(key for column in data.values() for key in column)
        for key in keys:
            cells = {name: column[key] for name, column in data.items() if key in column}
            yield Row(where=f"{source}[{key}]", cells=cells)
    else:
        raise RunsError(
            f"{source}: expected a list of runs, or columns as pandas writes them. "
            "For one object a line, let the name end in .jsonl."
        )


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as problem:
        raise RunsError(f"{where}: this isn't JSON: {problem}.") from None


def _object_row(entry: Any, where: str) -> Row:
    if not isinstance(entry, dict):
        raise RunsError(f"{where}: expected a run as an object of column names and values, found {entry!r:.60}.")
    return Row(where=where, cells=dict(_flat(entry, "")))


def _flat(entry: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in entry.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _parquet_rows(raw: bytes, source: str) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise RunsError(
            f"{source}: reading Parquet needs pyarrow: pip install 'sparseplan[parquet]', or export the runs as CSV."
        ) from None
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(raw))
    except (pyarrow.ArrowException, OSError) as problem:
        raise RunsError(f"{source}: this isn't a Parquet file: {problem}.") from None
    for index, entry in enumerate(table.to_pylist()):
        yield _object_row(entry, f"{source}: row {index + 1}")
