"""The optimal sparsity over a grid of non-zero parameters and training FLOPs: a plan of `optimal` at every point."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import LEVEL
from sparseplan.cost.flops import ACCELERATED_SPARSITY, FLOPS_PER_PARAMETER_AND_TOKEN, Cost
from sparseplan.errors import PlanError
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.law import Law
from sparseplan.plan.caveats import ROUNDING, fit_caveats, law_caveats, require_real, sparsity_cap
from sparseplan.plan.contest import best_of
from sparseplan.plan.question import Plans, Question
from sparseplan.plan.sides import Sides, draw_sides, law_sides
from sparseplan.sparsity.pattern import TWO_OF_FOUR, UNSTRUCTURED, Pattern

Array = NDArray[np.float64]
Bounds = tuple[float, float]

# Beyond the law's runs the map goes on this far, so that people find their own budgets on it.
_SIZE_MARGIN = 100.0
_BELOW = 2.0
_DEFAULT_SIZES = (1e6, 1e11)
_ROUND_A_PLAN = 4.0
_ENDS = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
_DEEP = 0.875
_FAR_BELOW, _HALVED = 1e-20, 40
"""Where to begin to look for the first sparse plan, and how often the step is halved: to 1e-10 of ln C."""
_ROUNDING = 1e-6  # of searched sparsities
HALF = 0.5


class MapPlan(NamedTuple):
    """One plan on a map.

    Attributes:
        pattern: What makes its sparsity.
        size_is_free: Whether the planner chose the size too.
    """

    pattern: str
    sparsity: float
    nonzero_params: float
    data_seen: float
    train_flops: float
    loss: float
    size_is_free: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MapRuns:
    """Finished runs on a map, arrays of shape (r,).

    Attributes:
        name: The table they come from.
        of_the_law: Whether the law's file says that it was fitted to this very table.
        train_flops: Under the map's cost.
    """

    name: str
    of_the_law: bool
    sparsity: Array
    nonzero_params: Array
    train_flops: Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SparsityMap:
    """The best sparsity at fixed N and C, and what belongs beside it.

    Attributes:
        law: The law that made it.
        cost_name: The cost that made it.
        pattern: Which sparsities could be chosen.
        max_sparsity: The cap on them.
        nonzero_params: N of the columns, shape (n,).
        train_flops: C of the rows, shape (m,).
        sparsity: The best S up to the cap, shape (m, n); 0 where dense is best.
        data_seen: D of the plans, shape (m, n).
        loss: Theirs, nats, shape (m, n).
        outside: ln of how many times a plan lies beyond the span of the law's runs, on the axis (N, D or the density
            1 - S) where that is furthest; at most 0 inside. Shape (m, n); None where the law doesn't say.
        two_to_four: Where 2:4 on a device beats every unstructured sparsity, shape (m, n); None without a device.
        low, high: Percentiles 5 and 95 of the best S over the law's draws, same shape; None where not asked for or no
            draws.
        half_flops: Percentiles 5 and 95 of the C at which each N wants 50 %, shape (2, n); None without draws, where
            the cap is lower, or where other patterns compete.
        dense_optimal_flops: C at which each N is the compute-optimal dense size, shape (n,).
        sparsity_begins_flops: C above which each N wants some sparsity, shape (n,); may be infinite.
        held_flops: C above which each N is held at the cap, shape (n,); infinite where the pattern makes few values.
        plan: A plan that was asked for; None where none was.
        runs: Finished runs that were given; None likewise.
    """

    law: Law
    cost_name: str
    pattern: Pattern
    max_sparsity: float
    nonzero_params: Array
    train_flops: Array
    sparsity: Array
    data_seen: Array
    loss: Array
    outside: Array | None
    two_to_four: NDArray[np.bool_] | None
    low: Array | None
    high: Array | None
    half_flops: Array | None
    dense_optimal_flops: Array
    sparsity_begins_flops: Array
    held_flops: Array
    plan: MapPlan | None = None
    runs: MapRuns | None = None

    @property
    def extrapolated(self) -> NDArray[np.bool_] | None:
        """Where `optimal` would call the plan extrapolated, shape (m, n); None where the law doesn't say."""
        return None if self.outside is None else self.outside > 0.0

    @property
    def held(self) -> NDArray[np.bool_]:
        """Where the cap holds the sparsity, shape (m, n)."""
        return (self.train_flops[:, None] >= self.held_flops) & (self.sparsity > self.max_sparsity - _ROUNDING)


def map_caveats(chart: SparsityMap) -> list[Caveat]:
    """What the law can't vouch for on a map: sets that stand in or were borrowed, and what its own fit warned of."""
    own = law_caveats(chart.law, chart.pattern.family)
    return [*(one for one in own if one.code in ("pattern-borrowed", "transferred")), *fit_caveats(chart.law)]


class MapCost(NamedTuple):
    """What sparsity costs in one map: for its pattern, and for 2:4 where a device runs that faster."""

    pattern: Cost
    two_to_four: Cost | None = None


class _Contest(NamedTuple):
    """What competes for a budget: a pattern, and 2:4 beside it where its cost is given; draws or single values."""

    pattern: Pattern
    cap: float
    cost: MapCost
    sides: Sides
    sides_24: Sides

    def winners(self, N: Array | float | None, C: Array | float) -> tuple[Plans, NDArray[np.bool_]]:
        """The best plans, and whether it is 2:4 that makes them, for N and training FLOPs that broadcast.

        Without N the size is free.
        """
        asked = Question(
            train_flops=C, nonzero_params=N, cost=self.cost.pattern, pattern=self.pattern, max_sparsity=self.cap
        )
        entries = [(self.sides, asked)]
        if self.cost.two_to_four is not None and self.cap >= ACCELERATED_SPARSITY:
            entries.append((self.sides_24, replace(asked, cost=self.cost.two_to_four, pattern=TWO_OF_FOUR)))
        plans, first = best_of(entries)
        return plans, first == 1


def map_plan(
    law: Law, cost: MapCost, pattern: Pattern, *, max_sparsity: float | None, flops: float, size: float | None
) -> MapPlan:
    """The plan for a budget, of a map's pattern, or of 2:4 where that competes.

    Args:
        law: Which law answers.
        cost: The map's.
        pattern: The map's.
        max_sparsity: The cap; by default the law's, as for plans.
        flops: The budget.
        size: N where that is decided.

    Raises:
        PlanError: if the numbers leave what a computer has.
    """
    sides, cap = law_sides(law, pattern.family), sparsity_cap(law) if max_sparsity is None else max_sparsity
    sides_24 = sides if cost.two_to_four is None else law_sides(law, TWO_OF_FOUR.family)
    best, halved = _Contest(pattern, cap, cost, sides, sides_24).winners(size, flops)
    require_real(N=best.nonzero_params, D=best.data_seen, loss=best.loss)
    return MapPlan(
        pattern=str(TWO_OF_FOUR if halved else pattern),
        sparsity=float(best.sparsity),
        nonzero_params=float(best.nonzero_params),
        data_seen=float(best.data_seen),
        train_flops=flops,
        loss=float(best.loss),
        size_is_free=size is None,
    )


@np.errstate(all="ignore")  # what overflows is refused by name
def sparsity_maps(
    law: Law,
    costs: Sequence[MapCost],
    *,
    points: int,
    pattern: Pattern = UNSTRUCTURED,
    max_sparsity: float | None = None,
    sizes: Bounds | None = None,
    flops: Bounds | None = None,
    spread: bool = False,
    plans: Sequence[MapPlan | None] = (),
    runs: Sequence[MapRuns | None] = (),
) -> list[SparsityMap]:
    """Compute a map for each cost, all on one grid of points x points, logarithmic on both axes.

    Args:
        law: Which law answers.
        costs: A map each.
        points: Along each axis.
        pattern: Unstructured, or a family.
        max_sparsity: The cap; by default the law's, as for plans.
        sizes: Ends of N. By default from half the law's smallest run to 100 times its largest.
        flops: Ends of C. By default what lies between the compute-optimal line and where 87.5 % is optimal.
        spread: Compute percentiles at every point of the grid, which a thousand draws make slow.
        plans: A plan to show on each map; default ends make room for it.
        runs: Finished runs to show on each map.

    Raises:
        PlanError: if the grid overflows.
    """
    sides, draws = law_sides(law, pattern.family), draw_sides(law, pattern.family)
    competes = pattern == UNSTRUCTURED and any(cost.two_to_four is not None for cost in costs)
    family_24 = TWO_OF_FOUR.family if competes else pattern.family
    sides_24, draws_24 = law_sides(law, family_24), draw_sides(law, family_24)
    cap = sparsity_cap(law) if max_sparsity is None else max_sparsity
    shown = [plan for plan in plans if plan is not None]
    low, high = sizes or _with_room(_default_sizes(law), [plan.nonzero_params for plan in shown])
    N = np.geomspace(low, high, points)
    per_unit = FLOPS_PER_PARAMETER_AND_TOKEN * law.tokens_per_unit
    optimal = sides.dense.optimal_tokens(N) * per_unit
    _require_grid(N, optimal)
    spans = [flops] if flops else [_interesting_flops(sides.sparse, cost.pattern, optimal, N) for cost in costs]
    span = (min(span[0] for span in spans), max(span[1] for span in spans))
    C = np.geomspace(*(flops or _with_room(span, [plan.train_flops for plan in shown])), points)
    _require_grid(C)
    maps = []
    none = [None] * len(costs)
    for cost, plan, finished in zip(costs, plans or none, runs or none, strict=True):
        contest = _Contest(pattern, cap, cost, sides, sides_24)
        found, wins = contest.winners(N, C[:, None])
        S, budget = found.sparsity, cost.pattern.budget(per_unit)
        low_high: tuple[Array, Array] | None = None
        half: Array | None = None
        if spread and draws is not None and draws_24 is not None:
            wide, wide_24 = (Sides(*(theta.expanded() for theta in one)) for one in (draws, draws_24))
            low_high = _percentiles(_Contest(pattern, cap, cost, wide, wide_24), N, C)
        plain = pattern == UNSTRUCTURED and cost.two_to_four is None
        if draws is not None and plain and cap >= HALF:
            half = np.quantile(draws.sparse.expanded().tokens_for_sparsity(HALF, N, budget) * per_unit, _ENDS, axis=0)
        held = np.full(N.shape, np.inf)
        if pattern == UNSTRUCTURED and cap > 0.0:
            held = sides.sparse.tokens_for_sparsity(cap, N, budget) * per_unit
        if plain and cap > 0.0:
            begins = sides.sparse.tokens_for_sparsity(0.0, N, budget) * per_unit
        else:
            begins = _first_sparse(contest, N, C[-1])
        maps.append(
            SparsityMap(
                law=law,
                cost_name=cost.pattern.name,
                pattern=pattern,
                max_sparsity=cap,
                nonzero_params=N,
                train_flops=C,
                sparsity=S,
                data_seen=found.data_seen,
                loss=found.loss,
                outside=_outside(law, found),
                two_to_four=None if cost.two_to_four is None else wins,
                low=None if low_high is None else low_high[0],
                high=None if low_high is None else low_high[1],
                half_flops=half,
                dense_optimal_flops=optimal,
                sparsity_begins_flops=begins,
                held_flops=held,
                plan=plan,
                runs=finished,
            )
        )
    return maps


def _default_sizes(law: Law) -> Bounds:
    covered = law.range.nonzero_params
    return (covered[0] / _BELOW, covered[1] * _SIZE_MARGIN) if covered else _DEFAULT_SIZES


def _with_room(span: Bounds, values: list[float]) -> Bounds:
    """A span that was not asked for, widened where a plan lies outside or at its edge."""
    ends = [end for value in values for end in (value / _ROUND_A_PLAN, value * _ROUND_A_PLAN)]
    return min([span[0], *ends]), max([span[1], *ends])


def _outside(law: Law, plans: Plans) -> Array | None:
    """`SparsityMap.outside`, by the rules of `caveats.distances`."""
    found: list[Array] = []
    edge = np.log(ROUNDING)
    for values, bounds in (
        (plans.nonzero_params, law.range.nonzero_params),
        (plans.data_seen, law.range.data_seen),
    ):
        if bounds is not None:
            x = np.log(values)
            found += [x - np.log(bounds[1]) - edge, np.log(bounds[0]) - edge - x]
    if law.range.sparsity is not None:
        # An end that nothing passes says nothing, and a plan on it (dense, or held at the cap) is not at an edge.
        low, high = law.range.sparsity
        x = np.log1p(-plans.sparsity)
        found += [np.log1p(-high) - x] if np.any(plans.sparsity > high) else []
        found += [x - np.log1p(-low)] if np.any(plans.sparsity < low) else []
        found.append(np.full(plans.loss.shape, -1.0))
    if not found:
        return None
    return np.asarray(np.max(np.stack(np.broadcast_arrays(*found, plans.loss)[:-1]), axis=0))


def _require_grid(*axes: Array) -> None:
    if not all(np.all(np.isfinite(axis)) and np.all(axis > 0) for axis in axes):
        raise PlanError("this map overflows; narrow it with `params` and `flops`, or check the law.")


def _interesting_flops(theta: Theta, cost: Cost, optimal: Array, N: Array) -> Bounds:
    """From a tenth of the smallest size's optimal budget to where the middle size wants 87.5 % sparsity."""
    middle = float(optimal[len(N) // 2])
    budgets = middle * np.geomspace(1.0, 1e12, 400)
    S = theta.best_sparsity(cost.budget(budgets), N=float(N[len(N) // 2]))
    deep = float(budgets[min(int(np.searchsorted(S, _DEEP)), len(budgets) - 1)])
    return float(optimal[0]) / 10, max(deep, float(optimal[-1]) * 10)


def _first_sparse(contest: _Contest, N: Array, most: float) -> Array:
    """The C above which each N wants some sparsity, up to `most`; infinite where none does. By bisection."""
    low, high = np.full(N.shape, most * _FAR_BELOW), np.full(N.shape, most)
    some = contest.winners(N, high)[0].sparsity > 0.0
    for _ in range(_HALVED):
        middle = np.sqrt(low * high)
        sparse = contest.winners(N, middle)[0].sparsity > 0.0
        low, high = np.where(sparse, low, middle), np.where(sparse, middle, high)
    return np.where(some, high, np.inf)


def _percentiles(contest: _Contest, N: Array, C: Array) -> tuple[Array, Array]:
    """Percentiles over draws, a row of the grid at a time, so that memory stays at draws x points."""
    rows = [np.quantile(contest.winners(N, row)[0].sparsity, _ENDS, axis=0) for row in C]
    low, high = np.stack(rows, axis=1)
    return low, high
