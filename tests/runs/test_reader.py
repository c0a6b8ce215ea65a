"""Runs tables: what is read, what a rule leaves out, and how a bad row is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.errors import RunsError
from sparseplan.runs.reading import Reading
from sparseplan.runs.table import Runs, read_runs
from sparseplan.runs.written_table import RunRow, write_runs

HEADER = "sparsity,nonzero_params,data_seen,loss"


def table(tmp_path: Path, text: str, name: str = "runs.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_with_units_and_percent_gives_raw_numbers(tmp_path: Path) -> None:
    runs = read_runs(table(tmp_path, f"{HEADER}\n0,7B,1.5T,2.0\n75%,300M,20B,3.25\n"))
    assert runs.nonzero_params.tolist() == [7e9, 3e8]
    assert runs.data_seen.tolist() == [1.5e12, 2e10]
    assert runs.sparsity.tolist() == [0.0, 0.75]
    assert runs.loss.tolist() == [2.0, 3.25]
    assert runs.family == ("unstructured", "unstructured")
    assert runs.group is None


def test_the_same_runs_read_alike_from_csv_tsv_json_lines_json_and_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow
    import pyarrow.parquet

    rows = [
        {"sparsity": 0.5, "nonzero_params": 1e6, "data_seen": 2e9, "loss": 3.5},
        {"sparsity": 0.0, "nonzero_params": 4e6, "data_seen": 2e9, "loss": 3.0},
    ]
    lines = [",".join(str(value) for value in row.values()) for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "runs.parquet")
    by_column = {name: {str(i): row[name] for i, row in enumerate(rows)} for name in rows[0]}
    paths = [
        table(tmp_path, "\n".join([HEADER, *lines]), "runs.csv"),
        table(tmp_path, "\n".join([HEADER, *lines]).replace(",", "\t"), "runs.tsv"),
        table(tmp_path, "\n".join(json.dumps(row) for row in rows), "runs.jsonl"),
        table(tmp_path, json.dumps(rows), "list.json"),
        table(tmp_path, json.dumps(by_column), "columns.json"),
        tmp_path / "runs.parquet",
    ]
    for path in paths:
        runs = read_runs(path)
        got = np.stack([runs.sparsity, runs.nonzero_params, runs.data_seen, runs.loss], axis=1)
        assert got.tolist() == [list(row.values()) for row in rows], path


def test_a_tracker_export_is_read_by_mapping_and_nested_objects_become_dotted_columns(tmp_path: Path) -> None:
    wandb = table(
        tmp_path,
        '"Name","State","config.N","config.S","tokens","eval/loss"\n"a","finished","1e6","0.5","2e9","3.5"\n',
        "wandb.csv",
    )
    columns = {
        "nonzero_params": "config.N",
        "sparsity": "config.S",
        "data_seen": "tokens",
        "loss": "eval/loss",
        "run_id": "Name",
    }
    assert read_runs(wandb, Reading(columns=columns)).run_id == ("a",)
    mlflow = {"params": {"N": 1e6, "S": 0.5}, "metrics": {"loss": 3.5}, "tokens": 2e9}
    nested = table(tmp_path, json.dumps(mlflow) + "\n", "mlflow.jsonl")
    columns = {"nonzero_params": "params.N", "sparsity": "params.S", "data_seen": "tokens", "loss": "metrics.loss"}
    assert read_runs(nested, Reading(columns=columns)).loss.tolist() == [3.5]


def test_diverged_and_missing_losses_are_left_out_and_reported(tmp_path: Path) -> None:
    text = (
        f"{HEADER},diverged\n0,1e6,2e9,3.5,\n0,1e6,2e9,nan,\n0,1e6,2e9,,\n0.5,1e6,2e9,7.0,true\n0,1e6,4e9,inf,false\n"
    )
    path = table(tmp_path, text)
    runs = read_runs(path)
    assert len(runs) == 1
    assert [(entry.where, entry.reason) for entry in runs.left_out] == [
        (f"{path}:3", "no finite loss (nan)"),
        (f"{path}:4", "no finite loss (empty)"),
        (f"{path}:5", "marked as diverged"),
        (f"{path}:6", "no finite loss (inf)"),
    ]


def test_three_bad_rows_are_named_by_file_and_line_and_the_others_counted(tmp_path: Path) -> None:
    path = table(tmp_path, f"{HEADER}\n0,1e6,2e9,3.5\n1.5,1e6,2e9,3.5\n0,-3,2e9,3.5\n0,1e6,many,3.5\n0,1e6,2e9,-1\n")
    with pytest.raises(RunsError) as caught:
        read_runs(path)
    *lines, rest = str(caught.value).splitlines()
    for line, (number, key) in zip(lines, [(3, "sparsity"), (4, "nonzero_params"), (5, "data_seen")], strict=True):
        assert line.startswith(f"{path}:{number}: {key}: expected")
    assert rest == "... and 1 more bad row."


def test_a_missing_column_names_what_is_there_and_how_to_map_it(tmp_path: Path) -> None:
    path = table(tmp_path, "S,N,D,loss\n0,1,1,1\n")
    with pytest.raises(RunsError, match=r"sparsity, nonzero_params, data_seen are missing.*`columns` sparsity=S"):
        read_runs(path)
    with pytest.raises(RunsError, match="did you mean 'loss'"):
        read_runs(path, Reading(columns={"loss": "los"}))
    with pytest.raises(RunsError, match="did you mean 'nonzero_params'"):
        read_runs(path, Reading(columns={"nonzero_param": "N"}))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("run_id,sparsity,nonzero_param,data_seen,loss", "the column nonzero_params is missing; the table has run_id"),
        ("run_id,sparsity,nonzero_param,data_seen,loss", "Map it: `columns` nonzero_params=nonzero_param."),
        ("Name,S,N,D,val_loss", "sparsity=S `columns` nonzero_params=N `columns` data_seen=D `columns` loss=val_loss."),
        ("Name,S,N,D,val_loss", "If N counts weights before pruning, it is dense_params."),
        (
            "State,sparsity,params,tokens,eval/loss",
            "nonzero_params=params `columns` data_seen=tokens `columns` loss=eval/",
        ),
        ("step,sparsity,summary.nnz,config.tokens_seen,metrics.Final Loss", "loss=metrics.Final Loss."),
        ("run_id,sparsity,nonzero_params,data_seen,accuracy", "Say which column is which with `columns`"),
    ],
)
def test_a_missing_column_is_answered_with_the_one_that_looks_like_it(tmp_path: Path, header: str, words: str) -> None:
    path = table(tmp_path, f"{header}\n{','.join(['1'] * (header.count(',') + 1))}\n")
    with pytest.raises(RunsError) as caught:
        read_runs(path)
    assert words in str(caught.value)
    assert "=run_id" not in str(caught.value)


def test_counting_the_weights_before_pruning_as_non_zero_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunsError, match=r":2: nonzero_params: expected about 500000"):
        read_runs(table(tmp_path, "sparsity,dense_params,nonzero_params,data_seen,loss\n0.5,1e6,1e6,2e9,3.5\n"))
    derived = read_runs(table(tmp_path, "sparsity,dense_params,data_seen,loss\n0.5,1e6,2e9,3.5\n", "other.csv"))
    assert derived.nonzero_params.tolist() == [5e5]


def test_a_pattern_gives_the_family_and_the_sparsity_and_must_agree_with_it(tmp_path: Path) -> None:
    text = "pattern,nonzero_params,data_seen,loss\n2:4,1e6,2e9,3.5\n1:8,1e6,2e9,3.9\n"
    runs = read_runs(table(tmp_path, text))
    assert runs.sparsity.tolist() == [0.5, 0.875]
    assert runs.family == ("n:4", "n:8")
    with pytest.raises(RunsError, match=r":2: sparsity: expected 0.5, which the pattern 2:4 makes, found 0.75"):
        read_runs(table(tmp_path, f"{HEADER},pattern\n0.75,1e6,2e9,3.5,2:4\n", "clash.csv"))


def test_only_rows_that_repeat_another_in_every_column_are_left_out(tmp_path: Path) -> None:
    rows = ["0,1e6,2e9,3.5,1,0.01", "0,1e6,2e9,3.5,1,0.01", "0,1e6,2e9,3.5,2,0.01", "0,1e6,2e9,3.5,1,0.02"]
    path = table(tmp_path, "\n".join([f"{HEADER},replicate,lr", *rows]))
    runs = read_runs(path)
    assert len(runs) == 3
    assert [(row.where, row.reason) for row in runs.left_out] == [(f"{path}:3", f"repeats {path}:2 in every column")]


def test_one_run_id_with_two_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunsError, match=r":3: expected each run_id once, found 'a' again"):
        read_runs(table(tmp_path, f"{HEADER},run_id\n0,1e6,2e9,3.5,a\n0,1e6,2e9,3.6,a\n"))


def test_runs_of_one_trunk_are_one_group_and_a_named_column_overrides_it(tmp_path: Path) -> None:
    text = f"{HEADER},trunk,seed\n0,1e6,1e9,3.6,t1,7\n0,1e6,2e9,3.5,t1,8\n0.5,1e6,2e9,3.7,,7\n0.5,1e6,2e9,3.8,,8\n"
    path = table(tmp_path, text)
    by_trunk, by_seed = read_runs(path), read_runs(path, Reading(group="seed"))
    assert by_trunk.group is not None
    assert by_seed.group is not None
    assert (by_trunk.group.tolist(), by_trunk.grouped_by, by_trunk.groups) == ([0, 0, 1, 2], "trunk", 3)
    assert (by_seed.group.tolist(), by_seed.grouped_by, by_seed.groups) == ([0, 1, 0, 1], "seed", 2)


def test_a_column_that_happens_to_be_called_group_is_used_only_when_asked_for(tmp_path: Path) -> None:
    path = table(tmp_path, f"{HEADER},group\n0,1e6,1e9,3.6,sweep\n0,1e6,2e9,3.5,sweep\n")
    unasked, asked = read_runs(path), read_runs(path, Reading(group="group"))
    assert unasked.group is None
    assert unasked.grouped_by is None
    assert unasked.groups == 2
    assert "the column 'group' isn't used" in unasked.remarks[0]
    assert asked.groups == 1
    assert asked.grouped_by == "group"
    assert asked.remarks == ()
    assert read_runs(path, Reading(columns={"group": "group"})).groups == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("runs.xlsx", "", "expected a runs table ending in"),
        ("runs.csv", "", "found no runs"),
        ("runs.csv", f"{HEADER},loss\n0,1,1,1,1\n", "loss more than once"),
        ("runs.csv", f"{HEADER}\n0,1,1\n", ":2: expected 4 cells"),
        ("runs.csv", f"{HEADER}\n0,1,1,nan\n", "no run is left"),
        ("runs.csv", f'{HEADER}\n0,1,1,"1\n', "isn't CSV"),
        ("runs.jsonl", '{"loss": 1}\n{"loss": \n', ":2: this isn't JSON"),
        ("runs.jsonl", "[1]\n", ":1: expected a run as an object"),
        ("runs.json", '{"loss": 1}', "expected a list of runs"),
        ("runs.parquet", "not parquet", "isn't a Parquet file"),
        ("runs.csv", f"{HEADER},data_unit\n0,1,1,1,token\n0,1,2,1,image\n", "expected one data_unit"),
        (
            "runs.csv",
            f"{HEADER},strategy\n0,1,1,1,dense\n0.5,1,1,1,static\n0.5,1,2,1,gradual-magnitude\n",
            "sparse runs of one strategy, .* found gradual-magnitude, static",
        ),
    ],
)
def test_a_broken_table_is_one_clear_error(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(RunsError, match=message):
        read_runs(table(tmp_path, text, name))


finite = st.floats(1e-6, 1e24, allow_nan=False)


@given(
    rows=st.lists(st.tuples(st.floats(0, 0.99), finite, finite, st.floats(1e-3, 50)), min_size=1, max_size=8),
)
def test_written_runs_are_read_back_to_fifteen_digits(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float, float, float]]
) -> None:
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    write_runs(
        [
            RunRow(
                run_id=f"r{i}",
                pattern="unstructured",
                sparsity=S,
                nonzero_params=N,
                data_seen=D,
                data_unit="byte",
                loss=L,
                trunk="t0",
                extra=(("wall_seconds", 1.5),),
            )
            for i, (S, N, D, L) in enumerate(rows)
        ],
        path,
    )
    runs: Runs = read_runs(path)
    assert np.allclose(runs.sparsity, [row[0] for row in rows], rtol=1e-14, atol=0)
    assert np.allclose(runs.nonzero_params, [row[1] for row in rows], rtol=1e-14, atol=0)
    assert np.allclose(runs.data_seen, [row[2] for row in rows], rtol=1e-14, atol=0)
    assert np.allclose(runs.loss, [row[3] for row in rows], rtol=1e-14, atol=0)
    assert runs.data_unit == "byte"


def test_a_diverged_run_is_written_with_an_empty_loss_and_left_out_when_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    common = {"pattern": "2:4", "sparsity": 0.5, "nonzero_params": 1e6, "data_seen": 1e9, "data_unit": "token"}
    write_runs([RunRow(run_id="a", loss=3.0, **common), RunRow(run_id="b", loss=None, diverged=True, **common)], path)  # type: ignore[arg-type]
    runs = read_runs(path)
    assert runs.run_id == ("a",)
    assert runs.left_out[0].reason == "marked as diverged"


@pytest.mark.parametrize(("column", "crashed"), [("State", "crashed"), ("Status", "FAILED"), ("status", "running")])
def test_runs_that_a_tracker_calls_unfinished_are_left_out_by_name(tmp_path: Path, column: str, crashed: str) -> None:
    path = tmp_path / "wandb.csv"
    rows = "a,0,1e6,1e9,3.5,finished\nb,0.5,1e6,1e9,3.3,{}\nc,0.5,2e6,1e9,3.2,\n"
    header = f"run_id,sparsity,nonzero_params,data_seen,loss,{column}\n"
    path.write_text(header + rows.format(crashed), encoding="utf-8")
    runs = read_runs(path)
    assert runs.run_id == ("a", "c")
    assert [(one.where, one.reason) for one in runs.left_out] == [(f"{path}:3", f"{column} is {crashed}")]
    path.write_text(header + rows.format("Ohio"), encoding="utf-8")  # a column of somebody's own
    assert read_runs(path).run_id == ("a", "b", "c")
