"""`sp.fit` takes whatever holds columns, gives what the command gives, and names its arguments in its errors."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.errors import FitError, LawError, PlanError, QuantityError, RunsError
from sparseplan.laws.file import read_law
from sparseplan.laws.forms.frantar2023 import Coefficients, loss
from sparseplan.runs.columns import table_of
from sparseplan.runs.table import Runs, runs_from
from tests.helpers.same import assert_same

TRUTH = Coefficients(a_S=10.7, b_S=1.34, c_S=41.6, b_N=0.232, a_D=6.8e8, b_D=0.385, c=0.83)
Columns = dict[str, list[Any]]


def made() -> Columns:
    """27 runs of a known law with noise of 0.3 %."""
    grid = [(S, N, D) for N in (1.3e6, 1e7, 8.4e7) for S in (0.0, 0.5, 0.75) for D in (1.6e10, 3.3e10, 6.6e10)]
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(len(grid)))
    columns: Columns = {
        name: [run[i] for run in grid] for i, name in enumerate(("sparsity", "nonzero_params", "data_seen"))
    }
    columns["loss"] = [float(loss(TRUTH, *run) * one) for run, one in zip(grid, noise, strict=True)]
    columns["run_id"] = [f"r{i}" for i in range(len(grid))]
    return columns


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    columns = made()
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path = tmp_path / "team.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class LikePandas:
    """An index of names that isn't a list, columns by name, NaN and NA where a cell is missing."""

    class Series:
        def __init__(self, values: list[Any]) -> None:
            self._values = values

        def to_numpy(self) -> np.ndarray[Any, Any]:
            return np.array(self._values, dtype=object)

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.columns = np.array(list(columns), dtype=object)

    def __getitem__(self, name: str) -> "LikePandas.Series":
        return self.Series(self._columns[name])


class LikePolars:
    """A list of names, columns by name that know `to_list`."""

    class Series:
        def __init__(self, values: list[Any]) -> None:
            self._values = values

        def to_list(self) -> list[Any]:
            return self._values

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> "LikePolars.Series":
        return self.Series(self._columns[name])


class Exchanged:
    """A dataframe that can do nothing but hand itself over by the interchange protocol."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        return self._table.__dataframe__(nan_as_null, allow_copy)


class Streamed:
    """A dataframe that can do nothing but stream itself in Arrow's layout."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


def same(one: Runs, other: Runs) -> bool:
    arrays = ("sparsity", "nonzero_params", "data_seen", "loss")
    return one.run_id == other.run_id and all(
        getattr(one, name).tolist() == getattr(other, name).tolist() for name in arrays
    )


def test_every_kind_of_table_is_the_same_runs() -> None:
    columns = made()
    expected = runs_from(table_of(columns))
    assert len(expected) == 27
    arrays = {name: np.array(values) for name, values in columns.items()}
    for kind in (arrays, LikePandas(columns), LikePolars(columns)):
        assert same(runs_from(table_of(kind)), expected), type(kind)


def test_arrow_tables_streams_and_the_interchange_protocol_are_the_same_runs() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    columns = made()
    expected = runs_from(table_of(columns))
    arrow = pyarrow.table(columns)
    for kind in (arrow, Streamed(arrow), Exchanged(arrow)):
        assert same(runs_from(table_of(kind)), expected), type(kind)


def test_missing_cells_of_a_dataframe_are_missing_and_not_words() -> None:
    class Missing:
        def __str__(self) -> str:
            return "<NA>"

    frame = LikePandas(
        {
            "pattern": ["2:4", np.nan, "unstructured"],
            "sparsity": [np.nan, 0.0, np.float64(0.25)],
            "nonzero_params": [np.int64(1_000_000), 2e6, Missing()],
            "dense_params": [Missing(), None, 4e6],
            "data_seen": ["2B", "4B", 8e9],
            "loss": [3.5, 3.0, 2.5],
            "run_id": [np.nan, "a", Missing()],
        }
    )
    runs = runs_from(table_of(frame))
    assert runs.sparsity.tolist() == [0.5, 0.0, 0.25]
    assert runs.nonzero_params.tolist() == [1e6, 2e6, 3e6]
    assert runs.run_id == ("row 1", "a", "row 3")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (3, "`table`: expected a path, a dict of columns or a dataframe .*, found int"),
        ({}, "expected at least one run"),
        ({"loss": []}, "expected at least one run"),
        ({"loss": [1.0, 2.0], "sparsity": [0.0]}, "expected columns of one length, found loss 2, sparsity 1"),
        ({"loss": 3.0}, "column loss: expected a list or an array, found 3.0"),
        ({"loss": "3.0"}, "column loss: expected a list or an array, found '3.0'"),
        ({"loss": np.ones((2, 2))}, r"row 1: loss: expected one value, found \[1.0, 1.0\]"),
        ({"loss": [3.0], 1: [2.0], "1": [2.0]}, "expected each column once, found 1 more than once"),
        ({"S": [0.0], "loss": [3.0]}, "the table: the columns sparsity, .* are missing.*`columns` sparsity=S"),
    ],
)
def test_what_is_no_table_is_one_clear_error(table: object, says: str) -> None:
    with pytest.raises(RunsError, match=says):
        sp.fit(table, draws=0)


def test_a_bad_row_is_named_by_its_number() -> None:
    columns = made()
    columns["sparsity"][2], columns["loss"][4] = 1.5, -3.0
    with pytest.raises(RunsError) as caught:
        sp.fit(columns)
    first, second = str(caught.value).splitlines()
    assert first.startswith("row 3: sparsity: expected")
    assert second.startswith("row 5: loss: expected")


def without_gradient(report: str) -> str:
    """What the report says but for the gradient, which is rounding at a minimum."""
    return re.sub(r"gradient \S+,", "gradient,", report)


def test_a_file_is_fitted_as_by_the_command(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--form", "frantar2023", "--bootstrap", "60", "--holdout", "largest-n", "--seed", "3"]
    words += ["--schedule", "linear:0..50%"]
    fitted = sp.fit(csv, form="frantar2023", draws=60, holdout="largest-n", seed=3, schedule="linear:0..50%")
    assert run(["fit", str(csv), *words, "--json"]) == 0
    assert_same(json.loads(capsys.readouterr().out), json.loads(fitted.to_json()))
    assert run(["fit", str(csv), *words, "--out", str(tmp_path / "team.yaml")]) == 0
    printed = capsys.readouterr().out
    assert "Written to" in printed
    assert "Next: sparseplan optimal --law" in printed
    # What follows the verdict is where the law was written.
    assert without_gradient(printed.rpartition(" runs.")[0]) == without_gradient(str(fitted).rpartition(" runs.")[0])
    fitted.save(tmp_path / "ours.yaml")
    ours, theirs = (yaml.safe_load((tmp_path / name).read_text()) for name in ("ours.yaml", "team.yaml"))
    assert_same(ours, theirs)


def test_columns_in_memory_give_the_coefficients_of_the_file_and_a_law_that_plans(csv: Path, tmp_path: Path) -> None:
    columns = made()
    renamed = {{"nonzero_params": "N", "run_id": "Name"}.get(name, name): values for name, values in columns.items()}
    fitted = sp.fit(renamed, columns={"nonzero_params": "N", "run_id": "Name"}, draws=60, name="mine", data_unit="byte")
    assert_same(fitted.answer.coefficients, sp.fit(csv, draws=60).answer.coefficients)
    assert (fitted.law.name, fitted.law.data_unit, fitted.answer.runs) == ("mine", "byte", "the table")
    assert sp.optimal(1e19, law=fitted.law).intervals is not None
    fitted.save(tmp_path / "mine.yaml")
    assert read_law(tmp_path / "mine.yaml") == fitted.law
    assert "typical error" in fitted._repr_html_()
    assert repr(fitted) == "<Fit of mine to 27 runs: converged>"


def test_the_figure_page_is_written(csv: Path, tmp_path: Path) -> None:
    sp.fit(csv, draws=0).draw(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_a_law_is_saved_only_where_it_can_be_found_again(csv: Path, tmp_path: Path) -> None:
    with pytest.raises(LawError, match=r"expected a file ending in \.yaml"):
        sp.fit(csv, draws=0).save(tmp_path / "law.txt")
    assert not (tmp_path / "law.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"residual": "logs"}, PlanError, r"`residual`: expected log, plain, found 'logs' \(did you mean 'log'"),
        ({"loss": "cauchy"}, PlanError, "`loss`: expected huber, squared"),
        ({"holdout": "largest-m"}, PlanError, "`holdout`: expected largest-n"),
        ({"huber_delta": 0}, QuantityError, "`huber_delta`: expected a number above 0"),
        ({"draws": -1}, QuantityError, "`draws`: expected a whole number from 0 to 100000, found -1"),
        ({"starts": 2.5}, QuantityError, "`starts`: expected a whole number from 1"),
        ({"seed": -1}, QuantityError, "`seed`: expected a whole number from 0 on"),
        ({"tokens_per_unit": "few"}, QuantityError, "`tokens_per_unit`"),
        ({"tie_dense": True}, FitError, "`tie_dense`.*`freeze_dense`"),
        ({"name": "my law"}, FitError, "`name` my law"),
        ({"group": "trunks"}, RunsError, "`group` trunks: there is no such column; the table has"),
        ({"columns": {"loss": "los"}}, RunsError, "`columns` loss=los: there is no column 'los'"),
        ({"columns": {"los": "loss"}}, RunsError, "`columns` los=loss: expected one of"),
    ],
)
def test_a_mistake_names_its_argument(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        sp.fit(made(), **arguments)


@pytest.mark.parametrize("first", ["sparseplan.fit.fit_table", "sparseplan.api.fitting", "sparseplan"])
def test_fit_is_the_function_whatever_was_imported_before(first: str) -> None:
    code = f"import {first}, sparseplan as sp; from sparseplan.fit.holdout import SPLITS; print(sp.fit.__module__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "sparseplan.api.fitting\n"
