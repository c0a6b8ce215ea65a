"""A dense law asked about sparse models: a run counts as a dense model of its mean number of parameters over training.

    L(S, N, D) = L_dense(m(S) N, D),    m(S) = rho(S) / (1 - S)

rho(S) is the mean density of the pruning ramp. Where zeros cost nothing, m(S) is what a run costs as well, so that
equal compute gives equal loss at every sparsity; where they cost as much as weights, none pays with the size free.

Source: Jin et al. 2025, arXiv:2501.12486, ICLR 2025 (their ramp is geometric; the law speaks of any).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from sparseplan.laws.forms import search
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats, flops_budget
from sparseplan.sparsity.schedule import Schedule


@dataclass(frozen=True, eq=False)
class AverageParameters(Theta):
    """The dense models of a law, whatever its form, and the ramp of the runs."""

    dense: Theta
    ramp: Schedule

    def __iter__(self) -> Iterator[Floats]:
        yield from self.dense

    def as_dict(self) -> dict[str, Floats]:
        """The law's own coefficients by name."""
        return self.dense.as_dict()

    def expanded(self) -> Self:
        """As `Theta.expanded`."""
        return type(self)(self.dense.expanded(), self.ramp)

    @property
    def floor(self) -> Floats:
        """The law's."""
        return self.dense.floor

    def size_multiplier(self, S: Floats, N: Floats) -> Array:  # noqa: ARG002 - the same at every size
        """m(S); for the cubic ramp from 25 % to 75 % 1.375 at S = 0.5."""
        return np.asarray(self.ramp.mean_density(S) / (1.0 - np.asarray(S, dtype=np.float64)))

    def reducible(self, S: Floats, N: Floats, D: Floats) -> Array:
        """That of the dense model of the mean size."""
        return self.dense.reducible(0.0, N * self.size_multiplier(S, N), D)

    def data_for(self, S: Floats, N: Floats, reducible: Floats) -> Array:
        """Likewise."""
        return self.dense.data_for(0.0, N * self.size_multiplier(S, N), reducible)

    def size_for(self, S: Floats, D: Floats, reducible: Floats) -> Array:
        """That of the dense model over m(S)."""
        return np.asarray(self.dense.size_for(0.0, D, reducible) / self.size_multiplier(S, 1.0))

    def cheapest_tokens(self, reducible: Floats, S: Floats = 0.0) -> Array:
        """Those of dense models, of which N is a share 1 / m(S)."""
        return np.asarray(self.dense.cheapest_tokens(reducible) / self.size_multiplier(S, 1.0))

    def optimal_tokens(self, N: Floats) -> Array:
        """The law's."""
        return self.dense.optimal_tokens(N)

    def best_size(self, S: Floats, budget: Budget) -> Array:
        """Closed where the law's is: a budget for N buys m(S) times the N D of dense models."""
        if budget.depends_on_size:
            return search.best_size(self, S, budget, *search.ANY_SIZE)
        m = self.size_multiplier(S, 1.0)
        return np.asarray(self.dense.best_size(0.0, flops_budget(budget.data(S, 1.0) * m, 0.0)) / m)

    def on_base(self, dense: Theta) -> Self:
        """The rule on another law's dense models."""
        return type(self)(dense, self.ramp)
