"""The map of best sparsity over sizes and budgets."""

import numpy as np
import pytest

from sparseplan.cost.flops import flops_cost
from sparseplan.laws.law import Law
from sparseplan.plan.question import Question, best_plan
from sparseplan.plan.sparsity_map import sparsity_map
from tests.helpers.laws import T5


def test_the_map_agrees_with_single_plans_and_its_band_surrounds_it(t5_with_draws: Law) -> None:
    chart = sparsity_map(
        t5_with_draws,
        flops_cost("sparse", t5_with_draws.schedule),
        family="unstructured",
        points=9,
        flops=(1e16, 1e22),
        spread=True,
    )
    for i, j in ((0, 0), (4, 4), (8, 2)):
        asked = Question(
            train_flops=float(chart.train_flops[i]),
            cost=flops_cost("sparse", t5_with_draws.schedule),
            nonzero_params=float(chart.nonzero_params[j]),
        )
        single = best_plan(T5, asked)
        assert chart.sparsity[i, j] == pytest.approx(float(single.sparsity), abs=1e-9)
    assert chart.low is not None
    assert chart.high is not None
    assert np.all(chart.low <= chart.high)
    assert np.mean((chart.low <= chart.sparsity) & (chart.sparsity <= chart.high)) > 0.9
