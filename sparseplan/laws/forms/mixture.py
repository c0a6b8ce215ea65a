"""Draws of several forms, one after the other, as the draws of one law: each draw answers by its own form."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sparseplan.laws.forms.base import Form, Rows, Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.laws.forms.search import HIGHEST_SPARSITY


@dataclass(frozen=True, eq=False)
class Mixture(Theta):
    """Draws of shape (K,), the first of them those of the first part, and so on.

    Attributes:
        parts: Draws of one form each.
        counts: How many draws each part has.
        trailing: Axes behind that of the draws, see `expanded`.
    """

    parts: tuple[Theta, ...]
    counts: tuple[int, ...]
    trailing: int = 0

    def __iter__(self) -> Iterator[Floats]:
        """What a shape follows from."""
        yield self.floor

    def expanded(self) -> Self:
        """As `Theta.expanded`."""
        return type(self)(tuple(part.expanded() for part in self.parts), self.counts, self.trailing + 1)

    def rows(self, chosen: Rows) -> "Mixture":
        """As `Theta.rows`; of any selection the parts keep their order."""
        wanted = np.arange(sum(self.counts))[chosen]
        parts, counts = [], []
        for part, start, count in zip(self.parts, self._starts(), self.counts, strict=True):
            inside = np.sort(wanted[(wanted >= start) & (wanted < start + count)]) - start
            if len(inside):
                parts.append(part.rows(inside))
                counts.append(len(inside))
        return Mixture(tuple(parts), tuple(counts), self.trailing)

    @property
    def form(self) -> Form:  # type: ignore[override]  # of the first part, for what it knows of
        """Of the first part."""
        return self.parts[0].form

    @property
    def floor(self) -> Floats:
        """Each draw's own."""
        return self._each(lambda part, _: np.asarray(part.floor))

    def reducible(self, S: Floats, N: Floats, D: Floats) -> Array:
        """Each draw's own, as everything below."""
        return self._each(lambda part, take: part.reducible(take(S), take(N), take(D)))

    def size_multiplier(self, S: Floats, N: Floats) -> Array:
        """m(S)."""
        return self._each(lambda part, take: part.size_multiplier(take(S), take(N)))

    def data_for(self, S: Floats, N: Floats, reducible: Floats) -> Array:
        """The data that reach a loss."""
        return self._each(lambda part, take: part.data_for(take(S), take(N), take(reducible)))

    def size_for(self, S: Floats, D: Floats, reducible: Floats) -> Array:
        """The size that reaches it."""
        return self._each(lambda part, take: part.size_for(take(S), take(D), take(reducible)))

    def cheapest_tokens(self, reducible: Floats, S: Floats = 0.0) -> Array:
        """N D of the cheapest run that reaches it."""
        return self._each(lambda part, take: part.cheapest_tokens(take(reducible), take(S)))

    def optimal_tokens(self, N: Floats) -> Array:
        """N D at which N is the best dense size."""
        return self._each(lambda part, take: part.optimal_tokens(take(N)))

    def balance(self, S: Floats, N: Floats, D: Floats) -> Array:
        """How much size takes off the loss against data."""
        return self._each(lambda part, take: part.balance(take(S), take(N), take(D)))

    def size_for_data(self, S: Floats, D: Floats) -> Array:
        """The N whose best data is D."""
        return self._each(lambda part, take: part.size_for_data(take(S), take(D)))

    def best_size(self, S: Floats, budget: Budget) -> Array:
        """The best N."""
        return self._each(lambda part, take: part.best_size(take(S), replace(budget, tokens=take(budget.tokens))))

    def best_sparsity(
        self, budget: Budget, *, N: Floats | None = None, M: Floats | None = None, highest: float = HIGHEST_SPARSITY
    ) -> Array:
        """The best S."""

        def of(part: Theta, take: "_Take") -> Array:
            given = {name: take(value) for name, value in (("N", N), ("M", M)) if value is not None}
            return part.best_sparsity(replace(budget, tokens=take(budget.tokens)), highest=highest, **given)

        return self._each(of)

    def tokens_for_sparsity(self, S: float, N: Floats, budget: Budget) -> Array:
        """The budget at which N wants S."""
        return self._each(lambda part, take: part.tokens_for_sparsity(S, take(N), budget))

    def on_base(self, dense: Theta) -> Self:
        """Each part on the other's base."""
        return type(self)(tuple(part.on_base(dense) for part in self.parts), self.counts, self.trailing)

    def _starts(self) -> list[int]:
        return [int(sum(self.counts[:index])) for index in range(len(self.counts))]

    def _each(self, answer: "Callable[[Theta, _Take], Array]") -> Array:
        """What each part says of its own rows of the arguments, joined along the axis of the draws."""
        axis, total = -(1 + self.trailing), sum(self.counts)
        pieces = []
        for part, start, count in zip(self.parts, self._starts(), self.counts, strict=True):

            def take(value: Floats, start: int = start, count: int = count) -> Array:
                array = np.asarray(value, dtype=np.float64)
                if array.ndim < -axis or array.shape[axis] != total:
                    return array
                return np.take(array, range(start, start + count), axis=axis)

            piece = np.asarray(answer(part, take))
            pieces.append(np.broadcast_to(piece, np.broadcast_shapes(piece.shape, (count, *(1,) * self.trailing))))
        return np.concatenate(pieces, axis=axis)


_Take = Callable[[Floats], Array]
