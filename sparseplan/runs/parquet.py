"""Parquet's columns as Python's own values, one column and a few rows at a time: a small file may expand a lot."""

import io
from collections.abc import Iterator
from typing import Any

from sparseplan.errors import RunsError

MAX_EXPANDED = 256 * 2**20
"""Bytes of text that all columns together may hold once read."""
_BATCH_BYTES = 64 * 2**20
_BATCH_ROWS = 65_536


def parquet_columns(raw: bytes, source: str, *, most_cells: int) -> dict[str, list[Any]]:
    """Columns by name, those in structs by dotted names; None where a value is missing.

    Numbers, truth values and text come as Python's own, dates and times as text. Of what is no single value (lists,
    bytes that aren't text) there is only the name of its type.

    Raises:
        RunsError: without pyarrow, for what isn't Parquet, and for more cells or text than a runs table has.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise RunsError(
            f"{source}: reading Parquet needs pyarrow: pip install 'sparseplan[parquet]', or export the runs as CSV."
        ) from None
    try:
        return _Reader(pyarrow.parquet.ParquetFile(io.BytesIO(raw)), source, most_cells).columns()
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as problem:
        what = str(problem).partition("\n")[0]
        raise RunsError(f"{source}: this isn't a Parquet file that can be read: {what:.200}.") from None


class _Reader:
    def __init__(self, file: Any, source: str, most_cells: int) -> None:
        self._file, self._source, self._expanded = file, source, 0
        cells = file.metadata.num_rows * file.metadata.num_columns
        if cells > most_cells:
            raise RunsError(
                f"{source}: expected a runs table of at most {most_cells:,} cells, found {cells:,}; "
                "export only the columns that are needed."
            )

    def columns(self) -> dict[str, list[Any]]:
        schema = self._file.schema
        found: dict[str, list[Any]] = {}
        for index in range(len(schema)):
            column = schema.column(index)
            if column.max_repetition_level > 0:  # a list: never a cell, and it may have any length
                name = column.path.partition(".list")[0]
                found[name] = [f"<list in {name}>"] * self._file.metadata.num_rows
                continue
            if column.path in found:
                raise RunsError(f"{self._source}: expected each column once, found {column.path} more than once.")
            found[column.path] = list(self._cells(index, column))
        return found

    def _cells(self, index: int, column: Any) -> Iterator[Any]:
        """A column's values. None is longer than all of the column's bytes: that bounds a batch before it is read."""
        groups = range(self._file.metadata.num_row_groups)
        longest = max(
            (self._file.metadata.row_group(i).column(index).total_uncompressed_size for i in groups), default=0
        )
        rows = _BATCH_ROWS
        if column.physical_type == "BYTE_ARRAY":
            rows = max(1, min(rows, _BATCH_BYTES // max(1, longest)))
        for batch in self._file.iter_batches(batch_size=rows, columns=[column.path]):
            values = batch.column(0)
            for _ in column.path.split(".")[1:]:
                if not hasattr(values.type, "num_fields") or values.type.num_fields != 1:
                    break
                values = values.flatten()[0]
            yield from self._plain(values, column.path)

    def _plain(self, values: Any, name: str) -> list[Any]:
        import pyarrow
        import pyarrow.compute

        types = pyarrow.types
        kind = values.type
        if types.is_dictionary(kind):
            values = values.cast(kind.value_type)
            kind = values.type
        if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind):
            return values.to_pylist()  # type: ignore[no-any-return]
        if types.is_decimal(kind):
            return [None if value is None else str(value) for value in values.to_pylist()]
        try:
            words = values if types.is_string(kind) or types.is_large_string(kind) else values.cast(pyarrow.string())
        except pyarrow.ArrowException:
            return [f"<{kind} in {name}>"] * len(values)
        self._expanded += pyarrow.compute.sum(pyarrow.compute.binary_length(words)).as_py() or 0
        if self._expanded > MAX_EXPANDED:
            raise RunsError(
                f"{self._source}: expected a runs table of at most {MAX_EXPANDED >> 20} MiB of text once read, found "
                "more; export only the columns that are needed."
            )
        return words.to_pylist()  # type: ignore[no-any-return]
