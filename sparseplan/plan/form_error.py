"""What a law's draws leave out: that its form may be wrong, more so the further from the runs that it was fitted to.

The relative error is a smooth random function of log N, log D and log(1 - S), nothing near known runs and at most twice
the scatter of a single run far from them. It makes runs towards the target worth more than the law alone would say: a
law that is exactly true learns as much from cheap runs. Both constants were judged on simulated tables whose truth
bends (coupled laws fitted additively), not tuned on the real tables of benchmarks/next_replay.py.

Source of the factor: over 44 hold-outs of real tables the intervals of draws and scatter need about two times their
width (see docs/next.md).
"""

import numpy as np

from sparseplan.laws.forms.budget import Array

TIMES_SCATTER = 2.0
_LENGTH = float(np.log(8.0))
_SMALL = 1e-5


def places(S: Array, N: Array, D: Array) -> Array:
    """Where runs lie, shape (n, 3), in logs."""
    return np.stack([np.log(N), np.log(D), np.log1p(-np.asarray(S, dtype=np.float64))], axis=1)


def form_errors(where: Array, known: Array, scatter: float) -> Array:
    """Independent relative errors at some places, given that runs at the known places were fitted.

    Args:
        where: Places, shape (n, 3).
        known: Places of runs that the law was fitted to, shape (m, 3).
        scatter: Relative standard deviation of a run about the law.

    Returns:
        Shape (R, n): row by row independent, so that the transpose times itself is the errors' covariance.
    """
    height = (TIMES_SCATTER * scatter) ** 2
    if height == 0.0:
        return np.zeros((0, len(where)))
    cross = height * _likeness(known, where)
    inner = height * _likeness(known, known) + scatter**2 * np.eye(len(known))
    covariance = height * _likeness(where, where) - cross.T @ np.linalg.solve(inner, cross)
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _SMALL * height
    return np.asarray((vectors[:, kept] * np.sqrt(values[kept])).T)


def _likeness(one: Array, other: Array) -> Array:
    squares = np.sum(one**2, axis=1)[:, None] + np.sum(other**2, axis=1) - 2.0 * one @ other.T
    return np.asarray(np.exp(-0.5 * np.maximum(squares, 0.0) / _LENGTH**2))
