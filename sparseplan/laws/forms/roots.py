"""Roots of rising functions, many at once: Newton's method inside a shrinking bracket.

The safeguards are those of `rtsafe`, Press et al. 2007, Numerical Recipes, section 9.4; here elementwise over arrays,
so one call solves for all draws and grid points.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MAX_STEPS = 200
TOLERANCE = 1e-10
NEAR = 1e-3  # a Newton step this short has settled; its bracket may still be wide on one side


def rising_root(function: Callable[[Array], tuple[Array, Array]], start: Array, low: float, high: float) -> Array:
    """Find where a rising function crosses zero in [low, high], elementwise; at the nearer end where it doesn't.

    Args:
        function: Maps x to its value and derivative there, both of x's shape; values may be infinite, not NaN.
        start: First guess, any values; its shape is the result's.
        low: Lower end of the interval.
        high: Upper end.

    Returns:
        Roots to about 1e-10, of start's shape.
    """
    lower, upper = np.full(start.shape, low), np.full(start.shape, high)
    # Without a crossing the bracket shrinks to the end that is nearer to one, and stays there.
    at_low, at_high = function(lower)[0] >= 0.0, function(upper)[0] <= 0.0
    upper[at_low] = low
    lower[at_high & ~at_low] = high
    x = np.clip(np.nan_to_num(start), lower, upper)
    before, before_last = upper - lower, np.full(start.shape, np.inf)
    for step in range(MAX_STEPS):
        value, derivative = function(x)
        negative = value < 0.0
        lower, upper = np.where(negative, x, lower), np.where(negative, upper, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = x - value / derivative
        # Bisection replaces a step that leaves the bracket (NaN included), and Newton's method wherever two steps of it
        # haven't halved the bracket nor come close: so it can't go in circles, and every root is reached.
        width = upper - lower
        # Steps as short as a function's own rounding may wander without end: the later half trusts the bracket alone.
        near = (np.abs(newton - x) <= NEAR) & (step < MAX_STEPS // 2)
        steady = (newton >= lower) & (newton <= upper) & (near | (width <= 0.5 * before_last))
        following = np.where(steady, newton, 0.5 * (lower + upper))
        # Where nothing crosses zero, x stays at its end.
        following[at_low], following[at_high & ~at_low] = low, high
        done = np.minimum(np.abs(following - x), width) <= TOLERANCE
        x, before, before_last = following, width, before
        # Elements that are done go on with the rest: their further steps stay within the tolerance.
        if bool(np.all(done)):
            return x
    raise AssertionError("bisection alone needs fewer steps than MAX_STEPS")
