"""Numeric optima for forms, or costs, without a closed solution: grids that close in around their best point.

A grid may have several local minima in it, which costs by width make; looking at all its points finds the lowest.
Every search ends after a fixed number of rounds, whatever the values are: NaN and infinity lose against any number.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.laws.forms.minima import smooth_minimum
from sparseplan.laws.forms.roots import rising_root

if TYPE_CHECKING:
    from sparseplan.laws.forms.base import Theta

LOWEST_DENSITY = 1e-9
"""Beyond this density a law means nothing; it only keeps logarithms finite where an optimum runs away to S = 1."""
LOWEST_SEARCHED = 1e-6
"""The lowest density that a search tries."""
ANY_SIZE = (0.0, np.log(1e30))
"""Ends of ln N where nothing narrower is known."""
_POINTS = 257
# A smooth minimum is flat to rounding within about sqrt(2.2e-16) = 1.5e-8 of x: values tell no more than this.
_PRECISION = 1e-8
# A round keeps 4 of 256 steps, so the next is 64 times finer: six are enough for ANY_SIZE, the rest is margin.
_ROUNDS = 12
_STEP = 1e-3
_SLOPE_STEP = 1e-6
_DENSITY_STEP = 0.25
_FEWEST_POINTS = 9
HIGHEST_SPARSITY = 1.0 - LOWEST_DENSITY


def best_size(theta: "Theta", S: Floats, budget: Budget, low: Floats, high: Floats, *, points: int = _POINTS) -> Array:
    """The N of the lowest loss at sparsity S, between the ends `low` and `high` of ln N, by rounds of `points`.

    Returns:
        N to about eight digits, of the shape in which coefficients, S, budget and ends broadcast.
    """
    S, low, high = (np.asarray(value, dtype=np.float64) for value in (S, low, high))
    # Everything gets a trailing axis, along which the grid's points are: (..., 1) against (..., points).
    wide, money = theta.expanded(), budget.expanded()
    shape = np.broadcast_shapes(*(np.shape(value) for value in theta), S.shape, np.shape(budget.tokens), low.shape)
    S_ = S[..., None]

    def losses(x: Array) -> Array:
        N = np.exp(x)
        return wide.reducible(S_, N, money.data(S_, N))

    return np.exp(lowest(losses, np.broadcast_to(low, shape), np.broadcast_to(high, shape), points))


def best_sparsity(
    theta: "Theta",
    budget: Budget,
    *,
    N: Floats | None,
    M: Floats | None,
    highest: float,
) -> Array:
    """The S in [0, highest] of the lowest loss: with N non-zero parameters, M before pruning, or the size free."""
    sizes = [np.asarray(value, dtype=np.float64) for value in (N, M) if value is not None]
    shape = np.broadcast_shapes(*(np.shape(v) for v in theta), np.shape(budget.tokens), *(size.shape for size in sizes))
    wide, money = theta.expanded(), budget.expanded()

    # In x = ln(1 - S), as in the closed solutions: steps of equal ratio in the density, fine near S = 1.
    def losses(x: Array) -> Array:
        S = -np.expm1(x)
        if N is not None:
            size = np.asarray(N, dtype=np.float64)[..., None]
        elif M is not None:
            size = np.asarray(M, dtype=np.float64)[..., None] * np.exp(x)
        else:
            size = wide.best_size(S, money)
        return wide.reducible(S, size, money.data(S, size))

    x = smooth_minimum(losses, *densities(highest, shape))
    ends = np.stack([x, np.zeros(shape)], axis=-1)
    at = losses(ends)
    # What no digit of the loss can tell from dense is dense.
    return np.asarray(np.where(at[..., 0] < at[..., 1], np.minimum(0.0 - np.expm1(x), highest), 0.0))


def densities(highest: float, shape: tuple[int, ...]) -> tuple[Array, Array, int]:
    """Ends of ln(1 - S) for sparsities up to the highest, and the points of a grid that sees every minimum of a law."""
    low = float(np.log(max(1.0 - highest, LOWEST_SEARCHED)))
    return np.full(shape, low), np.zeros(shape), max(_FEWEST_POINTS, int(np.ceil(-low / _DENSITY_STEP)) + 1)


def balance(theta: "Theta", S: Floats, N: Floats, D: Floats) -> Array:
    """`Theta.balance` by differences of the loss over a thousandth of ln N and of ln D."""
    N, D = np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64)
    up, down = np.exp(_STEP), np.exp(-_STEP)
    by_size = theta.reducible(S, N * down, D) - theta.reducible(S, N * up, D)
    by_data = theta.reducible(S, N, D * down) - theta.reducible(S, N, D * up)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(by_size) - np.log(by_data))


def size_for_data(theta: "Theta", S: Floats, D: Floats) -> Array:
    """`Theta.size_for_data` by Newton's method inside `ANY_SIZE`."""
    shape = np.broadcast_shapes(*(np.shape(value) for value in theta), np.shape(S), np.shape(D))

    def excess(x: Array) -> Array:
        return np.asarray(-theta.balance(S, np.exp(x), D))

    return np.exp(rising_root(with_slope(excess), np.full(shape, np.log(1e9)), *ANY_SIZE))


def cheapest_size_by_grid(
    theta: "Theta", S: Floats, reducible: Floats, cost: "Callable[[Array, Array, Array], Array]"
) -> Array:
    """The N of the cheapest run that reaches a reducible loss, under any cost(D, S, N)."""
    S, reducible = np.asarray(S, dtype=np.float64)[..., None], np.asarray(reducible, dtype=np.float64)[..., None]
    wide = theta.expanded()
    shape = _shape(wide, S, reducible)[:-1]

    def flops(x: Array) -> Array:
        N = np.exp(x)
        return cost(wide.data_for(S, N, reducible), S, N)

    return np.exp(lowest(flops, np.full(shape, ANY_SIZE[0]), np.full(shape, ANY_SIZE[1])))


def size_at_ratio(theta: "Theta", S: Floats, R: Floats, reducible: Floats) -> Array:
    """The N at which a run on R units of data per parameter reaches a reducible loss; infinite where none does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.log(reducible)

    def excess(x: Array) -> Array:
        N = np.exp(x)
        return np.asarray(wanted - np.log(theta.reducible(S, N, R * N)))

    start = np.full(_shape(theta, S, R, reducible), np.log(1e9))
    x = rising_root(with_slope(excess), start, *ANY_SIZE)
    return np.asarray(np.where(excess(x) >= -_PRECISION, np.exp(x), np.inf))


def _shape(theta: "Theta", *others: Floats) -> tuple[int, ...]:
    return np.broadcast_shapes(*(np.shape(value) for value in (*theta, *others)))


def with_slope(function: "Function") -> "Callable[[Array], tuple[Array, Array]]":
    """A function of x with its slope by a forward difference, as `rising_root` takes it."""

    def both(x: Array) -> tuple[Array, Array]:
        value = function(x)
        with np.errstate(invalid="ignore"):
            slope = np.asarray((function(x + _SLOPE_STEP) - value) / _SLOPE_STEP)
        # A step into infinity tells nothing: with an infinite slope Newton's method would stand still and look settled.
        return value, np.where(np.isfinite(slope), slope, np.nan)

    return both


def tokens_for_sparsity(theta: "Theta", S: float, N: Floats, budget: Budget) -> Array:
    """The token budget at which `best_sparsity` of N reaches S, by bisection of its logarithm; infinite where none."""
    N = np.asarray(N, dtype=np.float64)
    start = np.log(theta.optimal_tokens(N))
    # From e^-40 to e^60 times the tokens at which N is the best dense size; 60 halvings of this end at rounding.
    low, high = start - 40.0, start + 60.0

    def reached(x: Array) -> NDArray[np.bool_]:
        best = theta.best_sparsity(replace(budget, tokens=np.exp(x)), N=N)
        # Below the threshold the best S is exactly 0, so "begins to pay" is the first budget above it.
        return np.asarray(best > S if S == 0.0 else best >= S)

    beyond = ~reached(high)
    for _ in range(60):
        middle = 0.5 * (low + high)
        there = reached(middle)
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return np.asarray(np.where(beyond, np.inf, np.exp(high)))


def lowest(losses: "Function", low: Array, high: Array, points: int = _POINTS) -> Array:
    """Where a function of x is lowest in [low, high]: its grid closes in, every round, around the best point.

    Args:
        losses: Maps x of shape (..., points) to values of that shape.
        low: Lower ends, shape (...).
        high: Upper ends, likewise.
        points: Points of a round.
    """
    first, last = low, high
    centre = low
    for _ in range(_ROUNDS):
        x = np.linspace(low, high, points, axis=-1)
        value = losses(x)
        best = np.argmin(np.where(np.isnan(value), np.inf, value), axis=-1)[..., None]  # index, shape (..., 1)
        centre = np.take_along_axis(x, best, axis=-1)[..., 0]
        step = (high - low) / (points - 1)
        if np.all(step < _PRECISION):
            break
        # The minimum is within one step of the best point; a second one is kept for where rounding chose a neighbour.
        low, high = np.maximum(centre - 2.0 * step, first), np.minimum(centre + 2.0 * step, last)
    return centre


if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[Array], Array]
    PairFunction = Callable[[Array, Array], Array]
