"""Roots of rising functions, many at once: Newton's method inside a shrinking bracket."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MAX_STEPS = 100


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
    at_low, at_high = function(lower)[0] >= 0.0, function(upper)[0] <= 0.0
    upper[at_low] = low
    lower[at_high & ~at_low] = high
    x = np.clip(np.nan_to_num(start), lower, upper)
    for _ in range(MAX_STEPS):
        value, derivative = function(x)
        negative = value < 0.0
        lower, upper = np.where(negative, x, lower), np.where(negative, upper, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = x - value / derivative
        # A step that leaves the bracket (NaN included) is replaced by bisection, so that every root is reached.
        inside = (newton >= lower) & (newton <= upper)
        following = np.where(inside, newton, 0.5 * (lower + upper))
        following[at_low], following[at_high & ~at_low] = low, high
        done = bool(np.all(np.abs(following - x) <= 1e-10))
        x = following
        if done:
            return x
    raise AssertionError("bisection alone needs fewer steps than MAX_STEPS")
