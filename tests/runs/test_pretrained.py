"""Tables of runs that started from dense weights."""

from typing import Any

import pytest

import sparseplan as sp
from sparseplan.errors import RunsError
from sparseplan.laws.law import PretrainedStart
from tests.helpers.tables import simulated

COLUMN = "dense_data_seen"


def table_of_runs() -> dict[str, list[Any]]:
    runs = simulated()
    return {name: getattr(runs, name).tolist() for name in ("sparsity", "nonzero_params", "data_seen", "loss")}


def test_a_law_fitted_to_runs_from_dense_weights_says_so() -> None:
    table = table_of_runs()
    count = len(table["loss"])
    table[COLUMN] = ["20B", 4e10, *["2e10"] * (count - 2)]
    fitted = sp.fit(table, draws=0)
    assert fitted.law.start == PretrainedStart(dense_data_seen=(2e10, 4e10))
    table[COLUMN] = [None] * count
    assert sp.fit(table, draws=0).law.start is None


def test_runs_from_scratch_and_from_dense_weights_are_not_one_law_and_bad_values_are_named() -> None:
    table = table_of_runs()
    count = len(table["loss"])
    table[COLUMN] = [2e10, None, *[2e10] * (count - 2)]
    with pytest.raises(RunsError, match="row 2: dense_data_seen: expected what its dense weights had been trained on"):
        sp.fit(table, draws=0)
    table[COLUMN] = [2e10, "many", *[2e10] * (count - 2)]
    with pytest.raises(RunsError, match="row 2: dense_data_seen: expected a number"):
        sp.fit(table, draws=0)


def test_a_row_that_is_left_out_says_nothing_of_the_others() -> None:
    table = table_of_runs()
    count = len(table["loss"])
    table[COLUMN] = [2e10] * count + [None]
    for name in table:
        if name != COLUMN:
            table[name] = [*table[name], float("nan") if name == "loss" else table[name][-1]]
    assert sp.fit(table, draws=0).law.start == PretrainedStart(dense_data_seen=(2e10, 2e10))
