"""What holds for every form that is a sum of a size term, a data term and a floor, each a power law at a given S.

    reducible = F(S) N^(-p(S)) + (A(S) / D)^q(S)

At a given S and a cost that does not depend on N, D = k / N with k = `Budget.data(S, 1)`, so the best size solves
p F N^-p = q (A N / k)^q: the size term is q / (p + q) of the reducible loss and the data term p / (p + q).

Source: Hoffmann et al. 2022, arXiv:2203.15556, eq. 4, for dense models; with S it holds unchanged at any given S.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from sparseplan.laws.forms import balanced, search
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats

_REACH = 10.0  # how far beyond the plain optima a search of the size looks


@dataclass(frozen=True, eq=False)
class PowerTerms(Theta):
    """A form of the kind above; a subclass says what F, p, A and q are."""

    @abstractmethod
    def numerator(self, S: Floats) -> Array:
        """F(S), of the size term."""

    @abstractmethod
    def size_exponent(self, S: Floats) -> Floats:
        """p(S)."""

    @abstractmethod
    def data_scale(self, S: Floats) -> Floats:
        """A(S), in data units."""

    @abstractmethod
    def data_exponent(self, S: Floats) -> Floats:
        """q(S)."""

    def size_term(self, S: Floats, N: Floats) -> Array:
        """What more parameters would still take off the loss."""
        return np.asarray(self.numerator(S) * np.asarray(N, dtype=np.float64) ** -np.asarray(self.size_exponent(S)))

    def data_term(self, S: Floats, D: Floats) -> Array:
        """What more data would still take off the loss."""
        return np.asarray((self.data_scale(S) / np.asarray(D, dtype=np.float64)) ** self.data_exponent(S))

    def reducible(self, S: Floats, N: Floats, D: Floats) -> Array:
        """The loss above the floor."""
        return np.asarray(self.size_term(S, N) + self.data_term(S, D))

    def size_multiplier(self, S: Floats, N: Floats) -> Array:
        """m with F(0) (N m)^-p(0) = F(S) N^-p(S)."""
        N = np.asarray(N, dtype=np.float64)
        p, dense = np.asarray(self.size_exponent(S)), np.asarray(self.size_exponent(0.0))
        return np.asarray((self.numerator(0.0) / self.numerator(S)) ** (1.0 / dense) * N ** (p / dense - 1.0))

    def data_for(self, S: Floats, N: Floats, reducible: Floats) -> Array:
        """The data that leaves as much of the loss to the data term as the size term does not take."""
        # Where the size term alone is above the wanted loss, 0 to a negative power is inf: no data is enough.
        left = np.asarray(reducible - self.size_term(S, N))
        with np.errstate(divide="ignore", over="ignore"):
            power = np.where(left > 0.0, left, 0.0) ** (-1.0 / np.asarray(self.data_exponent(S)))
        return np.asarray(self.data_scale(S) * power)

    def size_for(self, S: Floats, D: Floats, reducible: Floats) -> Array:
        """The size that leaves as much of the loss to the size term as the data term does not take."""
        left = np.asarray(reducible - self.data_term(S, D))
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(
                (np.where(left > 0.0, left, 0.0) / self.numerator(S)) ** (-1.0 / np.asarray(self.size_exponent(S)))
            )

    def cheapest_size(self, S: Floats, reducible: Floats, idle: Floats = 0.0) -> Array:
        """Closed without idle data: q / (p + q) of the reducible loss is the size term's."""
        p, q = np.asarray(self.size_exponent(S)), np.asarray(self.data_exponent(S))
        N = np.asarray((self.numerator(S) / (q / (p + q) * self.summed(reducible))) ** (1.0 / p))
        return N if np.all(np.asarray(idle) == 0.0) else balanced.cheapest_size(self, S, reducible, idle, np.log(N))

    def cheapest_tokens(self, reducible: Floats, S: Floats = 0.0) -> Array:
        """N D at that size; p / (p + q) of the reducible loss is the data term's."""
        p, q = np.asarray(self.size_exponent(S)), np.asarray(self.data_exponent(S))
        D = self.data_scale(S) * (p / (p + q) * self.summed(reducible)) ** (-1.0 / q)
        return np.asarray(self.cheapest_size(S, reducible) * D)

    def summed(self, reducible: Floats) -> Array:
        """The sum of size and data term at a reducible loss; NaN where there is none."""
        reducible = np.asarray(reducible, dtype=np.float64)
        return np.asarray(np.where(reducible > 0.0, reducible, np.nan))

    def optimal_tokens(self, N: Floats) -> Array:
        """N D with p times the size term equal to q times the data term."""
        p, q = np.asarray(self.size_exponent(0.0)), np.asarray(self.data_exponent(0.0))
        N = np.asarray(N, dtype=np.float64)
        data = p * self.numerator(0.0) / (q * N ** (p + q))  # the data term, over N^q: N D needs no N of its own
        return np.asarray(self.data_scale(0.0) * data ** (-1.0 / q))

    def balance(self, S: Floats, N: Floats, D: Floats) -> Array:
        """ln of p times the size term over q times the data term."""
        p, q = np.asarray(self.size_exponent(S)), np.asarray(self.data_exponent(S))
        N, D = np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64)
        size = np.log(p * self.numerator(S)) - p * np.log(N)
        return np.asarray(size - np.log(q) - q * (np.log(self.data_scale(S)) - np.log(D)))

    def size_for_data(self, S: Floats, D: Floats) -> Array:
        """N with p F N^-p = q (A / D)^q."""
        p, q = np.asarray(self.size_exponent(S)), np.asarray(self.data_exponent(S))
        data = q * (self.data_scale(S) / np.asarray(D, dtype=np.float64)) ** q
        with np.errstate(divide="ignore"):  # all the data in the world: no size is too large
            return np.asarray((p * self.numerator(S) / data) ** (1.0 / p))

    def best_size(self, S: Floats, budget: Budget) -> Array:
        """Closed where c_mul does not depend on N; else searched between the optima for 1/4 and 4 times 1 / (1 - S).

        Between these lie costs whose 2:4 is at most four times faster or slower than dense. Idle data makes the best
        model smaller, by how much no closed form says.
        """
        if budget.closed:
            return self._size(S, np.asarray(budget.data(S, 1.0)))
        if budget.idle is not None:
            if budget.depends_on_size:
                return search.best_size(self, S, budget, *search.ANY_SIZE)
            start = np.log(self._size(S, np.asarray(budget.tokens / budget.multiplier(S, 1.0))))
            return balanced.best_size(self, S, budget, start)
        # k at c_mul = 1 / (1 - S), zeros at full price; `_size` grows with k, so the two ends enclose the optimum.
        plain = budget.tokens * (1.0 - np.asarray(S, dtype=np.float64))
        low, high = (np.log(self._size(S, plain * share)) for share in (0.25, 4.0))
        return search.best_size(self, S, budget, low - np.log(_REACH), high + np.log(_REACH))

    def _size(self, S: Floats, k: Array) -> Array:
        """The N of the lowest loss where D = k / N."""
        p, q = np.asarray(self.size_exponent(S)), np.asarray(self.data_exponent(S))
        # p F N^-p = q (A N / k)^q, solved for N.
        data = (self.data_scale(S) / k) ** q
        return np.asarray((p * self.numerator(S) / (q * data)) ** (1.0 / (p + q)))
