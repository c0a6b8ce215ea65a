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


def best_size(theta: "Theta", S: Floats, budget: Budget, start: Array) -> Array:
    """`Theta.best_size` for a cost that does not depend on the size.

    `start`, here and below, is the logarithm of a first guess, of the result's shape.
    """
    k = np.asarray(budget.data(S, 1.0))

    def condition(x: Array) -> Array:
        N = np.exp(x)
        return -theta.balance(S, N, k / N)

    return np.exp(root(condition, start))


def cheapest_tokens(theta: "Theta", reducible: Floats, S: Floats, start: Array) -> Array:
    """`Theta.cheapest_tokens`, with a guess of ln N: where the balance is 0 along the runs that reach the loss.

    Infinite where none does.
    """

    def condition(x: Array) -> Array:
        N = np.exp(x)
        D = theta.data_for(S, N, reducible)
        with np.errstate(all="ignore"):  # too small a model: no data is enough, so size is all that counts
            return np.asarray(np.where(np.isfinite(D), -theta.balance(S, N, D), -np.inf))

    N = np.exp(root(condition, start))
    return np.asarray(N * theta.data_for(S, N, reducible))


def optimal_tokens(theta: "Theta", N: Floats, start: Array) -> Array:
    """`Theta.optimal_tokens`, with a guess of ln D: where the balance of a dense model of this size is 0."""
    N = np.asarray(N, dtype=np.float64)

    def condition(y: Array) -> Array:
        return theta.balance(0.0, N, np.exp(y))

    return np.asarray(N * np.exp(root(condition, start)))


def root(condition: "search.Function", start: Array) -> Array:
    """Where a rising function of the logarithm of a size, or of data, is 0."""
    return rising_root(search.with_slope(condition), np.array(start), *search.ANY_SIZE)
