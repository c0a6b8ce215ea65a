"""The choice of next runs: its algebra against the covariances themselves, and what the answer says."""

import csv
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.plan.choose_runs import choose_runs
from sparseplan.plan.form_error import form_errors
from sparseplan.plan.scatter import mean_huber, scatter_of
from sparseplan.runs.table import read_runs
from tests.helpers.same import assert_same

REFIT = "frantar2023-t5-c4-refit"


def test_each_choice_is_the_best_by_the_covariances_after_the_runs_before_it() -> None:
    rng = np.random.default_rng(0)
    theta = rng.uniform(-1, 1, (400, 4))
    losses, targets = theta @ rng.standard_normal((4, 30)), theta @ rng.standard_normal((4, 2))
    noise, cost = rng.uniform(0.1, 0.5, 30), rng.uniform(1, 10, 30)
    choice = choose_runs(targets, losses, noise=noise, cost=cost, budget=40.0, most=6)
    both = np.concatenate([targets, losses], axis=1)
    covariance = np.cov(both.T)
    first = np.diag(covariance)[:2].copy()
    left = 40.0
    for index, gain in zip(choice.index, choice.gain, strict=True):
        takes = covariance[:2, 2:] ** 2 / (np.diag(covariance)[2:] + noise**2) / first[:, None]
        worth = np.where(cost <= left, takes.mean(axis=0) / cost**0.4, -1.0)
        worth[choice.index[: list(choice.index).index(index)]] = -1.0
        assert int(np.argmax(worth)) == index
        assert gain == pytest.approx(takes.mean(axis=0)[index], rel=1e-6)
        column = covariance[:, 2 + index]
        covariance = covariance - np.outer(column, column) / (column[2 + index] + noise[index] ** 2)
        left -= cost[index]
    np.testing.assert_allclose(choice.remaining, np.sqrt(np.diag(covariance)[:2] / first), rtol=1e-6)
    assert cost[choice.index].sum() <= 40.0


def test_a_target_that_no_draw_doubts_and_a_loss_that_overflows_change_nothing() -> None:
    rng = np.random.default_rng(1)
    theta = rng.standard_normal((100, 2))
    losses = np.concatenate([theta, np.full((100, 1), np.inf)], axis=1)
    targets = np.stack([theta[:, 0], np.full(100, 0.5)], axis=1)
    choice = choose_runs(targets, losses, noise=np.full(3, 0.1), cost=np.ones(3), budget=9.0, most=3, least_gain=0.1)
    assert choice.index.tolist() == [0]
    assert choice.remaining[1] == 1.0


def test_form_error_is_small_at_known_runs_and_twice_the_scatter_far_from_them() -> None:
    known = np.zeros((1, 3))
    errors = form_errors(np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]]), known, 0.01)
    near, far = np.sqrt((errors**2).sum(axis=0))
    assert near == pytest.approx(0.02 * np.sqrt(1 - 4 / 5), rel=1e-6)
    assert far == pytest.approx(0.02, rel=1e-6)


def test_scatter_is_what_the_fit_measured_else_that_of_the_normal_residuals_of_the_objective() -> None:
    draws = np.random.default_rng(2).standard_normal(400_000) * 0.004
    huber = np.where(np.abs(draws) <= 1e-3, draws**2 / 2, 1e-3 * (np.abs(draws) - 5e-4)).mean()
    assert mean_huber(0.004, 1e-3) == pytest.approx(huber, rel=0.01)
    measured = sp.load_law(REFIT)
    assert measured.prediction is not None
    assert scatter_of(measured).value == pytest.approx(np.hypot(measured.prediction.runs, measured.prediction.groups))
    law = msgspec.structs.replace(measured, prediction=None)
    found = scatter_of(law)
    assert found.source == "fit"
    slack = np.sqrt(48 / 41)
    assert mean_huber(found.value / slack, 1e-3) == pytest.approx(law.fit["objective"], rel=1e-9)
    assert scatter_of(msgspec.structs.replace(law, fit={})).source == "assumed"


def test_next_runs_cost_what_they_say_stay_within_the_budget_and_narrow_every_target() -> None:
    answer = sp.next_runs(1e23, law=REFIT, budget=1e20)
    assert answer.runs
    for one in answer.runs:
        density = 1 - 0.625 * one.sparsity
        assert one.train_flops == pytest.approx(6 * one.dense_params * one.data_seen * density, rel=1e-9)
        assert one.predicted == pytest.approx(
            sp.predict(params=one.nonzero_params, data=one.data_seen, sparsity=one.sparsity, law=REFIT).loss, rel=1e-9
        )
    assert sum(one.train_flops for one in answer.runs) == pytest.approx(answer.cost_of_runs)
    assert answer.cost_of_runs <= 1e20
    plan = sp.optimal(1e23, law=REFIT)
    assert plan.intervals is not None
    assert answer.before.nonzero_params == pytest.approx(plan.intervals.nonzero_params, rel=1e-4)  # percentiles of logs
    assert answer.before.sparsity == pytest.approx(plan.intervals.sparsity, rel=1e-9)
    assert answer.regret.p95 == pytest.approx(plan.intervals.regret.p95, rel=1e-9)
    for key in ("loss_gap", "nonzero_params", "sparsity"):
        today, after = getattr(answer.before, key), getattr(answer.after, key)
        assert after[1] - after[0] < today[1] - today[0]


def test_the_decision_is_called_open_where_draws_disagree_and_made_where_none_does() -> None:
    far = sp.next_runs(1e23, law=REFIT)
    assert far.decision.choice == "sparse"
    assert not far.decision.settled
    assert "The size is open" in str(far)
    fixed = str(sp.next_runs(1e23, law=REFIT, dense_params="10B"))
    assert "The size is open" not in fixed
    dense = sp.next_runs(1e21, law=REFIT, cost="dense")
    assert dense.p_sparse_better is not None
    assert (dense.decision.choice is None) == (0 < dense.p_sparse_better < 1)


def test_a_table_of_one_ratio_of_data_to_parameters_is_warned_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    S, N = (axis.ravel() for axis in np.meshgrid([0.0, 0.5, 0.75, 0.875], 1e6 * 2.0 ** np.arange(7)))
    law = sp.load_law("frantar2023-t5-c4")
    loss = [sp.predict(params=n, data=2000 * n, sparsity=s, law=law).loss for s, n in zip(S, N, strict=True)]
    noisy = np.array(loss) * np.exp(0.003 * rng.standard_normal(len(S)))
    table = {"sparsity": S, "nonzero_params": N, "data_seen": 2000 * N, "loss": noisy}
    answer = sp.next_runs(1e21, runs=table)
    assert "one-ratio" in [caveat.code for caveat in answer.warnings]


def test_the_command_prints_the_answer_of_the_function_and_writes_a_runs_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "next.csv"
    assert run(["next", "--law", REFIT, "--flops", "1e22", "--most", "3", "--out", str(out), "--json"]) == 0
    answer = sp.next_runs(1e22, law=REFIT, most=3)
    assert_same(json.loads(capsys.readouterr().out), json.loads(answer.to_json()))
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert all(row["loss"] == "" for row in rows)
    filled = out.read_text(encoding="utf-8").replace(",false,,", ",false,2.5,")
    out.write_text(filled, encoding="utf-8")
    assert read_runs(out).nonzero_params.tolist() == pytest.approx([one.nonzero_params for one in answer.runs])
    assert run(["next", "--law", REFIT, "--flops", "1e22"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--law", "frantar2023-t5-c4"], "carries no draws"),
        (["--law", REFIT, "--runs", "x.csv"], "found both"),
        (["--law", REFIT, "--budget", "1"], "pay for no run"),
        (["--law", REFIT, "--out", "x.txt"], "ending in .csv"),
        (["--law", REFIT, "--group", "seed"], "there are none"),
    ],
)
def test_a_mistake_is_one_message(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["next", "--flops", "1e22", *words]) == 2
    assert says in capsys.readouterr().err
