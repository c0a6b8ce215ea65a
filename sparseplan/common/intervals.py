"""Intervals: the central share of some draws."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9
Bounds = tuple[float, float]


def quantiles(values: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    """Quantiles of values of shape (n,), linear between them, as `np.quantile` gives.

    That imports numpy's masked arrays at its first call: a twentieth of the start-up of a plan.

    >>> quantiles(np.array([3.0, 1.0, 2.0]), [0.0, 0.25, 1.0])
    [1.0, 1.5, 3.0]
    """
    places = np.asarray(shares) * (len(values) - 1)
    return [float(value) for value in np.interp(places, np.arange(len(values)), np.sort(values))]


def bounds(values: NDArray[np.float64]) -> Bounds:
    """The central `LEVEL` of the values: their percentiles 5 and 95."""
    low, high = quantiles(np.ravel(values), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return low, high


def ends(values: NDArray[np.float64]) -> Bounds:
    """The least and the largest of some values."""
    return float(values.min()), float(values.max())
