"""Runs as people have them: rows chosen, columns that trackers name, histories, dictionaries, compressed tables."""

import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sparseplan.cost.flops import flops_cost
from sparseplan.errors import RunsError
from sparseplan.runs.columns import table_of
from sparseplan.runs.reading import PLAIN, Reading
from sparseplan.runs.table import Runs, read_runs, runs_from
from sparseplan.runs.where import parse_condition
from sparseplan.sparsity.schedule import parse_schedule

RUNS: dict[str, Any] = {
    "sparsity": [0.0, 0.5, 0.75],
    "nonzero_params": [1e6, 1e6, 2e6],
    "data_seen": ["1B", "1B", "2B"],
    "loss": [3.5, 3.3, 3.1],
}


def read(reading: Reading = PLAIN, **columns: Any) -> Runs:
    return runs_from(table_of({**RUNS, **columns}), reading)


def where(*written: str) -> Reading:
    return Reading(where=tuple(map(parse_condition, written)))


def dropped(runs: Runs) -> dict[str, int]:
    assert runs.understood is not None
    return {one.rule: one.rows for one in runs.understood.dropped}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("optimizer=adamw", [3.5, 3.1]),
        ("optimizer == AdamW", [3.5, 3.1]),
        ("optimizer!=adamw", [3.3]),
        ("lr<1e-3", [3.3, 3.1]),
        ("lr<=1e-3", [3.5, 3.3, 3.1]),
        ("lr>0.00099", [3.5]),
        ("data_seen=1000000000", [3.5, 3.3]),
        ("data_seen>1.5B", [3.1]),
        ("sparsity>=50%", [3.3, 3.1]),
    ],
)
def test_where_keeps_the_rows_whose_cell_is_so(written: str, kept: list[float]) -> None:
    columns = {"optimizer": ["adamw", "sgd", "AdamW"], "lr": [1e-3, "3e-4", 1e-4]}
    runs = read(where(written), **columns)
    assert runs.loss.tolist() == kept
    assert sum(dropped(runs).values()) == 3 - len(kept)


def test_several_conditions_must_all_hold_and_each_says_what_it_dropped() -> None:
    runs = read(where("a=x", "b!=2"), a=["x", "x", "y"], b=[1, 2, 3])
    assert runs.loss.tolist() == [3.5]
    assert dropped(runs) == {"not a=x": 1, "not b!=2": 1}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("optimizer=lion", r"the table: `where` optimizer=lion holds for no row; optimizer has adamw \(2\), sgd \(1\)"),
        ("optimzer=sgd", r"there is no column 'optimzer' \(did you mean 'optimizer'\?\)"),
        ("optimizer<3", "row 1: optimizer: expected a number, as `where` optimizer<3 asks, found 'adamw'"),
    ],
)
def test_a_condition_that_no_row_meets_or_that_asks_too_much_is_one_clear_error(written: str, message: str) -> None:
    with pytest.raises(RunsError, match=message):
        read(where(written), optimizer=["adamw", "sgd", "adamw"])


def test_a_condition_without_a_sign_or_without_its_number_is_refused() -> None:
    with pytest.raises(RunsError, match="`where`: expected a column, one of"):
        parse_condition("finished")
    with pytest.raises(RunsError, match="`where` lr<small: expected a number behind <, found 'small'"):
        parse_condition("lr<small")


def test_a_dense_table_needs_no_column_of_sparsity_where_runs_are_said_to_be_dense() -> None:
    dense = table_of({name: column for name, column in RUNS.items() if name != "sparsity"})
    with pytest.raises(
        RunsError, match=r"the column sparsity is missing.* If every run is dense: `constants` sparsity=0"
    ):
        runs_from(dense)
    for reading in (Reading(dense=True), Reading(constants={"sparsity": "0"})):
        runs = runs_from(dense, reading)
        assert runs.sparsity.tolist() == [0.0, 0.0, 0.0]
        assert runs.understood is not None
        assert runs.understood.constants == {"sparsity": "0"}
    assert read(Reading(dense=True)).sparsity.tolist() == RUNS["sparsity"]  # what the table says counts


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"sparsity": "0"}, "the table has a column 'sparsity' that says so for each run"),
        ({"sparcity": "0"}, r"expected one of sparsity, .* \(did you mean 'sparsity'\?\)"),
        ({"loss": "3"}, "expected one of sparsity"),
        ({"unique_data": "many"}, "`constants` unique_data=many: expected a number"),
    ],
)
def test_a_constant_is_one_of_our_columns_that_the_table_lacks(constants: dict[str, str], message: str) -> None:
    with pytest.raises(RunsError, match=message):
        read(Reading(constants=constants))


HISTORY = {
    "run": ["a", "a", "b", "a", "b", "b"],
    "sparsity": [0.0] * 6,
    "nonzero_params": [1e6, 1e6, 2e6, 1e6, 2e6, 2e6],
    "data_seen": [1e9, 3e9, 1e9, 2e9, 3e9, 2e9],
    "loss": [4.0, 3.0, 3.9, 3.5, None, 3.4],
}


def test_the_last_row_of_each_run_is_the_one_with_the_most_data_that_has_a_loss() -> None:
    runs = runs_from(table_of(HISTORY), Reading(last_per="run"))
    assert runs.loss.tolist() == [3.0, 3.4]
    assert dropped(runs) == {"not the last of its run (by data_seen)": 4}


def test_where_data_do_not_tell_the_step_says_what_is_last_and_then_the_order_of_rows() -> None:
    planned = {**HISTORY, "data_seen": [3e9] * 6}
    assert runs_from(table_of(planned), Reading(last_per="run")).loss.tolist() == [3.5, 3.4]
    steps = {**planned, "_step": [1, 30, 1, 2, 3, 2]}
    assert runs_from(table_of(steps), Reading(last_per="run")).loss.tolist() == [3.0, 3.4]


def test_a_run_whose_last_loss_is_not_a_number_diverged_and_is_left_out() -> None:
    runs = runs_from(table_of({**HISTORY, "loss": [4.0, "NaN", 3.9, 3.5, None, 3.4]}), Reading(last_per="run"))
    assert runs.loss.tolist() == [3.4]
    assert runs.left_out[0].reason == "no finite loss (NaN)"


def test_a_history_that_names_no_run_or_no_number_is_an_error_at_its_row(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("run,sparsity,nonzero_params,data_seen,loss\na,0,1e6,1e9,3\n,0,1e6,x,3\n")
    with pytest.raises(RunsError, match=r":3: run: expected the run's name"):
        read_runs(path, Reading(last_per="run"))
    path.write_text("run,sparsity,nonzero_params,data_seen,loss\na,0,1e6,1e9,3\nb,0,1e6,x,3\n")
    with pytest.raises(RunsError, match=r":3: data_seen: expected a number, by which `last_per`"):
        read_runs(path, Reading(last_per="run"))
    path.write_text("run_id,sparsity,nonzero_params,data_seen,loss\na,0,1e6,1e9,3\na,0,1e6,2e9,2\n")
    with pytest.raises(RunsError, match=r"`last_per` run_id takes the last"):
        read_runs(path)


CONFIG = {"model/num_parameters": 1_000_000, "sparsity": 0.5, "lr": {"peak": 3e-4}, "note": "it's"}
SUMMARY = {"eval/loss": 3.25, "train/num_input_tokens_seen": 2_000_000_000, "eval/ppl": float("nan")}


@pytest.mark.parametrize("written", [repr, json.dumps, lambda one: one], ids=["python", "json", "dictionary"])
def test_the_export_that_wandb_documents_is_read_by_its_preset(written: Any) -> None:
    table = {
        "summary": [written(SUMMARY), written({**SUMMARY, "eval/loss": 9.0})],
        "config": [written(CONFIG), written(CONFIG)],
        "name": ["lively-sun-1", "lively-sun-1"],
        "state": ["finished", "preempting"],
    }
    runs = runs_from(table_of(table), Reading(preset="wandb"))
    assert (runs.loss.tolist(), runs.nonzero_params.tolist()) == ([3.25], [1e6])
    assert (runs.data_seen.tolist(), runs.sparsity.tolist()) == ([2e9], [0.5])
    assert dropped(runs) == {"state is preempting": 1}
    assert runs.understood is not None
    assert runs.understood.columns["nonzero_params"] == "config.model/num_parameters"
    conditioned = runs_from(table_of(table), Reading(preset="wandb", where=(parse_condition("config.lr.peak<1e-3"),)))
    assert len(conditioned) == 1


def test_the_runs_table_of_the_wandb_page_is_read_by_its_preset_and_columns_override_it(tmp_path: Path) -> None:
    path = tmp_path / "wandb.csv"
    path.write_text(
        '"Name","State","ID","Notes","n_params","model/num_parameters","sparsity","train/num_input_tokens_seen","eval/loss"\n'
        '"sun","finished","k3x","","900000","1000000","0","1e9","3.5"\n"sun","crashed","k4x","","1","2","0","1e9","3.9"\n'
    )
    assert read_runs(path, Reading(preset="wandb")).run_id == ("k3x",)
    mapped = read_runs(path, Reading(preset="wandb", columns={"nonzero_params": "n_params"}))
    assert mapped.nonzero_params.tolist() == [9e5]


def test_the_dataframe_of_mlflow_is_read_by_its_preset() -> None:
    table = {
        "run_id": ["3f2a", "77b0", "c1d2"],
        "experiment_id": ["1"] * 3,
        "status": ["FINISHED", "FAILED", "SCHEDULED"],
        "metrics.eval_loss": [3.25, 3.0, None],
        "metrics.data_seen": [1e9] * 3,
        "params.nonzero_params": ["1000000"] * 3,
        "params.sparsity": ["0.5"] * 3,
        "tags.mlflow.user": ["ada"] * 3,
    }
    runs = runs_from(table_of(table), Reading(preset="mlflow"))
    assert (runs.run_id, runs.loss.tolist()) == (("3f2a",), [3.25])
    assert dropped(runs) == {"status is FAILED": 1, "status is SCHEDULED": 1}


OLMO = {
    "_step": [1, 2, 2],
    "throughput/total_tokens": [1e9, 2e9, 2e9],
    "throughput/total_training_Gflops": [1e9 * 7e8 / 1e9, 2e9 * 7e8 / 1e9, 2e9 * 7e8 / 1e9],
    "eval/c4_en-validation/CrossEntropyLoss": [4.0, 3.5, 3.2],
    "learning_rate_peak": [1e-3] * 3,
    "batch_size_in_tokens": [2**20] * 3,
}


def test_histories_of_the_olmo_ladder_give_the_last_row_of_each_run_as_dense() -> None:
    joined = {**OLMO, "run": ["190M-1xC", "190M-1xC", "370M-1xC"], "nonzero_params": ["190M", "190M", "370M"]}
    runs = runs_from(table_of(joined), Reading(preset="olmo"))
    assert runs.run_id == ("190M-1xC", "370M-1xC")
    assert (runs.loss.tolist(), runs.data_seen.tolist()) == ([3.5, 3.2], [2e9, 2e9])
    assert runs.sparsity.tolist() == [0.0, 0.0]
    del joined["throughput/total_tokens"]
    from_flops = runs_from(table_of(joined), Reading(preset="olmo"))
    assert from_flops.data_seen.tolist() == pytest.approx([1.4e18 / (6 * 1.9e8), 1.4e18 / (6 * 3.7e8)])
    with pytest.raises(RunsError, match="`preset` olmo: expected a column that names the run of each row, as run"):
        runs_from(table_of({**OLMO, "nonzero_params": ["190M"] * 3}), Reading(preset="olmo"))


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(RunsError, match="`preset` wandd: expected wandb or mlflow or olmo"):
        read(Reading(preset="wandd"))


def test_data_follow_from_training_flops_as_the_planner_counts_them() -> None:
    schedule = parse_schedule("cubic:25%..75%")
    cost = flops_cost("sparse", schedule, tokens_per_unit=196.0)
    flops = [float(cost.flops_for(2e9, S, N)) for S, N in zip(RUNS["sparsity"], RUNS["nonzero_params"], strict=True)]
    table = {name: column for name, column in RUNS.items() if name != "data_seen"} | {"train_flops": flops}
    runs = runs_from(table_of(table), Reading(schedule=schedule, tokens_per_unit=196.0))
    assert runs.data_seen.tolist() == pytest.approx([2e9] * 3, rel=1e-12)
    assert runs.understood is not None
    assert runs.understood.data_from_flops == 3
    with pytest.raises(RunsError, match=r"row 2: data_seen: expected a number, found none; .* give `schedule`"):
        runs_from(table_of(table))
    half = runs_from(table_of({**table, "data_seen": ["1B", "", ""], "sparsity": [0.0] * 3}))
    assert half.data_seen[0] == 1e9
    assert half.data_seen[1] == pytest.approx(flops[1] / 6e6)


def test_an_empty_cell_of_a_mapped_column_names_file_line_and_both_columns(tmp_path: Path) -> None:
    path = tmp_path / "wandb.csv"
    path.write_text('loss,tokens,sparsity,config\n3,1e9,0,"{""n"": 1e6}"\n3,2e9,0,"{""n"": ""big""}"\n')
    with pytest.raises(RunsError) as caught:
        read_runs(path, Reading(columns={"nonzero_params": "config.n", "data_seen": "tokens"}))
    assert str(caught.value).startswith(f"{path}:3: nonzero_params (config.n): expected a number")


def test_what_only_looks_like_a_dictionary_stays_text_and_odd_values_stay_their_text() -> None:
    odd = ["{curly}", "{'a': tensor(3.0), 'b': -inf, 'c': [1, 2]}", "{" * 3000 + "}"]
    table = table_of({**RUNS, "odd": odd})
    assert {"odd", "odd.a", "odd.b", "odd.c"} <= set(table.columns)
    assert table.rows[1].cells["odd.a"] == "tensor(3.0)"
    assert table.rows[1].cells["odd.b"] == float("-inf")
    assert table.rows[0].cells["odd"] == "{curly}"
    assert len(runs_from(table)) == 3


CSV = "sparsity,nonzero_params,data_seen,loss\n0,1e6,1e9,3.5\n0.5,1e6,1e9,3.3\n"


@pytest.mark.parametrize("name", ["runs.csv.gz", "runs.tsv.gz", "runs.jsonl.gz"])
def test_a_compressed_table_is_read_like_the_plain_one(name: str, tmp_path: Path) -> None:
    text = CSV.replace(",", "\t") if ".tsv" in name else CSV
    if "jsonl" in name:
        header, *rows = CSV.splitlines()
        text = "\n".join(json.dumps(dict(zip(header.split(","), row.split(","), strict=True))) for row in rows)
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()))
    runs = read_runs(path)
    assert (runs.loss.tolist(), runs.where[0]) == ([3.5, 3.3], f"{path}:{1 if 'jsonl' in name else 2}")


def test_a_broken_or_an_expanding_compressed_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode())[:-12])
    with pytest.raises(RunsError, match="isn't a whole gzip file"):
        read_runs(path)
    path.write_bytes(gzip.compress(b"0" * (65 * 2**20), compresslevel=1))
    with pytest.raises(RunsError, match="expected a runs table below 64 MiB"):
        read_runs(path)


@pytest.mark.parametrize(
    "raw",
    [
        CSV.encode(),
        gzip.compress(CSV.encode()),
        b'{"sparsity": 0, "nonzero_params": 1e6, "data_seen": 1e9, "loss": 3.5}\n' * 1
        + b'{"sparsity": 0.5, "nonzero_params": 1e6, "data_seen": 1e9, "loss": 3.3}',
        json.dumps(
            [dict(zip(CSV.splitlines()[0].split(","), (0, 1e6, 1e9, L), strict=True)) for L in (3.5, 3.3)]
        ).encode(),
        b'{"sparsity": {"0": 0, "1": 0.5}, "nonzero_params": {"0": 1e6, "1": 1e6}, "data_seen": {"0": 1e9, "1": 1e9}, '
        b'"loss": {"0": 3.5, "1": 3.3}}',
    ],
    ids=["csv", "gzip", "json lines", "json list", "json columns"],
)
def test_standard_input_is_read_by_what_it_begins_with(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
    runs = read_runs(Path("-"))
    assert runs.loss.tolist() == [3.5, 3.3]
    assert runs.source == "standard input"
