"""The optimal sparsity over a grid of non-zero parameters and training FLOPs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseplan.common.intervals import LEVEL
from sparseplan.cost.flops import ACCELERATED_SPARSITY, FLOPS_PER_PARAMETER_AND_TOKEN, Cost
from sparseplan.errors import PlanError
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.law import Law, Range, coefficient_draws, coefficients

Array = NDArray[np.float64]
Bounds = tuple[float, float]

# Beyond the law's runs the map goes on this far, so that people find their own budgets on it.
_SIZE_MARGIN = 100.0
_DEFAULT_SIZES = (1e6, 1e11)
_FAMILY_24 = "n:4"
_ENDS = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
HALF = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class SparsityMap:
    """S_opt at fixed N and C, and what belongs beside it.

    Attributes:
        law_name: The law that made it.
        cost_name: The cost that made it.
        nonzero_params: N of the columns, shape (n,).
        train_flops: C of the rows, shape (m,).
        sparsity: S_opt without a cap, shape (m, n).
        two_to_four: Where 2:4 on a device beats every unstructured sparsity, shape (m, n); None without a device.
        low, high: Percentiles 5 and 95 of S_opt over the law's draws, same shape; None where not asked for or no draws.
        half_flops: Percentiles 5 and 95 of the C at which each N wants 50 %, shape (2, n); None without draws, or where
            2:4 on a device competes.
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
    two_to_four: NDArray[np.bool_] | None
    low: Array | None
    high: Array | None
    half_flops: Array | None
    dense_optimal_flops: Array
    sparsity_begins_flops: Array
    covered: Range
    flops_per_param_and_unit: float


class MapCost(NamedTuple):
    """What sparsity costs in one map: unstructured, and 2:4 where a device runs that faster."""

    unstructured: Cost
    two_to_four: Cost | None = None


class _Contest(NamedTuple):
    """The coefficients and costs that compete for a budget; draws or single values."""

    theta: Theta
    theta_24: Theta
    cost: MapCost

    def winners(self, N: Array, C: Array) -> tuple[Array, NDArray[np.bool_]]:
        """S_opt, and whether it is 2:4 that makes it, for N and training FLOPs that broadcast."""
        plain = self.cost.unstructured
        S = self.theta.best_sparsity(plain.budget(C), N=N)
        if self.cost.two_to_four is None:
            return S, np.zeros(S.shape, dtype=np.bool_)
        reached = self.theta.loss(S, N, plain.data_for(C, S, N))
        data = self.cost.two_to_four.data_for(C, ACCELERATED_SPARSITY, N)
        wins = self.theta_24.loss(ACCELERATED_SPARSITY, N, data) < reached
        return np.where(wins, ACCELERATED_SPARSITY, S), wins


@np.errstate(all="ignore")  # what overflows is refused by name
def sparsity_maps(
    law: Law,
    costs: Sequence[MapCost],
    *,
    family: str,
    points: int,
    sizes: Bounds | None = None,
    flops: Bounds | None = None,
    spread: bool = False,
) -> list[SparsityMap]:
    """Compute a map for each cost, all on one grid of points x points, logarithmic on both axes.

    `spread` asks for percentiles at every point of the grid, which a thousand draws make slow.

    Raises:
        PlanError: if the grid overflows.

    The default grid starts at the law's smallest run and goes on to 100 times its largest; in FLOPs it spans what lies
    between the compute-optimal line and where 87.5 % sparsity is optimal.
    """
    family_24 = _FAMILY_24 if any(cost.two_to_four is not None for cost in costs) else family
    theta, theta_24 = coefficients(law, family), coefficients(law, family_24)
    draws, draws_24 = coefficient_draws(law, family), coefficient_draws(law, family_24)
    covered = law.range.nonzero_params
    low, high = sizes or ((covered[0], covered[1] * _SIZE_MARGIN) if covered else _DEFAULT_SIZES)
    N = np.geomspace(low, high, points)
    per_unit = FLOPS_PER_PARAMETER_AND_TOKEN * law.tokens_per_unit
    optimal = theta.optimal_tokens(N) * per_unit
    _require_grid(N, optimal)
    spans = [flops] if flops else [_interesting_flops(theta, cost.unstructured, optimal, N) for cost in costs]
    C = np.geomspace(min(span[0] for span in spans), max(span[1] for span in spans), points)
    _require_grid(C)
    maps = []
    for cost in costs:
        S, wins = _Contest(theta, theta_24, cost).winners(N, C[:, None])
        budget = cost.unstructured.budget(per_unit)
        begins = theta.tokens_for_sparsity(0.0, N, budget) * per_unit
        low_high: tuple[Array, Array] | None = None
        half: Array | None = None
        if spread and draws is not None and draws_24 is not None:
            low_high = _percentiles(_Contest(draws.expanded(), draws_24.expanded(), cost), N, C)
        if draws is not None and cost.two_to_four is None:
            at_half = draws.expanded().tokens_for_sparsity(HALF, N, budget) * per_unit
            half = np.quantile(at_half, _ENDS, axis=0)
        maps.append(
            SparsityMap(
                law_name=law.name,
                cost_name=cost.unstructured.name,
                nonzero_params=N,
                train_flops=C,
                sparsity=S,
                two_to_four=None if cost.two_to_four is None else wins,
                low=None if low_high is None else low_high[0],
                high=None if low_high is None else low_high[1],
                half_flops=half,
                dense_optimal_flops=optimal,
                sparsity_begins_flops=np.minimum(begins, np.where(wins, C[:, None], np.inf).min(axis=0)),
                covered=law.range,
                flops_per_param_and_unit=per_unit,
            )
        )
    return maps


def sparsity_map(
    law: Law,
    cost: Cost,
    *,
    family: str,
    points: int,
    sizes: Bounds | None = None,
    flops: Bounds | None = None,
    spread: bool = False,
) -> SparsityMap:
    """Compute one map, as `sparsity_maps` does."""
    return sparsity_maps(law, [MapCost(cost)], family=family, points=points, sizes=sizes, flops=flops, spread=spread)[0]


def _require_grid(*axes: Array) -> None:
    if not all(np.all(np.isfinite(axis)) and np.all(axis > 0) for axis in axes):
        raise PlanError("this map overflows; narrow it with `params` and `flops`, or check the law.")


def _interesting_flops(theta: Theta, cost: Cost, optimal: Array, N: Array) -> Bounds:
    """From a tenth of the smallest size's optimal budget to where the middle size wants 87.5 % sparsity."""
    middle = float(optimal[len(N) // 2])
    budgets = middle * np.geomspace(1.0, 1e12, 400)
    S = theta.best_sparsity(cost.budget(budgets), N=float(N[len(N) // 2]))
    deep = float(budgets[min(int(np.searchsorted(S, 0.875)), len(budgets) - 1)])
    return float(optimal[0]) / 10, max(deep, float(optimal[-1]) * 10)


def _percentiles(contest: _Contest, N: Array, C: Array) -> tuple[Array, Array]:
    """Percentiles over draws, a row of the grid at a time, so that memory stays at draws x points."""
    rows = [np.quantile(contest.winners(N, row)[0], _ENDS, axis=0) for row in C]
    low, high = np.stack(rows, axis=1)
    return low, high
