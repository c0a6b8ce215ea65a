"""Plans for real models: their size, what is counted beside 6 N D, and whether they fit into memory."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.errors import SparseplanError
from sparseplan.laws.law import coefficients
from sparseplan.plan.on_model import ModelUse
from tests.plan.test_inference_devices import by_width

C = 1e23
PRUNABLE, ATTENTION, HEAD = 6_979_321_856, 12 * 4096 * 32 * 8193 / 2, 6 * 128_256 * 4096
"""Of Llama 3 8B at 8,192 tokens, by hand."""


def use(answer: sp.Answer) -> ModelUse:
    assert answer.model is not None
    return answer.model


def test_a_plan_of_a_model_has_its_size_and_spends_the_budget_on_all_of_it() -> None:
    answer = sp.optimal(C, model="llama-3-8b")
    plan, dense = answer.plan, answer.dense
    assert answer.given.dense_params == plan.dense_params == dense.dense_params == PRUNABLE
    # the T5 law's ramp saves 62.5 % of the zeros
    by_hand = (6 * PRUNABLE * (1 - 0.625 * plan.sparsity) + ATTENTION + HEAD) * plan.data_seen
    assert by_hand == pytest.approx(C, rel=1e-9)
    assert (6 * PRUNABLE + ATTENTION + HEAD) * dense.data_seen == pytest.approx(C, rel=1e-9)


def test_the_parts_of_a_plans_flops_add_up_to_them() -> None:
    answer = sp.optimal(C, model="llama-3-8b")
    for plan, parts in ((answer.plan, use(answer).plan_flops), (answer.dense, use(answer).dense_flops)):
        assert parts.attention == pytest.approx(ATTENTION * plan.data_seen, rel=1e-9)
        assert parts.head == pytest.approx(HEAD * plan.data_seen, rel=1e-9)
        assert parts.weights + parts.attention + parts.head + parts.embedding == pytest.approx(plan.train_flops)
    assert use(answer).beyond_six_n == pytest.approx((ATTENTION + HEAD) / (6 * PRUNABLE), rel=1e-12)


def test_a_models_sparsity_is_the_best_of_a_search_that_counts_by_hand() -> None:
    answer = sp.optimal(C, model="llama-3-8b")
    S = np.linspace(0.0, 0.875, 3501)
    D = C / (6 * PRUNABLE * (1 - 0.625 * S) + ATTENTION + HEAD)
    theta = coefficients(sp.load_law(), "unstructured")
    losses = theta.reducible(S, PRUNABLE * (1 - S), D) + theta.floor
    assert answer.plan.sparsity == pytest.approx(S[np.argmin(losses)], abs=3e-4)
    assert answer.plan.loss == pytest.approx(np.min(losses), rel=1e-7)


def test_what_no_zero_saves_leaves_less_to_gain_from_sparsity() -> None:
    whole, six_n = sp.optimal(C, model="llama-3-8b"), sp.optimal(C, dense_params=PRUNABLE)
    assert whole.plan.sparsity < six_n.plan.sparsity
    assert whole.plan.data_seen < six_n.plan.data_seen
    longer = sp.optimal(C, model="llama-3-8b", context="131072")
    assert longer.plan.data_seen < whole.plan.data_seen


def test_a_loss_and_the_budget_that_comes_out_ask_the_same() -> None:
    wanted = sp.optimal(loss=1.3, model="llama-2-7b")
    back = sp.optimal(wanted.plan.train_flops, model="llama-2-7b")
    assert back.plan.loss == pytest.approx(1.3, rel=1e-6)
    assert back.plan.sparsity == pytest.approx(wanted.plan.sparsity, abs=1e-3)


def test_a_law_that_counts_embeddings_is_given_all_parameters() -> None:
    answer = sp.optimal(C, model="llama-3-8b", law="hoffmann2022-chinchilla")
    assert answer.plan.nonzero_params == 8_030_261_248
    assert (6 * PRUNABLE + ATTENTION + HEAD) * answer.plan.data_seen == pytest.approx(C, rel=1e-9)


def test_a_plan_for_images_counts_the_tokens_of_its_own_images() -> None:
    answer = sp.optimal(1e20, model="vit-b-16", law="frantar2023-vit-jft-refit")
    prunable = 12 * 12 * 768**2
    per_image = 197 * (6 * prunable + 12 * 12 * 768 * 197 + 4 * 3 * 16**2 * 768) + 6 * 1000 * 768
    assert per_image * answer.dense.data_seen == pytest.approx(1e20, rel=1e-9)
    parts = use(answer).dense_flops
    assert parts.weights == pytest.approx(6 * 197 * prunable * answer.dense.data_seen, rel=1e-9)


def test_every_cost_of_a_question_counts_the_same_work() -> None:
    at_full_price = sp.optimal(C, model="llama-3-8b", cost="dense")
    by_bracket = next(one for one in sp.optimal(C, model="llama-3-8b").brackets if one.cost == "dense")
    assert by_bracket.sparsity == pytest.approx(at_full_price.plan.sparsity, abs=1e-6)
    on_device = sp.optimal(C, model="llama-3-8b", cost="h100")
    assert on_device.verdict is not None
    unstructured = next(one for one in on_device.verdict if one.family == "unstructured")
    assert unstructured.loss == pytest.approx(at_full_price.plan.loss, rel=1e-9)


def test_the_speed_at_which_2to4_breaks_even_is_one_at_which_it_does() -> None:
    answer = sp.optimal(8e21, model="llama-3-8b", cost="h100", pattern="2:4")
    assert answer.verdict is not None
    verdict = next(one for one in answer.verdict if one.family == "2:4")
    dense, speed, shape = answer.dense, verdict.break_even_speedup, use(answer)
    assert speed is not None
    M, rest = shape.prunable_params, shape.flops_per_token.rest
    # dense for the first 75 % of training, then faster; attention and head as ever
    D = 8e21 / (6 * M * (0.75 + 0.25 / speed) + rest)
    at = sp.predict(dense_params=M, pattern="2:4", data=D).loss
    assert at == pytest.approx(dense.loss, rel=1e-6)


def test_memory_in_inference_is_of_the_plan() -> None:
    answer = sp.optimal(C, model="llama-3-8b", pattern="2:4")
    rest = 2 * (8_030_261_248 - PRUNABLE)
    assert use(answer).inference_memory.formats["2:4"] == rest + 9 / 16 * 2 * PRUNABLE
    assert "2:4" not in use(sp.optimal(C, model="llama-3-8b")).inference_memory.formats


def test_a_model_that_does_not_fit_is_refused_with_the_devices_that_hold_it() -> None:
    with pytest.raises(SparseplanError, match=r"`max_memory`: expected at least 136\.3 GB .*; 2 devices would hold it"):
        sp.optimal(C, model="llama-3-8b", max_memory="80GB")
    two = sp.optimal(C, model="llama-3-8b", max_memory="80GB", devices=2)
    states, again = 16 * 8_030_261_248, use(two).training_memory.activations_recomputed
    assert use(two).training_memory.per_device_recomputed == states / 2 + again <= 80e9
    assert use(two).must_recompute
    eight = sp.optimal(C, model="llama-3-8b", max_memory="80GB", devices=8)
    assert not use(eight).must_recompute
    room = 24e9 - again
    with pytest.raises(SparseplanError, match=f"; {math.ceil(states / room)} devices"):
        sp.optimal(C, model="llama-3-8b", max_memory="24GB", devices=2)
    with pytest.raises(SparseplanError, match="no number of devices holds it at this `context`"):
        sp.optimal(C, model="llama-3-8b", max_memory="6GB", devices=2)


def test_hours_of_a_device_buy_all_of_a_models_flops() -> None:
    answer = sp.optimal(model="llama-3-8b", days=30, devices=8, cost="h100")
    assert answer.plan.train_flops == pytest.approx(30 * 8 * 86_400 * 0.4 * 9.895e14, rel=1e-9)


def test_hours_at_a_measured_rate_are_of_the_6_n_d_that_it_counts() -> None:
    # The time of a block that was measured has its attention in it already.
    profile = by_width(4e14, 1e14)
    whole = sp.optimal(1e22, cost=profile, model="llama-3-8b").dense
    six_n = sp.optimal(1e22, cost=profile, dense_params=PRUNABLE).dense
    assert whole.device_hours is not None
    assert six_n.device_hours is not None
    assert whole.device_hours / whole.data_seen == pytest.approx(six_n.device_hours / six_n.data_seen, rel=1e-9)


def test_where_reading_weights_is_the_limit_attention_takes_no_time() -> None:
    answer = sp.optimal(loss=1.3, cost="h100", model="llama-3-8b", inference_tokens="1T", inference_batch=16)
    # 2 bytes a weight at 3.35e12 bytes/s, 16 tokens at once
    by_hand = 1e12 / 16 * 2 * PRUNABLE / 3.35e12 / 3600
    assert answer.dense.inference_device_hours == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "gpt2", "params": "1B"}, "expected `params` or `model`, found both"),
        ({"model": "gpt2", "data": "1B"}, "expected `model` or `data`, found both"),
        ({"model": "vit-b-16"}, "`model`: vit-b-16 reads images, and the law frantar2023-t5-c4-refit counts tokens"),
        ({"model": "gpt2", "law": "frantar2023-vit-jft-refit"}, "gpt2 reads tokens, and the law"),
        ({"context": 8192}, "`context`: expected `model` beside it"),
        ({"model": "gpt2", "context": 0.5}, "`context`: expected a whole number from 1 to "),
        (
            {"max_memory": "80"},
            "`max_memory`: expected an amount of memory such as 80GB or 80GiB, found '80', 80 bytes",
        ),
        ({"model": "gpt2", "max_memory": "80 monkeys"}, "`max_memory`: expected an amount of memory such as 80GB"),
        ({"model": "gpt3"}, r"no model is called 'gpt3' \(did you mean 'gpt2'\?\)"),
    ],
)
def test_givens_that_make_no_sense_are_one_error(given: dict[str, object], message: str) -> None:
    with pytest.raises(SparseplanError, match=message):
        sp.optimal(1e21, **given)  # type: ignore[arg-type]


def test_a_context_that_nobody_names_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(SparseplanError, match="`context`: expected the tokens of a sequence"):
        sp.optimal(1e21, model=path)
    assert use(sp.optimal(1e21, model=path, context=512)).context == 512


def test_a_model_is_described_as_a_plan_has_it() -> None:
    described, planned = sp.describe_model("llama-3-8b", sparsity=0.5), sp.optimal(C, model="llama-3-8b")
    facts, of_plan = json.loads(described.to_json()), json.loads(planned.to_json())["model"]
    assert facts.pop("format") == "sparseplan-model/1"
    assert set(of_plan) == set(facts) | {"plan_flops", "dense_flops", "must_recompute"}
    assert {key for key in facts if facts[key] != of_plan[key]} == {"inference_memory"}
    assert "8,030,261,248 parameters" in str(described)
