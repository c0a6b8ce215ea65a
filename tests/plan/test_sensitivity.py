"""How far a plan may be rounded for a per cent of compute: by hand, and against plans with the number given."""

from typing import Any

import numpy as np
import pytest

import sparseplan as sp

T5, WU = "frantar2023-t5-c4", "wu2026-llama-c4"


@pytest.mark.parametrize("law", [T5, WU])
@pytest.mark.parametrize("asked", [{"flops": 1e20}, {"loss": 2.75}, {"flops": 1e20, "inference_tokens": "1T"}], ids=str)
def test_a_size_at_an_end_costs_a_per_cent_more_for_the_loss(law: str, asked: dict[str, Any]) -> None:
    answer = sp.optimal(law=law, **asked)
    found, plan = answer.sensitivity, answer.plan
    assert found is not None
    assert found.nonzero_params is not None
    assert found.data_seen is not None
    assert found.nonzero_params[0] < plan.nonzero_params < found.nonzero_params[1]
    assert found.data_seen[0] < plan.data_seen < found.data_seen[1]
    cost = plan.train_flops / (plan.nonzero_params * plan.data_seen)
    served = (plan.inference_flops or 0.0) / plan.nonzero_params
    for N, D in zip(found.nonzero_params, found.data_seen[::-1], strict=True):
        assert N * (D * cost + served) == pytest.approx(1.01 * (plan.total_flops or plan.train_flops), rel=1e-6)
        assert sp.predict(params=N, data=D, sparsity=plan.sparsity, law=law).loss == pytest.approx(plan.loss, abs=1e-9)


def test_the_sparsities_at_the_ends_cost_a_per_cent_more() -> None:
    answer = sp.optimal(1e20, law=T5, params="1B")
    found = answer.sensitivity
    assert found is not None
    assert found.sparsity is not None
    assert found.nonzero_params is None  # given
    low, high = found.sparsity
    assert low < answer.plan.sparsity < high
    S = np.array(found.sparsity)
    for one in S:
        capped = sp.optimal(loss=answer.plan.loss, law=T5, params="1B", max_sparsity=min(float(one), 0.99)).plan
        if one < answer.plan.sparsity:  # the best up to the low end is the low end itself
            assert capped.train_flops == pytest.approx(1.01e20, rel=1e-6)
    again = sp.optimal(loss=answer.plan.loss, law=T5, params="1B", max_sparsity=high)
    assert again.plan.train_flops == pytest.approx(1e20, rel=1e-9)


def test_a_pattern_and_given_data_leave_nothing_to_round() -> None:
    found = sp.optimal(1e20, law=T5, pattern="2:4", data="20B").sensitivity
    assert found is not None
    assert (found.sparsity, found.nonzero_params, found.data_seen) == (None, None, None)
