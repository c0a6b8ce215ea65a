"""Minima of smooth functions, many at once: the best point of a grid, then parabolas inside a shrinking bracket.

The bracket and its safeguard are those of Brent's method, Press et al. 2007, Numerical Recipes, section 10.3; here
elementwise over arrays, so one call finds the minima of all draws. It takes some twenty evaluations where a grid that
closes in (`search.lowest`) takes thousands, and sees only minima that the first grid sees.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.budget import Array

_GOLDEN = 0.381966
_MAX_STEPS = 60
_PRECISION = 1e-8  # a smooth minimum is flat to rounding within about sqrt(2.2e-16) of x
_PROBE = 1e-6  # how far inside an end one looks whether the function falls from there


def smooth_minimum(function: Callable[[Array], Array], low: Array, high: Array, points: int) -> Array:
    """Where a function is lowest in [low, high], elementwise.

    Args:
        function: Maps x of shape (..., n) to values of that shape, for every n; infinite where there is nothing.
        low: Lower ends, shape (...).
        high: Upper ends, likewise.
        points: Points of the first grid.

    Returns:
        x of shape (...), to about 1e-8.
    """

    def at(x: Array) -> Array:
        value = function(x[..., None])[..., 0]
        return np.where(np.isnan(value), np.inf, value)

    grid = np.linspace(low, high, points, axis=-1)
    values = function(grid)
    values = np.where(np.isnan(values), np.inf, values)
    best = np.argmin(values, axis=-1)

    def chosen(index: NDArray[np.intp]) -> tuple[Array, Array]:
        place = index[..., None]
        return np.take_along_axis(grid, place, -1)[..., 0], np.take_along_axis(values, place, -1)[..., 0]

    left, f_left = chosen(np.maximum(best - 1, 0))
    right, f_right = chosen(np.minimum(best + 1, points - 1))
    x, f = chosen(best)
    # At an end of the grid a point just inside tells whether the function falls from there; if not, the end is it.
    inward = np.where(best == 0, right - x, left - x)
    at_end = (best == 0) | (best == points - 1)
    probe = np.where(at_end, x + _PROBE * inward, x)
    f_probe = at(probe)
    falls = at_end & (f_probe < f)
    settled = at_end & ~falls
    x, f = np.where(falls, probe, x), np.where(falls, f_probe, f)
    width = right - left
    before_last = np.full(np.shape(x), np.inf)
    before = width
    for _ in range(_MAX_STEPS):
        if bool(np.all(settled)):
            break
        # Golden section of the wider side, wherever the parabola through the three points is of no use.
        wider = np.where(right - x >= x - left, right - x, left - x)
        golden = x + _GOLDEN * wider
        with np.errstate(all="ignore"):
            one, other = (x - left) * (f - f_right), (x - right) * (f - f_left)
            shift = -0.5 * ((x - left) * one - (x - right) * other) / (one - other)
        vertex = x + shift
        # A parabola whose brackets haven't halved in two steps creeps: there golden section takes its turn.
        near = np.abs(shift) <= 1e-3 * np.maximum(1.0, np.abs(x))
        useful = (vertex > left) & (vertex < right) & (near | (width <= 0.5 * before_last))
        following = np.where(useful, vertex, golden)
        # Steps below the precision look at the other side of the minimum instead, which closes the bracket.
        least = 0.5 * _PRECISION
        following = np.where(np.abs(following - x) < least, x + least * np.sign(wider), following)
        following = np.where(settled, x, following)
        value = at(following)
        better = value < f
        above = following > x
        moved = ~settled
        new_left = np.where(better, np.where(above, x, left), np.where(above, left, following))
        new_right = np.where(better, np.where(above, right, x), np.where(above, following, right))
        f_left = np.where(moved, np.where(better, np.where(above, f, f_left), np.where(above, f_left, value)), f_left)
        f_right = np.where(
            moved, np.where(better, np.where(above, f_right, f), np.where(above, value, f_right)), f_right
        )
        left, right = np.where(moved, new_left, left), np.where(moved, new_right, right)
        step = np.abs(following - x)
        x, f = np.where(better, following, x), np.where(better, value, f)
        before, before_last, width = width, before, right - left
        settled = settled | (width <= 2.0 * _PRECISION) | ((step <= _PRECISION) & ~better)
    return x
