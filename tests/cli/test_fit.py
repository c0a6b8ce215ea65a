"""What a user of `sparseplan fit` sees."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from sparseplan.cli import run
from sparseplan.laws.file import read_law
from sparseplan.laws.forms.frantar2023 import Coefficients, loss
from sparseplan.runs.written_table import RunRow, write_runs
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.tables import Grid, simulated, write

TRUTH = Coefficients(a_S=10.7, b_S=1.34, c_S=41.6, b_N=0.232, a_D=6.8e8, b_D=0.385, c=0.83)
PLAIN = ("--form", "frantar2023")
"""What is seen here is of any form; which one is chosen is seen in tests/fit/test_choose_form.py."""
FIXED_KEYS = {
    "format",
    "objective",
    "coefficients",
    "intervals",
    "n_runs",
    "starts",
    "starts_at_optimum",
    "status",
    "warnings",
    "holdout",
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows: list[RunRow] = []
    for N in (1.3e6, 5.2e6, 2.1e7, 8.4e7):
        for S in (0.0, 0.5, 0.75):
            for D in (1.6e10, 3.3e10, 6.6e10):
                L = float(loss(TRUTH, S, N, D) * np.exp(0.003 * rng.standard_normal()))
                rows.append(
                    RunRow(
                        run_id=f"r{len(rows)}",
                        pattern="unstructured",
                        sparsity=S,
                        nonzero_params=N,
                        data_seen=D,
                        data_unit="byte",
                        loss=L,
                    )
                )
    rows.append(
        RunRow(
            run_id="gone",
            pattern="unstructured",
            sparsity=0.5,
            nonzero_params=1e6,
            data_seen=1e9,
            data_unit="byte",
            loss=None,
            diverged=True,
        )
    )
    path = tmp_path / "runs.csv"
    write_runs(rows, path)
    return path


def test_the_written_law_plans_with_intervals(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    law = tmp_path / "team.yaml"
    assert run(["fit", str(table), *PLAIN, "--out", str(law), "--bootstrap", "120"]) == 0
    out = capsys.readouterr().out
    assert "1 row was left out" in out
    assert re.search(r"typical error 0\.\d+%, 36 runs.* Written to", " ".join(out.split()))
    written = read_law(law)
    assert written.name == "team"
    assert written.data_unit == "byte"
    assert written.fit["status"] == "converged"
    assert written.provenance["runs"] == "runs.csv"
    assert len(written.provenance["runs_sha256"]) == 64
    assert run(["optimal", "--flops", "1e19", "--params", "40M", "--law", str(law), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    low, high = plan["intervals"]["sparsity"]
    assert low <= plan["plan"]["sparsity"] <= high
    assert plan["intervals"]["p_sparse_better"] >= 0


def test_json_has_the_fixed_keys_and_the_held_out_errors(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(table), *PLAIN, "--json", "--bootstrap", "60", "--holdout", "largest-n"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) >= FIXED_KEYS
    assert answer["format"] == "sparseplan-fit/1"
    assert list(answer["coefficients"]) == ["a_S", "b_S", "c_S", "b_N", "a_D", "b_D", "c"]
    assert answer["n_runs"] == 36
    (held,) = answer["holdout"]
    assert held["runs"] == 9
    assert held["law"]["rms"] < 0.02 < held["baseline"]["rms"]


def test_without_draws_there_are_no_intervals(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(table), *PLAIN, "--json", "--bootstrap", "0"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["intervals"] is None
    assert answer["holdout"] is None


@pytest.mark.parametrize("split", ["largest-d", "highest-s", "rolling"])
def test_every_split_predicts_what_it_holds_out(split: str, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(table), *PLAIN, "--bootstrap", "0", "--holdout", split]) == 0
    assert "held out" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_figure_page_is_drawn(suffix: str, table: Path, tmp_path: Path) -> None:
    page = tmp_path / f"page.{suffix}"
    assert run(["fit", str(table), *PLAIN, "--bootstrap", "30", "--report", str(page)]) == 0
    assert page.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--column", "nonzero_params"], "expected our column and the file's"),
        (["--column", "nonzero_params=M"], "there is no column 'M'"),
        (["--group", "trunks"], "there is no such column"),
        (["--huber-delta", "0"], "expected a number above 0"),
        (["--tie-dense"], "--freeze-dense"),
        (["--freeze-dense", "hofmann2022-chinchilla"], "did you mean 'hoffmann2022-chinchilla'"),
        (["--freeze-dense", "hoffmann2022-chinchilla"], "count data in bytes"),
        (["--name", "my law"], "expected letters, digits"),
        (["--data-unit", "token"], "the table says byte"),
        (
            ["--schedule", "quadratic"],
            "expected cubic, linear, geometric, straight-through, rewinding with the ends of the ramp",
        ),
        (["--schedule", "cubic:75%..25%"], "found 'cubic:75%..25%'"),
        (["--schedule", "straight-through"], "as in cubic:25%..75% or straight-through:0"),
        (["--report", "page.txt"], "expected a picture ending in"),
        (["--report", "nowhere/page.png"], "--report nowhere/page.png: there is no folder nowhere"),
        (["--out", "nowhere/law.yaml"], "--out nowhere/law.yaml: there is no folder nowhere"),
        (["--holdout", "smallest"], "'smallest' is not one of"),
    ],
)
def test_bad_options_are_one_message_and_nothing_is_written(
    options: list[str], message: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    out = [] if "--out" in options else ["--out", str(tmp_path / "law.yaml")]
    assert run(["fit", str(table), *PLAIN, *out, "--bootstrap", "0", *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert sorted(tmp_path.iterdir()) == before


def test_a_bad_row_is_named_and_nothing_is_written(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(table.read_text().replace("r3,unstructured,,0.5,", "r3,unstructured,,1.5,"), encoding="utf-8")
    assert run(["fit", str(table), *PLAIN, "--out", str(tmp_path / "law.yaml")]) == 2
    error = capsys.readouterr().err
    assert f"{table}:" in error
    assert "sparsity: expected a sparsity in [0, 1)" in error
    assert not (tmp_path / "law.yaml").exists()


def test_a_table_that_cannot_decide_says_which_coefficients_and_gives_no_interval(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in table.read_text().splitlines() if ",66000000000," not in line and "0.75," not in line]
    table.write_text("\n".join(lines), encoding="utf-8")
    law = tmp_path / "law.yaml"
    assert run(["fit", str(table), *PLAIN, "--out", str(law)]) == 0
    out = capsys.readouterr().out
    assert "too few levels" in out
    assert "only two sparsities" in out
    assert read_law(law).draws is None
    assert read_law(law).fit["status"] == "too few levels"
    assert run(["optimal", "--flops", "1e19", "--law", str(law), "--json"]) == 0
    assert "poor-fit" in {warning["code"] for warning in json.loads(capsys.readouterr().out)["warnings"]}


def test_a_law_file_must_end_in_yaml_so_that_it_can_be_named_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs.csv"
    runs.write_text("sparsity,nonzero_params,data_seen,loss\n0,1e6,1e9,3\n", encoding="utf-8")
    assert run(["fit", str(runs), "--out", str(tmp_path / "law.txt")]) == 2
    assert "expected a file ending in .yaml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [runs]


def test_of_many_rows_left_out_three_are_shown_and_all_counted(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = table.read_text().splitlines()[-1]
    table.write_text(table.read_text() + "\n".join(gone.replace("gone", f"gone{i}") for i in range(4)), "utf-8")
    assert run(["fit", str(table), *PLAIN, "--json", "--bootstrap", "0"]) == 0
    answer = json.loads(capsys.readouterr().out)
    (said,) = (warning["message"] for warning in answer["warnings"] if warning["code"] == "left-out")
    assert said.startswith("5 rows were left out: ")
    assert said.count("marked as diverged") == 3
    assert said.endswith("; and 2 more.")
    assert len(answer["left_out"]) == 5


@pytest.mark.parametrize("times", [1e30, 1e300, 1e-30])
def test_losses_that_cannot_be_nats_are_refused_rather_than_fitted_at_a_bound(
    times: float, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line.split(",") for line in table.read_text().splitlines()]
    at = lines[0].index("loss")
    for cells in lines[1:]:
        cells[at] = f"{float(cells[at]) * times:.6g}" if cells[at] else ""
    table.write_text("\n".join(",".join(cells) for cells in lines), "utf-8")
    assert run(["fit", str(table), *PLAIN, "--out", str(tmp_path / "law.yaml")]) == 2
    assert "expected losses between 1e-06 and 1e+06 nats, found" in capsys.readouterr().err
    assert not (tmp_path / "law.yaml").exists()


@pytest.mark.parametrize("cost", ["sparse", "h100"])
def test_a_law_that_did_not_converge_gives_numbers_and_no_sentence_that_rests_on_them(
    cost: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seven = simulated().take(np.array([0, 7, 14, 23, 31, 42, 58]))
    law = tmp_path / "seven.yaml"
    assert run(["fit", str(write(seven, tmp_path / "runs.csv")), *PLAIN, "--out", str(law)]) == 0
    assert "(too few levels): there are 7 runs for 7 coefficients" in " ".join(capsys.readouterr().out.split())
    assert run(["optimal", "--flops", "1e19", "--law", str(law), "--cost", cost]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("Nothing to plan with: this law's fit ended with 'too few levels': there are 7 runs")
    assert "non-zero parameters" in out
    assert run(["contour", "--law", str(law)]) == 0
    assert "! this law's fit ended with 'too few levels'" in capsys.readouterr().err
    for sentence in ("stay dense", "worth", "A dense model needs", "pays", "Sparsity lowers", "No allowed sparsity"):
        assert sentence not in out


def test_what_the_fit_warned_of_is_in_every_plan_and_prediction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = simulated()
    table = write(replace(runs, nonzero_params=runs.nonzero_params / 1e6), tmp_path / "runs.csv")
    law = tmp_path / "team.yaml"
    assert run(["fit", str(table), *PLAIN, "--out", str(law), "--bootstrap", "0"]) == 0
    assert "Read: N 1.25 .. 540, D 2.00B .. 20.0B tokens, loss 1.5966 .. " in capsys.readouterr().out
    for command in (["optimal", "--flops", "1e15"], ["predict", "--params", "100", "--data", "1B", "--sparsity", "0"]):
        assert run([*command, "--law", str(law), "--json"]) == 0
        warnings = {one["code"]: one["message"] for one in json.loads(capsys.readouterr().out)["warnings"]}
        assert warnings["units"].startswith("the law's fit warned: nonzero_params (1.25 .. 540) is small")


def test_where_the_runs_begin_sparse_the_dense_plan_is_extrapolated_and_draws_stand_beside_stay_dense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(simulated(Grid(sparsities=(0.9, 0.95, 0.97, 0.98, 0.99))), tmp_path / "runs.csv")
    law = tmp_path / "sparse.yaml"
    assert run(["fit", str(table), *PLAIN, "--out", str(law), "--bootstrap", "40"]) == 0
    capsys.readouterr()
    assert run(["optimal", "--flops", "1e20", "--law", str(law), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    far = {(one["of"], one["axis"]): one for one in plan["extrapolation"]}
    assert far["dense plan", "sparsity"]["factor"] == pytest.approx(10)
    assert "0% is less sparse than any of the law's runs (90%)" in far["dense plan", "sparsity"]["message"]
    facts = yaml.safe_load(law.read_text("utf-8"))
    facts["sparsity"]["unstructured"] = {"a_S": 0.0, "b_S": 1.0, "c_S": 52.3}  # the law's values say dense
    law.write_text(yaml.safe_dump(facts), "utf-8")
    assert run(["optimal", "--flops", "1e20", "--law", str(law)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "stay dense (draws: 0% .. " in out
    assert "Zeros free: stay dense (draws: 0% .. " in out


def test_a_schedule_that_nobody_said_is_called_assumed_in_report_law_and_plans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, law = write(simulated(), tmp_path / "runs.csv"), tmp_path / "team.yaml"
    assert run(["fit", str(table), *PLAIN, "--out", str(law), "--bootstrap", "0"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "assumed: cubic ramp from 25% to 75% of training" in out
    assert "--schedule says it" in out
    assert run(["laws", "show", str(law)]) == 0
    assert "fit warned: nothing says how the runs were pruned; assumed: cubic ramp" in capsys.readouterr().out
    assert run(["contour", "--law", str(law)]) == 0
    assert "! the law's pruning schedule was assumed by sparseplan fit, not said" in capsys.readouterr().err
    optimal = ["optimal", "--flops", "1e20", "--law", str(law), "--json"]
    assert run(optimal) == 0
    assumed = json.loads(capsys.readouterr().out)
    assert "schedule-assumed" in {one["code"] for one in assumed["warnings"]}
    given = ["--pattern", "4:4"], ["--max-sparsity", "0"]  # nothing is pruned: nothing depends on the ramp
    for words in given:
        assert run([*optimal, *words]) == 0
        assert "schedule-assumed" not in {one["code"] for one in json.loads(capsys.readouterr().out)["warnings"]}
    said = ["fit", str(table), *PLAIN, "--out", str(law), "--bootstrap", "0", "--force", "--schedule", "linear:0..50%"]
    assert run(said) == 0
    assert "assumed" not in capsys.readouterr().out
    assert read_law(law).schedule == Schedule(kind="linear", start=0.0, end=0.5)
    assert run(optimal) == 0
    plan = json.loads(capsys.readouterr().out)
    assert "schedule-assumed" not in {one["code"] for one in plan["warnings"]}
    assert plan["plan"]["sparsity"] > assumed["plan"]["sparsity"] + 0.02  # zeros come earlier and save more


def test_a_column_strategy_says_how_the_runs_were_pruned_or_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, law = write(simulated(), tmp_path / "runs.csv"), tmp_path / "team.yaml"
    head, *rows = table.read_text().splitlines()

    def fitted(strategy: str, *more: str) -> int:
        table.write_text("\n".join([f"{head},strategy", *(f"{row},{strategy}" for row in rows)]) + "\n")
        return run(
            ["fit", str(table), *PLAIN, "--out", str(law), "--bootstrap", "0", "--force", "--starts", "8", *more]
        )

    assert fitted("static") == 0
    assert "assumed" not in capsys.readouterr().out
    assert read_law(law).schedule == Schedule(start=0.0, end=0.0)
    assert fitted("sr-ste") == 0
    assert read_law(law).schedule == Schedule(kind="straight-through", start=0.0, end=0.0)
    assert fitted("gradual-magnitude") == 0
    assert "schedule-assumed" in str(read_law(law).fit)
    capsys.readouterr()
    assert fitted("one-shot") == 2
    assert "--schedule: the strategy one-shot prunes when its settings say" in capsys.readouterr().err
    assert fitted("one-shot", "--schedule", "cubic:50%") == 0
    assert read_law(law).schedule == Schedule(start=0.5, end=0.5)


@pytest.mark.parametrize(
    "command",
    [
        ["fit", "runs.csv", "--bootstrap", "0", "--out", "there.yaml"],
        ["fit", "runs.csv", "--bootstrap", "0", "--report", "there.png"],
        ["contour", "--out", "there.csv", "--points", "3"],
        ["contour", "--out", "there.png", "--points", "3"],
        [
            *("laws", "compose", "--dense", "besiroglu2024-chinchilla", "--sparsity", "frantar2023-t5-c4"),
            *("--out", "there.yaml"),
        ],
        ["bench", "--quick", "--figure", "there.png"],
    ],
)
def test_a_file_that_is_there_is_replaced_with_force_only(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(simulated(), tmp_path / "runs.csv")
    (name,) = (word for word in command if word.startswith("there"))
    target = tmp_path / name
    target.write_text("mine", "utf-8")
    assert run(command) == 2
    written = capsys.readouterr()
    assert f"{name}: there is a file already; --force replaces it" in " ".join(written.err.split())
    assert written.out == ""
    assert target.read_text("utf-8") == "mine"
    if command[0] != "bench":
        assert run([*command, "--force"]) == 0
        assert target.read_bytes() != b"mine"


def test_the_largest_dense_size_is_held_out_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(simulated(), tmp_path / "runs.csv")
    held = {}
    for split in ("largest-n", "largest-dense"):
        assert run(["fit", str(table), *PLAIN, "--json", "--bootstrap", "0", "--holdout", split]) == 0
        (held[split],) = json.loads(capsys.readouterr().out)["holdout"]
    assert held["largest-n"]["runs"] == 3  # the dense runs of one size
    assert (held["largest-dense"]["runs"], held["largest-dense"]["fitted"]) == (15, 45)
    assert held["largest-dense"]["label"] == "N / (1 - S) = 5.4e+08"


def with_column(table: Path, name: str, values: list[str]) -> None:
    header, *rows = table.read_text().splitlines()
    lines = [f"{header},{name}", *(f"{row},{value}" for row, value in zip(rows, values, strict=True))]
    table.write_text("\n".join(lines), "utf-8")


def test_a_group_column_is_named_in_the_report_and_used_when_asked_for(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_column(table, "group", [f"g{i % 12}" for i in range(37)])
    assert run(["fit", str(table), *PLAIN, "--bootstrap", "20"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "the sparse law on 36 runs, 1 row left out" in out
    assert "the column 'group' isn't used; --group takes it" in out
    assert run(["fit", str(table), *PLAIN, "--bootstrap", "20", "--group", "group"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "the sparse law on 36 runs in 12 groups by the column group" in out
    assert "isn't used" not in out


def test_one_group_for_all_runs_gives_no_interval_of_width_zero_and_says_what_is_missing(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_column(table, "sweep", ["one"] * 37)
    assert run(["fit", str(table), *PLAIN, "--json", "--bootstrap", "60", "--group", "sweep"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["groups"], answer["grouped_by"]) == (1, "sweep")
    assert all(high > 1.001 * low for low, high in answer["intervals"].values())
    assert "the column sweep" not in {one["shared_by"] for one in answer["shared_errors"]}
    messages = {warning["code"]: warning["message"] for warning in answer["warnings"]}
    assert messages["few-groups"].startswith("all runs are in one group (column sweep): an error that they share")
