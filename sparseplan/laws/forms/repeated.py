"""A law of any form for runs that repeat their data: effective data and size take the place of D and N.

    D' = D                                                  for D <= U
         U + U R_D (1 - exp(-(D/U - 1) / R_D))              beyond it
    N' = N                                                  for N <= U_N
         U_N + U_N R_N (1 - exp(-(N/U_N - 1) / R_N))        beyond it
    R(S) = R (1 + linear S + quadratic S^2)

U unique data; U_N the size whose compute-optimal data is U, by the form's own optimum at the same sparsity. After
R_D epochs beyond the first a repeated token is worth 1/e of a new one, and no repetition makes U worth more than
(1 + R_D) U; likewise for parameters beyond U_N. For U to infinity, and for D <= U with N <= U_N, this is the law as it
is. N' and D' are continuous and rise in N and D, so along a budget the loss falls and then rises in N, once.

Source: Muennighoff et al. 2023, arXiv:2305.16264; with sparsity Wu et al. 2026, arXiv:2606.01155. Both write U for the
unique data that a run saw; here it may be more than D, and then no data is repeated.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from sparseplan.laws.forms import balanced
from sparseplan.laws.forms.base import Rows, Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats


@dataclass(frozen=True, eq=False)
class Rate:
    """R(S): how many repetitions a unit is worth in the long run; scalars or draws, as in `Theta`."""

    dense: Floats
    linear: Floats = 0.0
    quadratic: Floats = 0.0

    def at(self, S: Floats) -> Array:
        """Its value at a sparsity."""
        S = np.asarray(S, dtype=np.float64)
        return np.asarray(self.dense * (1.0 + S * (self.linear + S * self.quadratic)))

    @property
    def varies(self) -> bool:
        """Whether it depends on the sparsity."""
        return bool(np.any(np.asarray(self.linear) != 0.0) or np.any(np.asarray(self.quadratic) != 0.0))

    def __iter__(self) -> Iterator[Floats]:
        return (getattr(self, field.name) for field in fields(self))

    def expanded(self) -> "Rate":
        """With a trailing axis, as `Theta.expanded`."""
        return Rate(*(np.asarray(value, dtype=np.float64)[..., None] for value in self))

    def rows(self, chosen: Rows) -> "Rate":
        """Some of the draws, as `Theta.rows`."""
        return Rate(*(np.asarray(value)[chosen] if np.ndim(value) else value for value in self))


@dataclass(frozen=True, eq=False)
class Repeated(Theta):
    """A law asked about runs that draw on `unique_data`, in the law's unit; R_N and R_D say how repeats count."""

    theta: Theta
    R_N: Rate
    R_D: Rate
    unique_data: Floats

    def __iter__(self) -> Iterator[Floats]:
        yield from self.theta
        yield from self.R_N
        yield from self.R_D
        yield self.unique_data

    def as_dict(self) -> dict[str, Floats]:
        """The law's own coefficients by name."""
        return self.theta.as_dict()

    def expanded(self) -> Self:
        """As `Theta.expanded`."""
        U = np.asarray(self.unique_data, dtype=np.float64)[..., None]
        return type(self)(self.theta.expanded(), self.R_N.expanded(), self.R_D.expanded(), U)

    def rows(self, chosen: Rows) -> Self:
        """As `Theta.rows`."""
        U = np.asarray(self.unique_data)
        return type(self)(
            self.theta.rows(chosen), self.R_N.rows(chosen), self.R_D.rows(chosen), U[chosen] if U.ndim else U
        )

    @property
    def floor(self) -> Floats:
        """The law's."""
        return self.theta.floor

    def unique_size(self, S: Floats) -> Array:
        """U_N, the size beyond which parameters count as repeated."""
        return self.theta.size_for_data(S, self.unique_data)

    def effective_size(self, S: Floats, N: Floats) -> Array:
        """N'."""
        return _saturated(N, self.unique_size(S), self.R_N.at(S))

    def effective_data(self, S: Floats, D: Floats) -> Array:
        """D'."""
        return _saturated(D, self.unique_data, self.R_D.at(S))

    def reducible(self, S: Floats, N: Floats, D: Floats) -> Array:
        """The law's, at effective size and data."""
        return self.theta.reducible(S, self.effective_size(S, N), self.effective_data(S, D))

    def size_multiplier(self, S: Floats, N: Floats) -> Array:
        """The law's own: what sparsity is worth where all data are unique."""
        return self.theta.size_multiplier(S, N)

    def data_for(self, S: Floats, N: Floats, reducible: Floats) -> Array:
        """The effective data that the law asks for, and the data that give them; infinite beyond (1 + R_D) U."""
        needed = self.theta.data_for(S, self.effective_size(S, N), reducible)
        return _unsaturated(needed, self.unique_data, self.R_D.at(S))

    def size_for(self, S: Floats, D: Floats, reducible: Floats) -> Array:
        """The effective size that the law asks for, and the size that gives it; infinite beyond (1 + R_N) U_N."""
        needed = self.theta.size_for(S, self.effective_data(S, D), reducible)
        return _unsaturated(needed, self.unique_size(S), self.R_N.at(S))

    def balance(self, S: Floats, N: Floats, D: Floats) -> Array:
        """The law's at effective size and data, each weighed with how much of a percent more is left of it."""
        size, data = self.effective_size(S, N), self.effective_data(S, D)
        left_of_size = _log_elasticity(N, size, self.unique_size(S), self.R_N.at(S))
        left_of_data = _log_elasticity(D, data, self.unique_data, self.R_D.at(S))
        return np.asarray(self.theta.balance(S, size, data) + left_of_size - left_of_data)

    def best_size(self, S: Floats, budget: Budget) -> Array:
        """Where the balance is that of the budget; searched on a grid where the cost depends on the size."""
        if budget.depends_on_size:
            return super().best_size(S, budget)
        return balanced.best_size(self, S, budget, np.log(self.theta.best_size(S, budget)))

    def cheapest_size(self, S: Floats, reducible: Floats, idle: Floats = 0.0) -> Array:
        """Where the balance is that of the runs that reach the loss; the unique data's size is near it."""
        return balanced.cheapest_size(self, S, reducible, idle, np.log(self.unique_size(S)))

    def cheapest_tokens(self, reducible: Floats, S: Floats = 0.0) -> Array:
        """N D of that run; infinite where none reaches the loss."""
        N = self.cheapest_size(S, reducible)
        return np.asarray(N * self.data_for(S, N, reducible))

    def optimal_tokens(self, N: Floats) -> Array:
        """N D where the balance of a dense model of this size is 0."""
        N = np.asarray(N, dtype=np.float64)
        start = np.broadcast_to(np.log(self.theta.optimal_tokens(N) / N), self._shape(N))
        return balanced.optimal_tokens(self, N, start)

    def on_base(self, dense: Theta) -> Self:
        """The law on another base, repeats counting as before."""
        return type(self)(self.theta.on_base(dense), self.R_N, self.R_D, self.unique_data)

    def _shape(self, *others: Floats) -> tuple[int, ...]:
        return np.broadcast_shapes(*(np.shape(value) for value in (*self, *others)))


def effective_epochs(epochs: float, R_D: float) -> float:
    """What a number of passes over the same data count as, in passes over new data.

    >>> round(effective_epochs(4.0, 15.387756), 2), effective_epochs(0.5, 15.387756)
    (3.73, 0.5)
    """
    return float(_saturated(epochs, 1.0, np.asarray(R_D)))


def _saturated(value: Floats, unique: Floats, R: Array) -> Array:
    """What a value counts as where its part beyond `unique` is worth less and less."""
    value, unique = np.asarray(value, dtype=np.float64), np.asarray(unique, dtype=np.float64)
    with np.errstate(all="ignore"):
        beyond = unique * (1.0 - R * np.expm1(-(value / unique - 1.0) / R))
    return np.asarray(np.where(value <= unique, value, beyond))


def _unsaturated(effective: Array, unique: Floats, R: Array) -> Array:
    """The value that counts as `effective`: `_saturated` inverted; infinite where none does."""
    unique = np.asarray(unique, dtype=np.float64)
    with np.errstate(all="ignore"):
        share = (effective / unique - 1.0) / R
        beyond = unique * (1.0 - R * np.log1p(-share))
    return np.asarray(np.where(effective <= unique, effective, np.where(share < 1.0, beyond, np.inf)))


def _log_elasticity(value: Floats, effective: Array, unique: Floats, R: Array) -> Array:
    """ln (d ln effective / d ln value): 0 up to `unique`, falling beyond it; as a logarithm it cannot underflow."""
    value, unique = np.asarray(value, dtype=np.float64), np.asarray(unique, dtype=np.float64)
    with np.errstate(all="ignore"):
        beyond = np.log(value / effective) - (value / unique - 1.0) / R
    return np.asarray(np.where(value <= unique, 0.0, beyond))
