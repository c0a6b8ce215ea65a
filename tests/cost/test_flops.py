"""What training costs in FLOPs."""

import msgspec
import numpy as np
import pytest

from sparseplan.cost.flops import Cost, flops_cost
from sparseplan.laws.file import law_text, load_law, parse_law
from sparseplan.laws.law import coefficients
from sparseplan.plan.question import Question, best_plan
from sparseplan.sparsity.schedule import Schedule


def test_the_two_costs_match_the_papers_formulas() -> None:
    S = np.array([0.0, 0.5, 0.75])
    assert flops_cost("sparse", Schedule()).multiplier(S) == pytest.approx((1 - 0.625 * S) / (1 - S))
    assert flops_cost("dense", Schedule()).multiplier(S) == pytest.approx(1 / (1 - S))


def test_rounds_cost_on_any_device_and_plans_pay_for_them() -> None:
    rounds = Schedule(kind="rewinding", start=0.25, end=1.0)
    device = Cost(name="h100", saving=0.0)
    # one half by fifths: three rounds of three quarters of training beside the first, of a model twice as large
    for cost in (flops_cost("dense", rounds), device.on_ramp(rounds, 1.0)):
        assert float(cost.multiplier(0.5)) == pytest.approx((1 + 3 * 0.75) * 2)
        assert cost.budget(1e20).saving is None
    assert float(device.on_ramp(rounds, 1.0).on_ramp(Schedule(), 1.0).multiplier(0.5)) == 2.0
    law = msgspec.structs.replace(load_law("frantar2023-t5-c4"), schedule=rounds)
    assert parse_law(law_text(law), source="law.yaml").schedule == rounds
    found = [
        best_plan(
            coefficients(law), Question(train_flops=1e21, cost=flops_cost("sparse", schedule), nonzero_params=1e8)
        )
        for schedule in (Schedule(), rounds)
    ]
    assert float(found[1].sparsity) < float(found[0].sparsity)
    spent = flops_cost("sparse", rounds).flops_for(found[1].data_seen, found[1].sparsity, 1e8)
    assert float(spent) == pytest.approx(1e21)
