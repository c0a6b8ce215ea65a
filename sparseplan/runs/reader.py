"""Read the rows of a runs table from CSV, JSON lines, JSON or Parquet, each with the place it came from."""

import csv
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparseplan.common.files import open_regular
from sparseplan.errors import RunsError
from sparseplan.runs.cells import Row
from sparseplan.runs.nested import flat, spread
from sparseplan.runs.parquet import parquet_columns

STANDARD_INPUT = Path("-")

MAX_BYTES = 64 * 2**20
MAX_CELLS = 4_000_000
"""100,000 runs of 40 columns; more would take over a gigabyte."""
MAX_OBJECTS = 1_000_000
MAX_LINES = 500_000
MAX_DIGITS = 300
_DELIMITERS = ",;\t"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Every row of a file, the column names in the order of their first appearance, and the file's hash."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    sha256: str


def read_table(path: Path) -> Table:
    """Read a table; the suffix says the format: .csv, .tsv, .jsonl or .ndjson, .json, .parquet, all but the last also
    compressed, as .csv.gz. `-` is standard input, whose first bytes say the format.

    A `.json` file is a list of objects, or columns as pandas writes them: `{"loss": {"0": 3.1, ...}, ...}`.
    Nested objects become dotted columns: `{"summary": {"loss": 3.1}}` has the column `summary.loss`. So do dictionaries
    in cells of any format, as JSON or as Python prints them.

    Raises:
        RunsError: if the file can't be read or isn't such a table.
    """
    raw, source = _raw(path)
    if path == STANDARD_INPUT:
        text = _unzipped(raw, source) if raw.startswith(b"\x1f\x8b") else raw
        reader = _by_content(text)
    else:
        zipped = path.suffix.lower() == ".gz"
        reader = _READERS[_suffix(path)]
        text = _unzipped(raw, source) if zipped else raw
    rows = spread(tuple(reader(text, source)), source)
    if not rows:
        raise RunsError(f"{source}: expected a header and at least one run, found no runs.")
    columns = dict.fromkeys(name for row in rows for name in row.cells)
    return Table(source=source, columns=tuple(columns), rows=rows, sha256=hashlib.sha256(raw).hexdigest())


def table_name(path: Path) -> str:
    """What a file is called without what says its format; empty for standard input.

    >>> table_name(Path("runs.csv.gz")), table_name(Path("-"))
    ('runs', '')
    """
    return "" if path == STANDARD_INPUT else Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def _raw(path: Path) -> tuple[bytes, str]:
    """The bytes as they come, and how messages call where they came from."""
    source = "standard input" if path == STANDARD_INPUT else str(path)
    if path != STANDARD_INPUT and _suffix(path) not in _READERS:
        known = ", ".join(_READERS)
        raise RunsError(
            f"{path}: expected a runs table ending in {known}, or in .gz after one of them, found {path.suffix!r}."
        )
    try:
        if path == STANDARD_INPUT:
            raw = b"" if sys.stdin is None else sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open_regular(path) as file:
                raw = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise RunsError(f"{source}: can't read this runs table: {problem.strerror or problem}.") from None
    return _bounded(raw, source), source


def _bounded(raw: bytes, source: str) -> bytes:
    if len(raw) > MAX_BYTES:
        raise RunsError(f"{source}: expected a runs table below {MAX_BYTES >> 20} MiB; is this the right file?")
    return raw


def _suffix(path: Path) -> str:
    last = path.suffix.lower()
    before = Path(path.stem).suffix.lower() if last == ".gz" else last
    return "" if last == ".gz" and before == ".parquet" else before  # Parquet compresses its own columns


def _unzipped(raw: bytes, source: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            return _bounded(file.read(MAX_BYTES + 1), source)
    except (OSError, EOFError, zlib.error) as problem:
        raise RunsError(f"{source}: this isn't a whole gzip file: {problem}.") from None


def _by_content(raw: bytes) -> "_Reader":
    """The format of a table without a name; a JSON object alone on its line among others is one of JSON lines."""
    if raw.startswith(b"PAR1"):
        return _parquet_rows
    start = raw.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return _json_rows
    if start.startswith(b"{"):
        first, _, rest = start.partition(b"\n")
        return _json_lines if first.rstrip().endswith(b"}") and rest.strip() else _json_rows
    return _csv_rows


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
    return Row(where=where, cells=dict(flat(entry)))


def _parquet_rows(raw: bytes, source: str) -> Iterator[Row]:
    columns = parquet_columns(raw, source, most_cells=MAX_CELLS)
    for index, cells in enumerate(zip(*columns.values(), strict=True)):
        yield Row(where=f"{source}: row {index + 1}", cells=dict(zip(columns, cells, strict=True)))


_Reader = Callable[[bytes, str], Iterator[Row]]
_READERS: dict[str, _Reader] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_rows,
    ".parquet": _parquet_rows,
}
