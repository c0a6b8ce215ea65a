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
from sparseplan.runs.parquet import parquet_columns

MAX_BYTES = 64 * 2**20
MAX_CELLS = 4_000_000
"""100,000 runs of 40 columns; more would take over a gigabyte."""
MAX_OBJECTS = 1_000_000
MAX_LINES = 500_000
MAX_DIGITS = 300
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
    delimiter = max(_DELIMITERS, key=first_line.count)
    _refuse_many(text, source, cells=delimiter, lines=True)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
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
    text = _text(raw, source)
    _refuse_many(text, source, cells=",", objects="{[", lines=True)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        yield _object_row(_parsed(line, where), where)


def _json_rows(raw: bytes, source: str) -> Iterator[Row]:
    text = _text(raw, source)
    _refuse_many(text, source, cells=",", objects="{[")
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


def _refuse_many(text: str, source: str, *, cells: str, objects: str = "", lines: bool = False) -> None:
    """Refuse, before it is parsed, what takes far more memory than its bytes: a value needs a sign before it."""
    counts = [(sum(map(text.count, cells)), MAX_CELLS, "cells")]
    counts += [(sum(map(text.count, objects)), MAX_OBJECTS, "objects and lists")]
    counts += [(max(text.count("\n"), text.count("\r")) if lines else 0, MAX_LINES, "lines")]
    for count, most, what in counts:
        if count > most:
            raise RunsError(
                f"{source}: expected a runs table of at most {most:,} {what}, found about {count:,}; "
                "export only the columns that are needed."
            )


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        raise RunsError(f"{where}: this isn't a runs table in JSON: it nests too deep.") from None
    except ValueError as problem:
        raise RunsError(f"{where}: this isn't JSON: {problem}.") from None


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits, expected at most {MAX_DIGITS}")
    return int(digits)


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
    columns = parquet_columns(raw, source, most_cells=MAX_CELLS)
    for index, cells in enumerate(zip(*columns.values(), strict=True)):
        yield Row(where=f"{source}: row {index + 1}", cells=dict(zip(columns, cells, strict=True)))
