"""What training costs in FLOPs."""

import numpy as np
import pytest

from sparseplan.cost.flops import flops_cost
from sparseplan.sparsity.schedule import Schedule


def test_the_two_costs_match_the_papers_formulas() -> None:
    S = np.array([0.0, 0.5, 0.75])
    assert flops_cost("sparse", Schedule()).multiplier(S) == pytest.approx((1 - 0.625 * S) / (1 - S))
    assert flops_cost("dense", Schedule()).multiplier(S) == pytest.approx(1 / (1 - S))
