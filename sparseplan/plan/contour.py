"""The optimal sparsity over a grid of non-zero parameters and training FLOPs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseplan.cost import FLOPS_PER_PARAMETER_AND_TOKEN, Cost
from sparseplan.law import Law, Range, coefficient_draws, coefficients
from sparseplan.laws.frantar2023 import Coefficients
from sparseplan.plan import optimum
from sparseplan.plan.answer import LEVEL

Array = NDArray[np.float64]
Bounds = tuple[float, float]

# Beyond the law's runs the map goes on this far, so that people find their own budgets on it.
_SIZE_MARGIN = 100.0
_DEFAULT_SIZES = (1e6, 1e11)


@dataclass(frozen=True, kw_only=True, slots=True)
class SparsityMap:
    """S_opt at fixed N and C, and what belongs beside it.

    Attributes:
        law_name: The law that made it.
        cost_name: The cost that made it.
        nonzero_params: N of the columns, shape (n,).
        train_flops: C of the rows, shape (m,).
        sparsity: S_opt without a cap, shape (m, n).
        low, high: Percentiles 5 and 95 of S_opt over the law's draws, same shape; None without draws.
        dense_optimal_flops: C at which each N is the compute-optimal dense size, shape (n,).
        sparsity_begins_flops: C above which each N wants some sparsity, shape (n,); may be infinite.
        covered: What the law's runs covered.
        flops_per_param_and_unit: 6 tokens_per_unit, to turn N and D of the range into C.
    """

    law_name: str
    cost_name: str
    nonzero_params: Array
    train_flops: Array
    sparsity: Array
    low: Array | None
    high: Array | None
    dense_optimal_flops: Array
    sparsity_begins_flops: Array
    covered: Range
    flops_per_param_and_unit: float


def sparsity_map(
    law: Law, cost: Cost, *, family: str, points: int, sizes: Bounds | None = None, flops: Bounds | None = None
) -> SparsityMap:
    """Compute the map on a grid of points x points, logarithmic on both axes.

    The default grid starts at the law's smallest run and goes on to 100 times its largest; in FLOPs it spans what lies
    between the compute-optimal line and where 87.5 % sparsity is optimal.
    """
    theta, draws = coefficients(law, family), coefficient_draws(law, family)
    covered = law.range.nonzero_params
    low, high = sizes or ((covered[0], covered[1] * _SIZE_MARGIN) if covered else _DEFAULT_SIZES)
    N = np.geomspace(low, high, points)
    per_unit = FLOPS_PER_PARAMETER_AND_TOKEN * law.tokens_per_unit
    optimal = optimum.budget_where_size_is_optimal(theta, N) * per_unit
    C = np.geomspace(*(flops or _interesting_flops(theta, cost, optimal, N, per_unit)), points)
    budget = C[:, None] / per_unit
    spread = None if draws is None else _percentiles(draws, cost, N, budget)
    return SparsityMap(
        law_name=law.name,
        cost_name=cost.name,
        nonzero_params=N,
        train_flops=C,
        sparsity=optimum.sparsity_at_size(theta, cost.saving, N, budget),
        low=None if spread is None else spread[0],
        high=None if spread is None else spread[1],
        dense_optimal_flops=optimal,
        sparsity_begins_flops=optimum.budget_where_sparsity_begins(theta, cost.saving, N) * per_unit,
        covered=law.range,
        flops_per_param_and_unit=per_unit,
    )


def _interesting_flops(theta: Coefficients, cost: Cost, optimal: Array, N: Array, per_unit: float) -> Bounds:
    """From a tenth of the smallest size's optimal budget to where the middle size wants 87.5 % sparsity."""
    budgets = np.geomspace(float(optimal[len(N) // 2]), float(optimal[len(N) // 2]) * 1e12, 400)
    S = optimum.sparsity_at_size(theta, cost.saving, float(N[len(N) // 2]), budgets / per_unit)
    deep = float(budgets[min(int(np.searchsorted(S, 0.875)), len(budgets) - 1)])
    return float(optimal[0]) / 10, max(deep, float(optimal[-1]) * 10)


def _percentiles(draws: Coefficients, cost: Cost, N: Array, budget: Array) -> tuple[Array, Array]:
    """Percentiles over draws, a row of the grid at a time, so that memory stays at draws x points."""
    expanded = draws.expanded()
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    rows = [np.quantile(optimum.sparsity_at_size(expanded, cost.saving, N, row), ends, axis=0) for row in budget]
    low, high = np.stack(rows, axis=1)
    return low, high
