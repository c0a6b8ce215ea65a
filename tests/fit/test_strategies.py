"""Strategies on one dense base: what the joint fit recovers, what it calls a difference, and which laws it leaves."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparseplan.cli import run
from sparseplan.errors import FitError
from sparseplan.fit.fit_table import FitJob
from sparseplan.fit.strategies import StrategiesFit, fit_strategies
from sparseplan.fit.strategy_answer import StrategyTable
from sparseplan.fit.strategy_table import strategy_table
from sparseplan.laws.file import read_law
from sparseplan.laws.forms.frantar2023 import Coefficients, loss
from sparseplan.laws.law import coefficient_draws, coefficients
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule

BASE = {"b_N": 0.232, "a_D": 6.8e8, "b_D": 0.385, "c": 0.83}
F0 = 52.3
SETS = {"gradual": (10.7, 1.34), "static": (16.0, 0.35), "twin": (10.7, 1.34)}
"""a_S and b_S of each strategy: one dense model, so a_S + c_S = f(0) in all."""
SCHEDULES = {"gradual": Schedule(), "static": Schedule(start=0.0, end=0.0), "twin": Schedule(start=0.5, end=0.5)}


def truth(name: str) -> Coefficients:
    a_S, b_S = SETS[name]
    return Coefficients(a_S=a_S, b_S=b_S, c_S=F0 - a_S, **BASE)


def table(noise: float) -> Runs:
    """Each strategy at three sizes, three lengths and three sparsities, and the dense runs once."""
    rng = np.random.default_rng(3)
    names, S, N, D, L = [], [], [], [], []
    for name in SETS:
        for size in (2e7, 6e7, 5.4e8):
            for length in (2e9, 6e9, 2e10):
                for sparsity in (0.0, 0.5, 0.75, 0.875):
                    if sparsity == 0.0 and name != "gradual":
                        continue
                    names.append(name if sparsity else "dense")
                    S.append(sparsity)
                    N.append(size * (1 - sparsity))
                    D.append(length)
                    L.append(float(loss(truth(name), sparsity, size * (1 - sparsity), length)))
    return Runs(
        sparsity=np.array(S),
        nonzero_params=np.array(N),
        data_seen=np.array(D),
        loss=np.array(L) * np.exp(noise * rng.standard_normal(len(L))),
        family=("unstructured",) * len(L),
        run_id=tuple(str(i) for i in range(len(L))),
        strategies=tuple(names),
    )


def fitted(noise: float, draws: int) -> StrategiesFit:
    return fit_strategies(table(noise), FitJob(huber_delta=0.01, draws=draws, starts=8, name="three"), SCHEDULES)


@pytest.fixture(scope="module")
def noisy() -> StrategiesFit:
    return fitted(0.003, 100)


@pytest.fixture(scope="module")
def compared(noisy: StrategiesFit) -> StrategyTable:
    return strategy_table(noisy)


def test_a_fit_recovers_what_every_strategy_predicts_and_the_base_that_they_share() -> None:
    found = fitted(0.0, 0)
    assert [part.name for part in found.parts] == list(SETS)
    for part in found.parts:
        own, true = coefficients(part.law, "unstructured"), truth(part.name)
        for S in (0.5, 0.7, 0.875):
            assert own.size_multiplier(S, 1e8) == pytest.approx(true.size_multiplier(S, 1e8), rel=1e-4), (part.name, S)
            assert own.loss(S, 2e9, 4e10) == pytest.approx(true.loss(S, 2e9, 4e10), rel=1e-5), (part.name, S)


def test_each_strategy_has_a_law_of_its_own_schedule_with_the_same_dense_base(noisy: StrategiesFit) -> None:
    laws = {part.name: part.law for part in noisy.parts}
    assert {name: law.schedule for name, law in laws.items()} == SCHEDULES
    assert {name: law.name for name, law in laws.items()} == {name: f"three-{name}" for name in SETS}
    first, *others = laws.values()
    for law in others:
        assert law.coefficients == first.coefficients
    f0 = [sum(law.sparsity["unstructured"][name] for name in ("a_S", "c_S")) for law in laws.values()]
    assert f0 == pytest.approx([f0[0]] * 3), "one dense model, however it was pruned"
    assert {law.fit["runs"] for law in laws.values()} == {36}, "9 dense runs and 27 of its own"


def test_the_draws_of_all_laws_are_the_same_draws_of_the_dense_base(noisy: StrategiesFit) -> None:
    drawn = [coefficient_draws(part.law, "unstructured") for part in noisy.parts]
    for each in drawn[1:]:
        assert each is not None
        assert drawn[0] is not None
        np.testing.assert_array_equal(each.as_dict()["b_N"], drawn[0].as_dict()["b_N"])


def test_strategies_that_are_the_same_do_not_differ_and_those_that_are_not_do(compared: StrategyTable) -> None:
    real = {(one.first, one.second): one.real for one in compared.differences if one.of == "multiplier"}
    at_most_sparse = {
        (one.first, one.second): one for one in compared.differences if one.of == "multiplier" and one.sparsity == 0.875
    }
    assert not real["gradual", "twin"]
    assert at_most_sparse["gradual", "static"].real
    assert at_most_sparse["static", "twin"].real
    true = {name: float(truth(name).size_multiplier(0.875, 1e7)) for name in SETS}
    found = at_most_sparse["gradual", "static"]
    low, high = found.simultaneous
    assert low <= np.log(true["gradual"] / true["static"]) <= high


def test_the_interval_of_a_difference_is_narrower_than_those_of_its_two_sides_suggest(
    compared: StrategyTable,
) -> None:
    """The base's error is in both, and cancels."""
    widths = []
    for row in compared.sets:
        (at,) = [one for one in row.at if one.sparsity == 0.75]
        assert at.multiplier.interval is not None
        widths.append(float(np.log(at.multiplier.interval[1] / at.multiplier.interval[0])))
    one = next(
        each
        for each in compared.differences
        if each.of == "multiplier" and each.sparsity == 0.75 and (each.first, each.second) == ("gradual", "twin")
    )
    assert one.interval[1] - one.interval[0] < np.hypot(widths[0], widths[2])


def test_simultaneous_intervals_hold_the_single_ones(compared: StrategyTable) -> None:
    assert compared.stretch is not None
    for one in compared.differences:
        assert one.simultaneous[0] <= one.interval[0] <= one.interval[1] <= one.simultaneous[1]
    assert all(factor > 1.0 for factor in compared.stretch.values())


def test_losses_at_equal_flops_know_what_each_strategy_costs(compared: StrategyTable) -> None:
    """By hand: a static run costs what a dense one of its size does, c_mul = 1; a ramp at S = 0.5 costs 1.375."""
    cost = {row.strategy: {at.sparsity: at.cost for at in row.at} for row in compared.sets}
    assert cost["static"][0.5] == pytest.approx(1.0)
    assert cost["gradual"][0.5] == pytest.approx(1.375)
    assert cost["twin"][0.5] == pytest.approx((0.5 + 0.5 * 0.5) / 0.5)
    loss_at = {row.strategy: row.at[0].loss.value for row in compared.sets if row.at[0].loss is not None}
    assert loss_at["twin"] > loss_at["gradual"], "equal coefficients, but half as dear again: less data"


@pytest.mark.parametrize(
    ("runs", "form", "why"),
    [
        (replace(table(0.0), strategies=None), None, "expected sparse runs of several strategies, found one"),
        (table(0.0), "auto", "`form` auto: strategies are compared in one form"),
        (replace(table(0.0), unique_data=np.full(90, 1e8)), None, "fitted one strategy at a time"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs: Runs, form: str | None, why: str) -> None:
    with pytest.raises(FitError, match=why):
        fit_strategies(runs, FitJob(form=form, draws=0, starts=2), SCHEDULES)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """The table as a file, with names that say of one strategy when it prunes, and not of the others."""
    runs = table(0.003)
    assert runs.strategies is not None
    names = [name.replace("twin", "one-shot") for name in runs.strategies]
    rows = zip(names, runs.sparsity, runs.nonzero_params, runs.data_seen, runs.loss, strict=True)
    path = tmp_path / "runs.csv"
    text = "".join(f"{name},{S},{N},{D},{L}\n" for name, S, N, D, L in rows)
    path.write_text("strategy,sparsity,nonzero_params,data_seen,loss\n" + text)
    return path


def test_a_table_of_several_strategies_is_not_mixed_silently(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(csv)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "found gradual, one-shot, static; keep one of them and the dense runs, as with --where" in said
    assert "sparseplan fit with --strategy." in said
    assert run(["fit", str(csv), "--strategy", "statics"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "expected one of the table's, gradual, static, one-shot (did you mean 'static'?)" in said
    assert run(["fit", str(csv), "--strategy", "static", "--holdout", "largest-n"]) == 2
    assert "--holdout: expected a table of one strategy" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_the_law_of_one_strategy_is_fitted_on_the_base_of_all(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    law_file, figure = csv.parent / "static.yaml", csv.parent / "fit.svg"
    options = ["--huber-delta", "0.01", "--bootstrap", "20", "--starts", "4", "--strategy", "static"]
    assert run(["fit", str(csv), *options, "--out", str(law_file), "--report", str(figure)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "differences between size multipliers are real" in said
    law = read_law(law_file)
    assert (law.name, law.schedule, list(law.sparsity)) == ("static", SCHEDULES["static"], ["unstructured"])
    assert law.fit["runs"] == 36
    assert figure.read_text().startswith("<?xml")
    assert run(["laws", "check", str(law_file), "--runs", str(csv)]) == 0
    assert "objective" in capsys.readouterr().out
    assert run(["fit", str(csv), *options, "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)["strategies"]
    cost = {row["strategy"]: row["at"][0]["cost"] for row in compared["sets"]}
    assert cost["static"] == pytest.approx(1.0)
    assert cost["one-shot"] is None, "the table does not tell when it cut"
