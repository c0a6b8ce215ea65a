"""Levels: the distinct values of S, N or D among runs, those within a percent of their neighbour counted as one."""

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.fitting.coordinates import Array, Design

WIDTH = 0.01
MOST_LEVELS, _BINS = 8, 6
_LINE = 0.1
"""Whole batches and rounded sizes move data per parameter by less than this."""


def by_level(logs: Array) -> list[NDArray[np.intp]]:
    """The runs of each level, lowest level first, as indices.

    Args:
        logs: log N, log D or -log(1 - S), shape (n,): a scale on which a percent is 0.01.
    """
    order = np.argsort(logs, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(logs[order]) > WIDTH) + 1)


def level_of(logs: Array) -> NDArray[np.intp]:
    """Rank of each run's level, 0 for the lowest, shape (n,).

    >>> level_of(np.log([2.0, 1.0, 1.005, 2.01, 3.0])).tolist()
    [1, 0, 0, 1, 2]
    """
    rank = np.empty(len(logs), dtype=np.intp)
    for level, rows in enumerate(by_level(logs)):
        rank[rows] = level
    return rank


def count_levels(logs: Array) -> int:
    """Number of levels."""
    return len(by_level(logs))


def has_one_ratio(design: Design) -> bool:
    """Whether all of several sizes saw the same data per parameter, non-zero or dense."""
    if count_levels(design.x) < 2:
        return False
    return any(np.ptp(design.y - size) < _LINE for size in (design.x, design.x - design.u))


def binned(levels: list[NDArray[np.intp]], bins: int = _BINS) -> list[NDArray[np.intp]]:
    """Levels as they are, or, where there are more than `MOST_LEVELS`, bins of about equally many runs."""
    if len(levels) <= MOST_LEVELS:
        return levels
    after = np.cumsum([len(rows) for rows in levels])
    number = np.minimum((after - 1) * bins // after[-1], bins - 1)
    return [np.concatenate([levels[i] for i in np.flatnonzero(number == one)]) for one in np.unique(number)]
