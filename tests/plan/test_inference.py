"""Training and inference together: brute force, the dense case of Sardana et al., break-even demands, refusals."""

import json
import re
from typing import Any

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cost.flops import Cost
from sparseplan.cost.inference import flops_inference, lifetime_cost
from sparseplan.laws.file import load_law
from sparseplan.laws.law import coefficients
from tests.cost.test_device import synthetic
from tests.plan.test_target_loss import there_and_back

T5, WU = "frantar2023-t5-c4", "wu2026-llama-c4"
S = np.linspace(0, 0.875, 701)[:, None]
N = np.geomspace(1e7, 2e9, 2001)
SAVING = {"sparse": 0.625, "dense": 0.0}
SERVED = {"sparse": 1.0 + 0.0 * S, "dense": 1.0 / (1.0 - S)}


def multiplier(cost: str) -> Any:
    """c_mul of the paper's ramp, by hand."""
    return SAVING[cost] + (1 - SAVING[cost]) / (1 - S)


@pytest.mark.parametrize("cost", ["sparse", "dense"])
@pytest.mark.parametrize("inference", ["sparse", "dense"])
def test_no_run_of_a_fine_grid_reaches_the_loss_for_less_in_total(cost: str, inference: str) -> None:
    theta = coefficients(load_law(T5))
    plan = sp.optimal(loss=1.7, law=T5, cost=cost, inference_tokens="1T", inference=inference).plan
    total = 6 * N * theta.data_for(S, N, 1.7 - theta.floor) * multiplier(cost) + 2 * N * 1e12 * SERVED[inference]
    assert plan.total_flops is not None
    assert plan.total_flops <= total.min() * (1 + 1e-12)
    assert plan.total_flops == pytest.approx(total.min(), rel=1e-5)  # the grid's own coarseness
    assert plan.loss == pytest.approx(1.7, abs=1e-9)


@pytest.mark.parametrize("cost", ["sparse", "dense"])
@pytest.mark.parametrize("inference", ["sparse", "dense"])
def test_no_run_of_a_fine_grid_reaches_a_lower_loss_for_the_total(cost: str, inference: str) -> None:
    theta = coefficients(load_law(T5))
    answer = sp.optimal(1e21, law=T5, cost=cost, inference_tokens="1T", inference=inference)
    with np.errstate(invalid="ignore"):
        D = (1e21 - 2 * N * 1e12 * SERVED[inference]) / (6 * N * multiplier(cost))
        losses = theta.loss(S, N, np.where(D > 0, D, np.nan))
    assert answer.plan.loss <= np.nanmin(losses) + 1e-12
    assert answer.plan.loss == pytest.approx(np.nanmin(losses), abs=1e-5)
    assert answer.plan.total_flops == pytest.approx(1e21, rel=1e-12)
    assert answer.plan.train_flops + (answer.plan.inference_flops or 0.0) == pytest.approx(1e21)


def test_without_sparsity_it_is_the_plan_of_sardana_et_al() -> None:
    # Their eq. 3 at its optimum: size's and data's exponents weigh 1 + idle / D, idle = T / 3 units of data.
    law = load_law("hoffmann2022-chinchilla")
    A, B, alpha, beta, E = (float(law.coefficients[name]) for name in ("A", "B", "alpha", "beta", "E"))
    for T in (1e11, 1e13):
        plan = sp.optimal(loss=2.1, law=law, inference_tokens=T).plan
        size, data = A * plan.nonzero_params**-alpha, B * plan.data_seen**-beta
        assert E + size + data == pytest.approx(2.1, abs=1e-9)
        assert alpha * size / (beta * data) == pytest.approx(1 + T / 3 / plan.data_seen, rel=1e-6)
        n = np.geomspace(1e8, 1e12, 20001)
        left = 2.1 - E - A * n**-alpha
        total = 6 * n * (B / np.where(left > 0, left, np.nan)) ** (1 / beta) + 2 * n * T
        assert plan.total_flops == pytest.approx(float(np.nanmin(total)), rel=1e-6)


def test_more_demand_makes_models_smaller_and_trains_them_longer() -> None:
    plans = [sp.optimal(loss=1.7, law=T5, inference_tokens=T).plan for T in (1e9, 1e11, 1e13)]
    assert sorted((plan.nonzero_params for plan in plans), reverse=True) == [plan.nonzero_params for plan in plans]
    assert sorted(plan.data_seen for plan in plans) == [plan.data_seen for plan in plans]
    plain = sp.optimal(loss=1.7, law=T5).plan
    assert plans[0].train_flops == pytest.approx(
        plain.train_flops, rel=1e-3
    )  # hardly any demand changes hardly a thing


@pytest.mark.parametrize(
    "asked",
    [
        {"inference": "dense", "params": "80M"},
        {"cost": "h100", "pattern": "2:4"},
        {"cost": "dense", "inference": "h100", "pattern": "n:4"},
        {"data": "30B"},
        {"tokens_per_param": 100},
        {"dense_params": "300M"},
    ],
    ids=str,
)
def test_the_total_found_for_a_loss_gives_it_back(asked: dict[str, Any]) -> None:
    found = sp.optimal(loss=1.75, law=T5, inference_tokens="1T", **asked)
    back = sp.optimal(found.plan.total_flops, law=T5, inference_tokens="1T", **asked)
    assert back.plan.loss == pytest.approx(1.75, abs=1e-9)
    assert back.given.total_flops == found.plan.total_flops


@pytest.mark.slow
def test_a_device_measured_by_width_has_a_break_even_demand_too() -> None:
    asked: dict[str, Any] = {"law": T5, "cost": synthetic(1.05, 1.2, 1.3, 1.4, 1.5), "pattern": "2:4"}
    asked |= {"inference": "sparse"}  # slower than needed in training, free in inference
    answer = sp.optimal(1e21, inference_tokens="10B", **asked)
    assert answer.serving is not None
    assert answer.serving.pays == "above"
    at = answer.serving.break_even_tokens
    assert at is not None
    gains = [sp.optimal(1e21, inference_tokens=share * at, **asked).comparison.loss_gain for share in (0.9, 1.1)]
    assert gains[0] < 0 < gains[1]


def test_the_break_even_demand_is_where_both_cost_the_same() -> None:
    # 2:4 at dense price in training, free in inference: the more it serves, the better it is.
    asked: dict[str, Any] = {"loss": 1.7, "law": T5, "cost": "dense", "pattern": "2:4", "inference": "sparse"}
    answer = sp.optimal(inference_tokens="1T", **asked)
    assert answer.serving is not None
    assert answer.serving.pays == "above"
    at = answer.serving.break_even_tokens
    assert at is not None
    here = sp.optimal(inference_tokens=at, **asked)
    assert here.plan.total_flops == pytest.approx(here.dense.total_flops, rel=1e-4)
    for share, better in ((0.8, False), (1.25, True)):
        other = sp.optimal(inference_tokens=share * at, **asked)
        assert other.plan.total_flops is not None
        assert other.dense.total_flops is not None
        assert (other.plan.total_flops < other.dense.total_flops) is better
    # Free in training and at dense price in inference it is the other way round.
    turned = sp.optimal(inference_tokens="1T", **asked | {"cost": "sparse", "inference": "dense"}).serving
    assert turned is not None
    assert turned.pays == "below"
    assert sp.optimal(inference_tokens="1T", **asked | {"cost": "sparse"}).serving.pays == "always"  # type: ignore[union-attr]


def test_the_price_of_inference_weighs_its_flops() -> None:
    half = sp.optimal(loss=1.7, law=T5, inference_tokens="2T", inference_weight=0.5).plan
    whole = sp.optimal(loss=1.7, law=T5, inference_tokens="1T").plan
    assert half.nonzero_params == pytest.approx(whole.nonzero_params, rel=1e-9)
    assert half.inference_flops == pytest.approx(2 * (whole.inference_flops or 0.0), rel=1e-9)


def test_both_parts_stand_in_table_and_json_and_the_total_has_the_interval() -> None:
    answer = sp.optimal(loss=1.7, inference_tokens="1T", inference="dense")
    facts = json.loads(answer.to_json())
    plan = facts["plan"]
    assert plan["total_flops"] == pytest.approx(plan["train_flops"] + plan["inference_flops"])
    assert plan["inference_flops"] == pytest.approx(2 * plan["dense_params"] * 1e12)
    assert facts["given"]["inference_tokens"] == 1e12
    low, high = facts["intervals"]["total_flops"]
    assert low < plan["total_flops"] < high
    assert facts["comparison"]["compute_ratio"] == pytest.approx(plan["total_flops"] / facts["dense"]["total_flops"])
    text = str(answer)
    for words in ("training FLOPs", "inference FLOPs", "total FLOPs", "Inference: 1.00T tokens"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    assert sp.optimal(1e21).plan.total_flops is None


def test_idle_data_is_a_third_of_the_tokens_of_a_dense_model_and_nothing_without_demand() -> None:
    training = Cost(name="sparse", saving=0.625)
    for T in (0.0, 3e12):
        cost = lifetime_cost(training, flops_inference("dense", T))
        assert float(cost.idle(0.0, 1e9)) == pytest.approx(T / 3)
        assert float(cost.data_for(cost.flops_for(5e10, 0.5, 1e9), 0.5, 1e9)) == pytest.approx(5e10, rel=1e-9)


def test_limited_unique_data_and_demand_go_together() -> None:
    asked: dict[str, Any] = {"law": WU, "unique_data": "4B", "cost": "dense", "inference_tokens": "100B"}
    found = sp.optimal(loss=2.8, **asked)
    assert sp.optimal(found.plan.total_flops, **asked).plan.loss == pytest.approx(2.8, abs=1e-9)
    there_and_back(2.8, law=WU, unique_data="4B", cost="dense")


def test_where_the_total_pays_for_no_dense_model_of_the_size_there_is_none_beside_the_plan() -> None:
    answer = sp.optimal(5.83e20, dense_params="300M", inference_tokens="1T")  # 2 x 300M x 1T is 6e20
    facts = json.loads(answer.to_json())
    assert [facts["dense"][key] for key in ("train_flops", "loss", "total_flops")] == [None, None, None]
    assert facts["intervals"]["p_sparse_better"] == 1.0
    assert [one["cost"] for one in facts["brackets"]] == ["sparse"]
    assert "pays for no dense model of this size" in str(answer)
    assert not re.search(r"\b(inf|infx|nan|nanx)\b", str(answer))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"flops": 1e20, "inference": "dense"}, "`inference`: expected `inference_tokens` beside it"),
        ({"flops": 1e20, "inference_tokens": "1T", "inference": "h1000"}, "`inference`: expected sparse, dense or"),
        ({"flops": 1e20, "inference_tokens": 0}, "`inference_tokens`: expected a number above 0"),
        ({"flops": 1e20, "inference_tokens": "1T", "params": "10B"}, r"`flops`: a total of 1e20 does not pay"),
        (
            {"days": 3, "peak": "1P", "utilization": 0.4, "inference_tokens": "1T", "inference_weight": 2},
            "`inference_weight`: expected none with a budget in hours",
        ),
        (
            {"loss": 1.7, "inference_tokens": "1T", "inference_price": 2},
            "`inference_price`: expected a device",
        ),
        (
            {"loss": 1.7, "cost": "h100", "inference_tokens": "1T", "inference_price": 2, "inference_weight": 1},
            "expected `inference_weight`, or `inference_price`",
        ),
        ({"flops": 1e20, "inference_batch": 8}, "`inference_batch`: expected `inference_tokens` beside it"),
        ({"flops": 1e21, "inference_tokens": "1T", "inference_batch": 8}, "`inference_batch`: expected a device"),
        ({"loss": 0.5, "inference_tokens": "1T"}, "the floor of the law"),
    ],
)
def test_what_contradicts_itself_or_cannot_be_paid_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(sp.errors.SparseplanError, match=message):
        sp.optimal(law=T5, **asked)
