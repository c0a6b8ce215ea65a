"""Which of some candidate runs say most about some targets for their cost, by what a law's draws predict of both.

No derivative of a form is needed, only what each draw predicts, so this works for every form. With t_k a target and
L_k(x) the loss of a candidate x under draw k, a run of x whose own scatter is s would take

    gain(x) = Cov(t, L(x))^2 / (Var L(x) + s^2)

off the target's variance, if both were jointly normal. The run with the largest gain / cost^0.4 is taken, the
covariances become those that one has after it, and so on. They are kept as a square root: with centred draws
A / sqrt(K - 1) in columns, column a of the run and v = a'a + s^2,

    A <- A - a (a'A) / (v + s sqrt(v))     makes A'A into A'A - (A'a)(a'A) / v.

Source: arXiv:2604.22753 (the choice and the exponent of the cost); Potter's square root of the update: Bierman 1977,
Factorization Methods for Discrete Sequential Estimation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.budget import Array

COST_EXPONENT = 0.4
_CLIP = 4.0
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FormError:
    """How a law of the wrong form may err, in the same way at close places, beside what its draws say.

    Attributes:
        targets: Independent errors of the targets, a row each, shape (R, T); zeros where unknown.
        losses: The same errors of the candidates' losses, shape (R, X).
    """

    targets: Array
    losses: Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Choice:
    """What was chosen.

    Attributes:
        index: The candidates taken, in the order of choice, shape (n,).
        gain: What each takes off the targets' variances when it is taken, as a share of what they were at first, the
            mean over the targets in doubt, shape (n,).
        remaining: Spread of each target's draws after all of them, as a share of what it was, shape (T,).
    """

    index: NDArray[np.intp]
    gain: Array
    remaining: Array


def choose_runs(
    targets: Array,
    losses: Array,
    *,
    noise: Array,
    cost: Array,
    budget: float,
    most: int,
    least_gain: float = 0.0,
    exponent: float = COST_EXPONENT,
    form_error: FormError | None = None,
) -> Choice:
    """Choose runs one after the other, each at most once, while the budget pays for one that says something.

    Args:
        targets: What is to be known better, by draw, shape (K, T); one that no draw doubts counts for nothing.
        losses: Of the candidates, by draw, shape (K, X); a candidate with a loss that is not finite is never taken.
        noise: Standard deviation of a run's loss about the law, > 0, shape (X,).
        cost: Of each candidate, > 0, shape (X,).
        budget: What all of them may cost together.
        most: How many at most.
        least_gain: A run that takes off less than this share of the targets' first variances ends the choice.
        exponent: Of the cost that the gain is divided by: 0 looks at the gain alone, 1 at the gain per FLOP.
        form_error: What draws of a law leave out; none unless given.
    """
    count = len(targets)
    usable = np.all(np.isfinite(losses), axis=0)
    t = _centred(targets)
    a = _centred(np.where(usable, losses, 0.0))
    if form_error is not None:
        t, a = np.concatenate([t, form_error.targets]), np.concatenate([a, form_error.losses])
    known = np.linalg.norm(t[:count], axis=0)
    doubted = known > 1e-12 * (1.0 + np.abs(np.median(targets, axis=0)))
    t = np.where(doubted, t / np.where(doubted, np.linalg.norm(t, axis=0), 1.0), 0.0)
    first = np.linalg.norm(t[:count], axis=0)
    price, left = cost**exponent, budget
    index: list[int] = []
    gains: list[float] = []
    taken = ~usable
    # What every candidate shares with the targets, and its own variance: both change by a rank-one step per run, so
    # that the matrix of all candidates is read once a run and never written.
    shared, variance = t.T @ a, np.einsum("kx,kx->x", a, a)
    steps: list[tuple[Array, float]] = []
    while len(index) < most:
        gain = np.sum(shared**2, axis=0) / (variance + noise**2) / max(int(doubted.sum()), 1)
        worth = np.where(~taken & (cost <= left), gain / price, 0.0)
        best = int(np.argmax(worth))
        if worth[best] <= 0.0 or gain[best] < least_gain:
            break
        column = a[:, best].copy()
        for direction, factor in steps:  # the same steps that the targets have taken
            column -= direction * (factor * (direction @ column))
        s = float(noise[best])
        v = float(column @ column) + s * s
        factor = 1.0 / (v + s * np.sqrt(v))
        with_all = _with_all(column, a, steps)
        with_targets = column @ t
        t -= np.outer(column, factor * with_targets)
        shared = shared - np.outer(with_targets, with_all) / v
        variance = np.maximum(variance - with_all**2 / v, 0.0)
        steps.append((column, factor))
        index.append(best)
        gains.append(float(gain[best]))
        taken[best] = True
        left -= float(cost[best])
    after = np.linalg.norm(t[:count], axis=0)
    remaining = np.where(doubted, after / np.where(doubted, first, 1.0), 1.0)
    return Choice(index=np.array(index, dtype=np.intp), gain=np.array(gains), remaining=remaining)


def _with_all(column: Array, a: Array, steps: list[tuple[Array, float]]) -> Array:
    """Covariance of a run with every candidate after the steps that were taken: the steps act on one vector."""
    moved = column.copy()
    for direction, factor in reversed(steps):
        moved -= direction * (factor * (direction @ moved))
    return np.asarray(moved @ a)


def _centred(draws: Array) -> Array:
    """Draws about their mean over sqrt(K - 1). Those far out are pulled in: a few must not make the covariances.

    Far out is beyond `_CLIP` standard deviations, as the median distance from the median gives it.
    """
    median = np.median(draws, axis=0)
    reach = _CLIP * _MAD_TO_SIGMA * np.median(np.abs(draws - median), axis=0)
    held = np.where(reach > 0, np.clip(draws, median - reach, median + reach), draws)
    return np.asarray((held - held.mean(axis=0)) / np.sqrt(len(draws) - 1))
