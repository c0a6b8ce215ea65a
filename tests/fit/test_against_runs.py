"""Claims about `laws check --runs`: it tells the law of a table from every other law and every other table."""

import csv
import json
from dataclasses import replace as with_fields
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from sparseplan.cli import run
from sparseplan.errors import RunsError
from sparseplan.fit.against_runs import against_runs, check_runs
from sparseplan.fit.fit_table import FitJob, fit_runs, run_fit
from sparseplan.laws.file import builtin_laws, law_text, load_law, parse_law, read_law
from sparseplan.laws.law import Law
from sparseplan.report.law_check import check_facts
from sparseplan.runs.published import published_folder
from sparseplan.runs.table import Runs
from tests.fit.test_repeats import made, made_sparse
from tests.helpers.paper_runs import needs_paper_runs
from tests.helpers.tables import Grid, simulated, write

ROOT = Path(__file__).parents[2]
GPT = ROOT / "calibration" / "gpt-stdlib-cpu"
FEW = {"draws": 0, "starts": 4}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(simulated(Grid(lengths=(2e9, 6e9, 2e10))), tmp_path / "runs.csv")


def fitted(table: Path, **job: object) -> Law:
    return run_fit(table, FitJob(**(FEW | job))).law  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", sorted((ROOT / "calibration").glob("*/law.yaml")), ids=lambda path: path.parent.name)
def test_every_committed_calibration_is_the_law_of_its_table(folder: Path) -> None:
    found = check_runs(read_law(folder), folder.parent / "runs.csv")
    assert found.outcome == "match"
    assert found.objective == pytest.approx(found.recorded_objective, rel=1e-9)
    assert found.runs == read_law(folder).fit["runs"]
    with (folder.parent / "runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # A table of several strategies counts for a law by its own runs and the dense ones.
    strategy = read_law(folder).provenance.get("strategy")
    several = len({row["strategy"] for row in rows} - {"dense"}) > 1
    rows = [row for row in rows if not several or row["strategy"] == strategy or float(row["sparsity"]) == 0]
    groups = sum(row["pattern"] != "unstructured" and float(row["sparsity"]) > 0 for row in rows)
    assert found.aside == ({"n:4": groups} if groups else {})
    assert found.runs + groups == len(rows)


@needs_paper_runs
@pytest.mark.parametrize("path", [path for path in builtin_laws() if "runs_sha256" in path.read_text()], ids=str)
def test_the_built_in_refits_are_the_laws_of_the_authors_files(path: Path) -> None:
    law = read_law(path)
    assert check_runs(law, published_folder() / str(law.provenance["runs"])).outcome == "match"


@pytest.mark.parametrize(
    "job",
    [
        {},
        {"form": "coupled"},
        {"form": "varying-exponents"},
        {"residual": "plain", "huber_delta": 0.01},
        {"loss": "squared"},
        {"prior": True},
        {"freeze_dense": "frantar2023-t5-c4-refit"},
        {"freeze_dense": "frantar2023-t5-c4-refit", "tie_dense": True},
    ],
    ids=lambda job: "-".join(f"{key} {value}" for key, value in job.items()) or "plain",
)
def test_whatever_was_fitted_is_the_law_of_its_table_also_from_its_file(table: Path, job: dict[str, object]) -> None:
    law = parse_law(law_text(fitted(table, **job)), source="law.yaml")
    found = check_runs(law, table)
    assert found.outcome == "match", found.message


@pytest.mark.parametrize("runs", [made(noise=0.01), made_sparse()], ids=["dense", "sparse"])
def test_laws_of_repeated_data_are_recomputed_with_their_rates(runs: Runs) -> None:
    noise = 0.01 * np.sin(np.arange(len(runs)))
    noisy = with_fields(runs, loss=runs.loss * np.exp(noise), sha256="0" * 64)
    law = fit_runs(noisy, FitJob(draws=0, starts=4)).law
    assert law.repetition is not None
    assert against_runs(law, noisy).outcome == "match"
    without = replace(law, repetition=None)
    assert against_runs(without, noisy).outcome == "other numbers"


def test_typical_error_and_rms_are_those_of_the_predictions(table: Path) -> None:
    law = fitted(table)
    found = check_runs(law, table)
    with table.open() as file:
        rows = [{key: float(value) for key, value in row.items() if key != "run_id"} for row in csv.DictReader(file)]
    own, dense = law.sparsity["unstructured"], law.coefficients
    errors = []
    for row in rows:
        numerator = own["a_S"] * (1 - row["sparsity"]) ** own["b_S"] + own["c_S"]
        size = numerator * row["nonzero_params"] ** -dense["b_N"]
        predicted = size + (dense["a_D"] / row["data_seen"]) ** dense["b_D"] + dense["c"]
        errors.append(abs(np.log(predicted / row["loss"])))
    assert found.typical_error == pytest.approx(np.median(errors), rel=1e-9)
    assert found.rms == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-9)


@pytest.mark.parametrize("name", ["b_N", "a_D", "b_D", "c"])
def test_a_coefficient_changed_in_its_fifth_digit_is_seen(name: str) -> None:
    law = read_law(GPT / "law.yaml")
    edited = replace(law, coefficients=law.coefficients | {name: law.coefficients[name] * 1.0001})
    found = check_runs(edited, GPT / "runs.csv")
    assert found.outcome == "other numbers"
    assert "coefficients were changed since" in found.message


def test_the_same_rows_in_another_file_are_the_same_numbers(table: Path, tmp_path: Path) -> None:
    law = fitted(table)
    copy = tmp_path / "copy.csv"
    lines = table.read_text().splitlines()
    copy.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    found = check_runs(law, copy)
    assert found.outcome == "same numbers"
    assert found.sha256 != found.recorded_sha256


def test_the_same_rows_with_other_losses_are_other_numbers(table: Path, tmp_path: Path) -> None:
    law = fitted(table)
    runs = simulated(Grid(lengths=(2e9, 6e9, 2e10)))
    losses = runs.loss.copy()
    losses[7] *= 1.01
    found = check_runs(law, write(with_fields(runs, loss=losses), tmp_path / "other.csv"))
    assert found.outcome == "other numbers"
    assert "as many runs over the same range" in found.message


def test_fewer_or_other_runs_are_another_table(table: Path, tmp_path: Path) -> None:
    law = fitted(table)
    fewer = simulated(Grid(lengths=(2e9, 6e9, 2e10))).take(np.arange(4, 40))
    found = check_runs(law, write(fewer, tmp_path / "fewer.csv"))
    assert found.outcome == "other table"
    assert "36 runs, not 60" in found.message
    longer = simulated(Grid(lengths=(2e9, 2.5e10)))
    assert check_runs(law, write(longer, tmp_path / "longer.csv")).outcome == "other table"


def test_numbers_written_with_few_digits_are_taken_as_rounded(table: Path) -> None:
    law = fitted(table)
    rounded = float(f"{law.fit['objective']:.3g}")
    assert check_runs(replace(law, fit=law.fit | {"objective": rounded}), table).outcome == "match"
    assert check_runs(replace(law, fit=law.fit | {"objective": 1.02 * rounded}), table).outcome == "other numbers"


def test_a_law_that_records_nothing_is_neither_confirmed_nor_denied(table: Path) -> None:
    law = replace(fitted(table), fit={}, provenance={})
    found = check_runs(law, table)
    assert (found.outcome, found.objective, found.differs) == ("unknown", None, False)
    assert found.typical_error < 0.01


@pytest.mark.parametrize("fit", [{"loss": 3, "runs": "many"}, {"loss": "huber", "residual": "log", "objective": "low"}])
def test_odd_words_about_the_fit_break_nothing(table: Path, fit: dict[str, object]) -> None:
    assert check_runs(replace(fitted(table), fit=fit, provenance={}), table).outcome == "unknown"


def test_predictions_that_overflow_are_errors_without_bound_and_null_in_json(table: Path) -> None:
    law = replace(fitted(table), coefficients={"b_N": 300.0, "a_D": 1e300, "b_D": 300.0, "c": 1e308})
    found = check_runs(law, table)
    assert found.outcome == "other numbers"
    assert json.loads(json.dumps(check_facts(law, [], found), allow_nan=False))["runs"]["rms"] is None


def test_a_table_in_another_unit_or_of_other_patterns_is_an_error(table: Path, tmp_path: Path) -> None:
    with pytest.raises(RunsError, match="count data in bytes, the law 'frantar2023-t5-c4' in tokens"):
        check_runs(load_law("frantar2023-t5-c4"), GPT / "runs.csv")
    sparse = simulated(Grid(sparsities=(0.5, 0.75)))
    with pytest.raises(RunsError, match="none of its runs is of a pattern that the law 'hoffmann2022-chinchilla'"):
        check_runs(load_law("hoffmann2022-chinchilla"), write(sparse, tmp_path / "sparse.csv"))


def test_the_command_says_so_and_strict_ends_with_2(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law = tmp_path / "team.yaml"
    law.write_text(law_text(fitted(table)), encoding="utf-8")
    check = ["laws", "check", str(law), "--runs", str(table)]
    assert run([*check, "--strict"]) == 0
    assert f"{table}: match: the table that the law was fitted to" in " ".join(capsys.readouterr().out.split())
    names = {"nonzero_params": "N", "data_seen": "D", "loss": "L"}
    header, _, rest = table.read_text().partition("\n")
    for ours, theirs in names.items():
        header = header.replace(ours, theirs)
    table.write_text(f"{header}\n{rest}")
    mapping = [word for pair in names.items() for word in ("--column", "=".join(pair))]
    assert run([*check, *mapping, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"]["outcome"] == "same numbers"
    law.write_text(law.read_text().replace("huber_delta: 0.001", "huber_delta: 0.002"), encoding="utf-8")
    assert run([*check, *mapping]) == 0
    assert run([*check, *mapping, "--strict"]) == 2
    assert f"! {table}: other numbers" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--runs", "/nonexistent/runs.csv"], "can't read this runs table"),
        (["--runs", "/nonexistent/t5-data.csv"], "can't read this runs table"),
        (["--runs", "/dev/null"], "expected a runs table ending in .csv"),
        (["--column", "loss=L"], "--column says how to read a table, and there is none; give it with --runs"),
    ],
)
def test_what_can_not_be_held_against_a_law_is_one_error(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["laws", "check", "frantar2023-t5-c4-refit", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert expected in printed.err
