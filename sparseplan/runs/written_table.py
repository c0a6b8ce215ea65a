"""Runs tables that we write: finished runs as rows of a CSV file."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from sparseplan.common.files import write_text


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """One finished run, to be written; None where unknown. The fields are the columns."""

    run_id: str
    pattern: str
    strategy: str | None = None
    sparsity: float
    nonzero_params: float
    dense_params: float | None = None
    data_seen: float
    data_unit: str
    epochs: float | None = None
    train_flops: float | None = None
    seed: int | None = None
    trunk: str | None = None
    diverged: bool = False
    loss: float | None
    extra: tuple[tuple[str, float | str | None], ...] = ()


def write_runs(rows: Iterable[RunRow], path: Path) -> None:
    """Write a runs table as CSV, whole or not at all; further columns come from each row's `extra`, an empty cell where
    a row lacks one. Rows keep their order.
    """
    kept = list(rows)
    own = [field.name for field in fields(RunRow) if field.name != "extra"]
    further = list(dict.fromkeys(name for row in kept for name, _ in row.extra))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*own, *further])
    for row in kept:
        extra = dict(row.extra)
        writer.writerow([_cell(getattr(row, name)) for name in own] + [_cell(extra.get(name)) for name in further])
    write_text(path, out.getvalue())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)
