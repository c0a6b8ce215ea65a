"""The least compute for a loss: budgets inverted, brute force, intervals of the cost, refusals with the floor."""

import json
from typing import Any

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.errors import PlanError
from sparseplan.laws.file import load_law
from sparseplan.laws.forms import FORMS
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.law import Law, coefficient_draws, coefficients, law_block
from sparseplan.laws.unique_data import limited
from sparseplan.plan.question import best_plan
from tests.helpers.questions import question
from tests.laws.forms.test_forms import EXAMPLES, by_name

T5, WU = "frantar2023-t5-c4-refit", "wu2026-llama-c4"


def law_of(theta: Theta) -> Law:
    """A law file's value with these coefficients."""
    form = theta.form
    sparsity = {"unstructured": law_block(form, theta, per_family=True)} if form.knows_sparsity else {}
    return Law(
        format="sparseplan-law/1",
        name="example",
        description="",
        form=form.name,
        data_unit="token",
        coefficients=law_block(form, theta, per_family=False),
        sparsity=sparsity,
    )


def there_and_back(loss: float, **asked: Any) -> None:
    """The budget that is found gives the loss back, and nothing below it does."""
    found = sp.optimal(loss=loss, **asked)
    C = found.plan.train_flops
    assert sp.optimal(C, **asked).plan.loss == pytest.approx(loss, abs=1e-9)
    assert sp.optimal(0.999 * C, **asked).plan.loss > loss
    assert found.plan.loss == pytest.approx(loss, abs=1e-9)


@pytest.mark.parametrize("theta", EXAMPLES, ids=by_name)
def test_the_budget_found_for_a_loss_gives_it_back_in_every_form(theta: Theta) -> None:
    law = law_of(theta)
    assert {one.form.name for one in EXAMPLES} == set(FORMS)
    loss = float(theta.floor) + 0.3 * float(theta.reducible(0.0, 1e8, 1e10))
    there_and_back(loss, law=law)
    there_and_back(sp.optimal(1e20, law=law, params="400M").plan.loss, law=law, params="400M")


@pytest.mark.parametrize("cost", ["sparse", "dense", "h100"])
@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "n:4"])
@pytest.mark.parametrize("size", [{}, {"params": 3e8}, {"dense_params": 1e9}], ids=["free", "N", "M"])
def test_the_budget_found_for_a_loss_gives_it_back_at_every_cost_pattern_and_size(
    cost: str, pattern: str, size: dict[str, Any]
) -> None:
    there_and_back(1.7, cost=cost, pattern=pattern, law="frantar2023-t5-c4", **size)


def test_the_budget_found_under_limited_unique_data_gives_the_loss_back() -> None:
    there_and_back(2.75, law=WU, unique_data="4B")
    there_and_back(2.80, law=WU, unique_data="4B", params="500M", cost="dense")


def test_the_budget_found_for_a_mean_loss_gives_it_back() -> None:
    there_and_back(1.7, law=T5, objective="mean", params="300M")


@pytest.mark.slow
def test_the_budget_found_for_a_mean_loss_gives_it_back_with_the_size_free() -> None:
    found = sp.optimal(loss=1.7, law=T5, objective="mean")
    back = sp.optimal(found.plan.train_flops, law=T5, objective="mean")
    assert back.plan.loss == pytest.approx(1.7, abs=1e-9)
    assert found.by_values is not None
    assert back.by_values is not None
    assert found.by_values.regret.mean == pytest.approx(back.by_values.regret.mean, rel=1e-4)


@pytest.mark.parametrize("size", [{}, {"params": 3e8}, {"dense_params": 1e9}], ids=["free", "N", "M"])
def test_no_run_of_a_fine_grid_reaches_the_loss_for_less(size: dict[str, Any]) -> None:
    theta = coefficients(load_law(WU))
    plan = sp.optimal(loss=2.9, law=WU, cost="dense", **size).plan
    S = np.linspace(0, 0.9375, 1001)[:, None]
    N = np.geomspace(1e8, 1e10, 1001)
    if size:
        N = np.array([size["params"]]) if "params" in size else size["dense_params"] * (1 - S)
    flops = 6 * N / (1 - S) * theta.data_for(S, N, 2.9 - theta.floor)
    assert plan.train_flops <= flops.min() * (1 + 1e-12)
    assert plan.train_flops == pytest.approx(flops.min(), rel=1e-5)  # the grid's own coarseness


def test_the_dense_plan_beside_it_is_the_cheapest_dense_run_of_the_loss() -> None:
    answer = sp.optimal(loss=1.7, law=T5)
    theta = coefficients(load_law(T5))
    N = np.geomspace(1e7, 1e10, 20001)
    flops = 6 * N * theta.data_for(0.0, N, 1.7 - theta.floor)
    assert answer.dense.train_flops == pytest.approx(flops.min(), rel=1e-6)
    assert answer.dense.loss == pytest.approx(1.7, abs=1e-9)
    assert answer.comparison.compute_ratio == pytest.approx(answer.plan.train_flops / answer.dense.train_flops)
    # The gain in loss is that of the budget: what the other question says there.
    other = sp.optimal(answer.plan.train_flops, law=T5).comparison
    assert answer.comparison.loss_gain == pytest.approx(other.loss_gain, rel=1e-6)


def test_the_interval_of_the_cost_holds_what_each_draw_needs() -> None:
    law = load_law(T5)
    draws = coefficient_draws(law)
    assert draws is not None
    answer = sp.optimal(loss=1.7, law=law)
    assert answer.intervals is not None
    assert answer.intervals.train_flops is not None
    low, high = answer.intervals.train_flops
    assert low < answer.plan.train_flops < high
    # By bisection of the budget, for all draws at once: another way to the same costs.
    floor, top = np.full(draws.count or 0, 1e15), np.full(draws.count or 0, 1e25)
    for _ in range(60):
        middle = np.sqrt(floor * top)
        enough = best_plan(draws, question(law, middle)).loss <= 1.7
        floor, top = np.where(enough, floor, middle), np.where(enough, middle, top)
    assert np.mean((top >= low * (1 - 1e-6)) & (top <= high * (1 + 1e-6))) == pytest.approx(0.9, abs=0.002)
    assert answer.intervals.p_reached == 1.0
    # The plan as it stands is judged as the plan of that budget.
    judged = sp.optimal(answer.plan.train_flops, law=law).intervals
    assert judged is not None
    assert answer.intervals.regret.p95 == pytest.approx(judged.regret.p95, abs=1e-9)
    assert answer.intervals.p_beats_best_dense == judged.p_beats_best_dense


def test_where_no_dense_model_of_the_size_reaches_the_loss_there_is_none_in_table_and_json() -> None:
    answer = sp.optimal(loss=1.5, params="80M", law=T5)
    facts = json.loads(answer.to_json())
    assert [facts["dense"][key] for key in ("train_flops", "data_seen", "loss")] == [None, None, None]
    assert facts["given"]["loss"] == 1.5
    assert facts["given"]["train_flops"] is None
    assert facts["intervals"]["train_flops"][1] is None
    assert 0.7 < facts["intervals"]["p_reached"] < 0.8
    assert facts["comparison"]["compute_ratio"] is None
    text = str(answer)
    assert "no compute is enough at this size" in " ".join(text.split())
    assert "at least 2.99e20" in text
    assert any(line.startswith("training FLOPs") and line.endswith("none") for line in text.splitlines())


def test_a_dense_law_says_what_a_loss_costs() -> None:
    # Hoffmann's values by hand: alpha / (alpha + beta) = .34 / .62 of the reducible .25 nats is the data term's share.
    size, data = 0.25 * 0.28 / 0.62, 0.25 * 0.34 / 0.62
    N, D = (406.4 / size) ** (1 / 0.34), (410.7 / data) ** (1 / 0.28)
    law = load_law("hoffmann2022-chinchilla")
    values = coefficients(law).as_dict()
    assert (values["A"], values["B"], values["alpha"], values["beta"]) == (406.4, 410.7, 0.34, 0.28)
    answer = sp.optimal(loss=float(values["E"]) + 0.25, law=law)
    assert answer.plan.train_flops == pytest.approx(6 * N * D, rel=1e-9)


def test_unique_data_bound_the_loss_that_any_compute_reaches() -> None:
    law = load_law(WU)
    theta = limited(law, 1e9).limit(coefficients(law))
    S = np.linspace(0, 0.9375, 257)
    end = float(np.min(theta.loss(S, 1e25, 1e25)))
    with pytest.raises(PlanError, match=rf"these runs end at {end:.4f}; the floor of the law {WU} is 2\.3480"):
        sp.optimal(loss=end - 1e-3, law=WU, unique_data="1B")
    assert sp.optimal(loss=end + 1e-2, law=WU, unique_data="1B").plan.loss == pytest.approx(end + 1e-2)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"loss": 0.6}, r"`loss`: expected a loss above 0\.8304, the floor of the law"),
        (
            {"loss": 1.3, "params": "10M"},
            r"`loss`: no compute reaches 1\.3000 with the given `params`: .* end at 1\.8403",
        ),
        ({"loss": 2.0, "flops": 1e20}, "found `flops` and `loss`"),
        ({"loss": 2.0, "days": 3, "peak": "1P", "utilization": 0.4}, "found `days` and `loss`"),
        ({"loss": -1}, "`loss`: expected a number above 0"),
        ({"loss": 300.0}, "which is not a possible run"),
    ],
)
def test_what_cannot_be_reached_or_contradicts_itself_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(sp.errors.SparseplanError, match=message):
        sp.optimal(law=T5, **asked)


def test_hours_and_money_of_a_loss_are_those_of_its_cheapest_run() -> None:
    answer = sp.optimal(loss=1.7, law=T5, peak="1P", utilization=0.4, price=2, devices=8)
    assert answer.device is not None
    hours = answer.plan.train_flops / 4e14 / 3600
    assert answer.device.device_hours == pytest.approx(hours)
    assert answer.device.price == pytest.approx(2 * hours)
    assert answer.dense.device_hours == pytest.approx(answer.dense.train_flops / 4e14 / 3600)
