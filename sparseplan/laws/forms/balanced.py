"""Optima of a form that knows no more than its loss and its `balance`: roots of the balance, many at once.

Along a budget, and along the runs that reach a loss, the balance falls with N; so each optimum is one root.
"""

from typing import TYPE_CHECKING

import numpy as np

from sparseplan.laws.forms import search
from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.laws.forms.roots import rising_root

if TYPE_CHECKING:
    from sparseplan.laws.forms.base import Theta


def best_size(theta: "Theta", S: Floats, budget: Budget, start: Floats) -> Array:
    """`Theta.best_size` for a cost that does not depend on the size: where the balance is ln(1 + idle / D).

    Along the budget a percent more size costs (1 + idle / D) percent of the data. `start`, here and below, is the
    logarithm of a first guess.
    """
    bought = np.asarray(budget.tokens / budget.multiplier(S, 1.0))
    idle = np.zeros(()) if budget.idle is None else budget.idle(S, 1.0)
    # Beyond bought / idle parameters nothing is left for training.
    with np.errstate(divide="ignore"):
        start = np.minimum(start, np.log(0.5 * bought / idle))

    def condition(x: Array) -> Array:
        N = np.exp(x)
        D = bought / N - idle
        with np.errstate(all="ignore"):
            return np.asarray(np.where(D > 0.0, np.log1p(idle / D) - theta.balance(S, N, D), np.inf))

    return np.exp(root(condition, _shaped(theta, start, S, bought, idle)))


def cheapest_size(theta: "Theta", S: Floats, reducible: Floats, idle: Floats, start: Floats) -> Array:
    """`Theta.cheapest_size`: where the balance is ln(1 + idle / D) along the runs that reach the loss."""

    def condition(x: Array) -> Array:
        N = np.exp(x)
        D = theta.data_for(S, N, reducible)
        with np.errstate(all="ignore"):  # too small a model: no data is enough, so size is all that counts
            return np.asarray(np.where(np.isfinite(D), np.log1p(idle / D) - theta.balance(S, N, D), -np.inf))

    return np.exp(root(condition, _shaped(theta, start, S, reducible, idle)))


def optimal_tokens(theta: "Theta", N: Floats, start: Array) -> Array:
    """`Theta.optimal_tokens`, with a guess of ln D: where the balance of a dense model of this size is 0."""
    N = np.asarray(N, dtype=np.float64)

    def condition(y: Array) -> Array:
        return theta.balance(0.0, N, np.exp(y))

    return np.asarray(N * np.exp(root(condition, start)))


def root(condition: "search.Function", start: Array) -> Array:
    """Where a rising function of the logarithm of a size, or of data, is 0."""
    return rising_root(search.with_slope(condition), np.array(start), *search.ANY_SIZE)


def _shaped(theta: "Theta", start: Floats, *others: Floats) -> Array:
    """The guess in the shape of the result."""
    return np.array(np.broadcast_to(start, np.broadcast_shapes(*(np.shape(v) for v in (*theta, start, *others)))))
