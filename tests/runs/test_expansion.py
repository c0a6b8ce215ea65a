"""Claims about runs tables of any type and size: no type is a traceback, and no small file takes a lot of memory."""

import datetime
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sparseplan.errors import RunsError
from sparseplan.runs.reading import Reading
from sparseplan.runs.table import read_runs
from tests.helpers.memory import MEGABYTES

PEAK = f"""
import sys
{MEGABYTES}
from sparseplan.errors import RunsError
from sparseplan.runs.table import read_runs
try:
    print(len(read_runs(Path(sys.argv[1]))))
except RunsError as problem:
    print(problem)
print(megabytes("VmHWM"))
"""
RUNS: dict[str, Any] = {
    "sparsity": [0.0, 0.5],
    "nonzero_params": [10**6, 10**7],
    "data_seen": ["1B", "2B"],
    "loss": [3.0, 2.5],
}


def peak(path: Path) -> tuple[str, int]:
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    said, megabytes = done.stdout.strip().rsplit("\n", 1)
    return said, int(megabytes)


def test_columns_of_every_parquet_type_are_read_or_refused_by_name(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    odd = {
        "ns": pa.array([1, 2**62], pa.timestamp("ns")),
        "far": pa.array([2**62, -(2**62)], pa.timestamp("us", tz="UTC")),
        "date": pa.array([2**30, None], pa.date32()),
        "long": pa.array([2**62, 1], pa.duration("us")),
        "time": pa.array([1, 2], pa.time64("us")),
        "bytes": pa.array([b"\xff\x00", b"x"]),
        "list": pa.array([[1.0], [2.0, 3.0]]),
        "lists": pa.array([[[1.0]], None]),
        "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        "struct": pa.array([{"a": {"b": 1}, "c": "x"}, None]),
        "decimal": pa.array([Decimal("1.50"), None]),
        "words": pa.array(["a", "b"]).dictionary_encode(),
        "nothing": pa.nulls(2),
        "huge": pa.array([2**64 - 1, 0], pa.uint64()),
    }
    path = tmp_path / "runs.parquet"
    pq.write_table(pa.table({**RUNS, **odd}), path)
    assert len(read_runs(path)) == 2
    for name in odd:
        read = {"struct": "struct.a.b"}.get(name, name)
        with pytest.raises(RunsError):
            read_runs(path, Reading(columns={"loss": "no such column", "run_id": read}))
        try:
            read_runs(path, Reading(columns={"loss": read}))
        except RunsError as problem:
            assert "loss" in str(problem)  # noqa: PT017  some of these columns are numbers
    assert read_runs(path, Reading(columns={"run_id": "date"})).run_id[1] == "runs.parquet: row 2".replace(
        "runs", str(path)[:-8]
    )
    assert read_runs(path, Reading(columns={"run_id": "struct.c"})).run_id[0] == "x"
    assert datetime.date.max.year == 9999  # what the dates above lie beyond


@pytest.mark.parametrize("kind", ["text", "lists", "rows"])
def test_a_small_parquet_file_that_expands_is_refused_in_bounded_memory(kind: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = 10_000_000 if kind == "rows" else 10_000
    columns: dict[str, Any] = {name: pa.array([1.0]).take(pa.array([0] * 1)) for name in RUNS}
    columns = {
        name: pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int8()).fill_null(0), [1.0]).cast(pa.float64())
        for name in RUNS
    }
    if kind == "text":
        columns["note"] = pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int8()).fill_null(0), ["x" * 1_000_000])
    if kind == "lists":
        columns["note"] = pa.ListArray.from_arrays(
            list(range(0, 1000 * rows + 1, 1000)), pa.nulls(1000 * rows, pa.int8()).fill_null(0)
        )
    path = tmp_path / "runs.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd")
    assert path.stat().st_size < 2**20
    said, megabytes = peak(path)
    assert megabytes < 1000
    assert ("at most" in said) or kind == "lists"


@pytest.mark.parametrize(
    ("suffix", "unit", "before", "after"),
    [
        ("json", "[],", "[", "[]]"),
        ("json", '{"":0},', "[", "{}]"),
        ("json", "0,", "[", "0]"),
        ("jsonl", "{}\n", "", ""),
        ("csv", ",", "sparsity", ""),
        ("csv", "1,2,3,4\n", "sparsity,nonzero_params,data_seen,loss\n", ""),
        ("tsv", "a\n", "", ""),
    ],
)
def test_text_of_the_largest_size_is_read_or_refused_in_bounded_memory(
    suffix: str, unit: str, before: str, after: str, tmp_path: Path
) -> None:
    path = tmp_path / f"runs.{suffix}"
    path.write_text(before + unit * (60 * 2**20 // len(unit)) + after)
    said, megabytes = peak(path)
    assert str(path) in said
    assert megabytes < 1000


def test_a_whole_number_of_too_many_digits_is_one_error(tmp_path: Path) -> None:
    for suffix, text in (("json", '[{"loss": %s}]'), ("jsonl", '{"loss": %s}')):
        path = tmp_path / f"runs.{suffix}"
        path.write_text(text % ("9" * 5000))
        with pytest.raises(RunsError, match="this isn't JSON: a number of 5000 digits, expected at most 300"):
            read_runs(path)


def test_100000_rows_are_read_in_less_than_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    more = ", ".join(f'"column_{i}": "value {i}"' for i in range(20))
    row = '{"sparsity": 0, "nonzero_params": %d, "data_seen": 1e9, "loss": 3.1, "run_id": "run-%d", ' + more + "}\n"
    path.write_text("".join(row % (10**6 + i, i) for i in range(100_000)))
    said, megabytes = peak(path)
    assert said == "100000"
    assert megabytes < 1000
