"""Intervals: the central share of some draws."""

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9
Bounds = tuple[float, float]


def bounds(values: NDArray[np.float64]) -> Bounds:
    """The central `LEVEL` of the values: their percentiles 5 and 95."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
