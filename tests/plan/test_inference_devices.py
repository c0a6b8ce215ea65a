"""Hours and money of training and inference on devices: brute force, limits, and what a person reads."""

import json
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

import sparseplan as sp
from sparseplan.api.planning import Answer
from sparseplan.hardware.file import load_profile
from sparseplan.hardware.kernels import Spread
from sparseplan.hardware.profile import Hardware, MeasuredProfile, Point, TwoToFour
from sparseplan.laws.file import load_law
from sparseplan.laws.law import coefficients

T5 = "frantar2023-t5-c4"
H100, L40S = 0.4 * 9.895e14, 0.4 * 3.665e14
S = np.linspace(0, 0.875, 701)[:, None]
N = np.geomspace(1e7, 2e9, 1501)
HOUR = 3600.0


def served(answer: Answer) -> Any:
    assert answer.device is not None
    assert answer.device.inference is not None
    return answer.device.inference


def test_no_run_of_a_fine_grid_reaches_the_loss_for_less_money() -> None:
    theta = coefficients(load_law(T5))
    asked: dict[str, Any] = {"cost": "h100", "inference": "l40s", "inference_tokens": "1T"}
    answer = sp.optimal(loss=1.7, law=T5, **asked, price=2.5, inference_price="$0.90")
    # Unstructured zeros gain nothing on either device: 6 N D / (1 - S) to train, 2 N T / (1 - S) to serve.
    trained = 6 * N * theta.data_for(S, N, 1.7 - theta.floor) / (1 - S)
    money = trained / H100 / HOUR * 2.5 + 2 * N / (1 - S) * 1e12 / L40S / HOUR * 0.9
    assert served(answer).total_price <= money.min() * (1 + 1e-12)
    assert served(answer).total_price == pytest.approx(money.min(), rel=1e-5)  # the grid's own coarseness
    assert answer.serving is not None
    assert answer.serving.counted_in == "money"
    assert answer.serving.weight == pytest.approx((0.9 / L40S) / (2.5 / H100))
    assert "takes least money with" in str(answer)


def test_no_run_of_a_fine_grid_reaches_a_lower_loss_within_the_hours() -> None:
    theta = coefficients(load_law(T5))
    asked: dict[str, Any] = {"cost": "h100", "inference": "l40s", "inference_tokens": "1T"}
    answer = sp.optimal(device_hours=500, law=T5, **asked)
    left = 500 * HOUR - 2 * N / (1 - S) * 1e12 / L40S
    with np.errstate(invalid="ignore"):
        losses = theta.loss(S, N, np.where(left > 0, left * H100 / (6 * N / (1 - S)), np.nan))
    assert answer.plan.loss <= np.nanmin(losses) + 1e-12
    assert answer.plan.loss == pytest.approx(np.nanmin(losses), abs=1e-5)
    assert answer.plan.total_device_hours == pytest.approx(500.0, rel=1e-9)
    assert answer.dense.total_device_hours == pytest.approx(500.0, rel=1e-9)
    assert served(answer).total_device_hours == pytest.approx(500.0, rel=1e-9)
    assert answer.given.device_hours == 500.0
    assert answer.serving is not None
    assert answer.serving.counted_in == "hours"


def test_on_one_device_at_one_rate_hours_and_money_are_flops() -> None:
    asked: dict[str, Any] = {"law": T5, "cost": "h100", "pattern": "2:4", "inference_tokens": "1T"}
    plain, priced = sp.optimal(loss=1.7, **asked), sp.optimal(loss=1.7, price=2, inference_price=2, **asked)
    assert priced.plan.nonzero_params == pytest.approx(plain.plan.nonzero_params, rel=1e-12)
    assert plain.plan.total_flops is not None
    hours = sp.optimal(device_hours=plain.plan.total_flops / H100 / HOUR, **asked)
    assert hours.plan.loss == pytest.approx(1.7, abs=1e-9)


def test_days_of_all_devices_are_hours_of_both_kinds_of_work() -> None:
    asked: dict[str, Any] = {"law": T5, "cost": "h100", "inference_tokens": "1T"}
    by_days, by_hours = sp.optimal(days=2, devices=8, **asked), sp.optimal(device_hours=2 * 24 * 8, **asked)
    assert by_days.plan.loss == by_hours.plan.loss
    assert by_days.plan.total_device_hours == pytest.approx(384.0, rel=1e-9)


def test_dear_inference_makes_models_smaller_and_trains_them_longer() -> None:
    asked: dict[str, Any] = {"law": T5, "cost": "h100", "price": 2, "inference_tokens": "1T"}
    cheap, dear = (sp.optimal(loss=1.7, inference_price=p, **asked).plan for p in (0.1, 10))
    assert dear.nonzero_params < cheap.nonzero_params
    assert dear.data_seen > cheap.data_seen


def test_decoding_is_bound_by_memory_and_gains_from_fewer_bytes() -> None:
    asked: dict[str, Any] = {"law": T5, "cost": "h100", "pattern": "2:4", "inference_tokens": "1T", "params": "80M"}
    small, large = (sp.optimal(loss=1.7, inference_batch=batch, **asked) for batch in (32, 4096))
    assert served(small).flops_per_second == pytest.approx(32 * 3.35e12)
    assert served(large).flops_per_second == pytest.approx(H100)
    dense = 2 * 160e6 * 1e12
    assert small.plan.inference_flops == pytest.approx(dense * 9 / 16)  # 2:4 in 16 bits reads 9/16 of the bytes
    assert large.plan.inference_flops == pytest.approx(dense / 2)
    assert served(small).device_hours == pytest.approx(dense * 9 / 16 / (32 * 3.35e12) / HOUR)


def test_a_dense_model_of_equal_loss_is_paid_for_in_both_parts() -> None:
    asked: dict[str, Any] = {"law": T5, "cost": "h100", "pattern": "2:4", "price": 2, "inference_tokens": "1T"}
    answer = sp.optimal(loss=1.7, inference="l40s", inference_price=1, **asked)
    dense = answer.dense  # with --loss the dense plan is the dense run of equal loss that costs least
    hours, money = served(answer).dense_device_hours_for_equal_loss, served(answer).dense_price_for_equal_loss
    assert hours == pytest.approx(dense.total_device_hours, rel=1e-6)
    assert dense.device_hours is not None
    assert dense.inference_device_hours is not None
    assert money == pytest.approx(2 * dense.device_hours + dense.inference_device_hours, rel=1e-6)
    ratio = served(answer).total_price / money
    assert answer.comparison.compute_ratio == pytest.approx(ratio, rel=1e-6)


def by_width(work: float, serve: float) -> MeasuredProfile:
    """A device that is faster on wider models, in training and in inference."""
    points = []
    for width, share in ((256, 0.3), (1024, 0.7), (4096, 1.0)):
        trained = Spread(median=6 * 12 * width**2 * 8192 / (work * share))
        points.append(Point(part="block", phase="training", width=width, tokens=8192, dense=trained))
        served = Spread(median=2 * 4 * width**2 * 8192 / (serve * share))
        points.append(Point(part="linear", phase="inference", width=width, tokens=8192, dense=served))
    return MeasuredProfile(
        format="sparseplan-hardware/1",
        name="synthetic",
        description="made for tests",
        hardware=Hardware(device="none"),
        two_to_four=TwoToFour(reason="made for tests"),
        points=points,
    )


def test_with_measured_rates_by_width_the_hours_are_those_of_the_plan_that_is_found() -> None:
    profile = by_width(4e14, 1e14)
    for hours in (300.0, 3e4):
        answer = sp.optimal(device_hours=hours, law=T5, cost=profile, inference_tokens="1T")
        assert answer.dense.total_device_hours == pytest.approx(hours, rel=1e-9)
        assert answer.plan.total_device_hours == pytest.approx(hours, rel=1e-9)
        assert answer.serving is not None
        assert answer.serving.weight == pytest.approx(4.0)
        assert served(answer).utilization_source == "measured"


def test_a_profile_without_times_of_inference_is_refused_for_hours_and_silent_otherwise() -> None:
    profile = by_width(4e14, 1e14)
    alone = replace(profile, points=[point for point in profile.points if point.phase == "training"])
    with pytest.raises(sp.errors.PlanError, match="times of inference on such a batch"):
        sp.optimal(device_hours=300, law=T5, cost=alone, inference_tokens="1T")
    answer = sp.optimal(loss=1.7, law=T5, cost=alone, inference_tokens="1T")
    assert answer.device is not None
    assert answer.device.inference is None
    assert answer.plan.inference_device_hours is None


def test_hours_and_money_stand_in_json_and_in_sentences_that_fit() -> None:
    asked: dict[str, Any] = {"cost": "h100", "pattern": "2:4", "price": 2.5, "inference_tokens": "1T"}
    answer = sp.optimal(loss=1.7, inference="l40s", inference_price=0.9, inference_batch=16, **asked)
    facts = json.loads(answer.to_json())
    device, plan = facts["device"], facts["plan"]
    assert device["inference"]["name"] == "l40s"
    assert device["inference"]["flops_per_second"] == pytest.approx(16 * 8.64e11)
    assert device["inference"]["total_price"] == pytest.approx(device["price"] + device["inference"]["price"])
    assert plan["total_device_hours"] == pytest.approx(plan["device_hours"] + plan["inference_device_hours"])
    text = str(answer)
    for words in ("Training: ", "Inference: ", "16 tokens at once", "Both: ", "needs 1."):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    assert load_profile("l40s").hardware.memory_bandwidth == 8.64e11
