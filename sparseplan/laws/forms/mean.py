"""The mean of several laws: a run's loss is the weighted mean of what each of them predicts for it.

    L(S, N, D) = sum_i w_i L_i(S, N, D),    sum_i w_i = 1

Over a law's draws it is the loss to expect where one of them is true and nobody knows which, so the plan of its lowest
loss is the one with the least expected loss, and with the least expected regret.

A sum of power terms is convex in ln(1 - S), ln N and ln D, and along a budget too, since ln c_mul is convex in
ln(1 - S) for every FLOP cost: a mean of such laws has one minimum, which Newton's method finds from anywhere. An
exponent over the sum bends that a little, so the search begins at the best of a coarse row of sparsities.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from sparseplan.laws.forms import balanced, search
from sparseplan.laws.forms.base import Form, Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats, flops_budget
from sparseplan.laws.forms.roots import rising_root
from sparseplan.laws.forms.search import HIGHEST_SPARSITY

_POINTS = 65  # of a search in one direction; every point is as many losses as there are draws
_AT_A_TIME = 5_000
_COARSE, _COARSE_DRAWS = 17, 128
_REACH = 20.0  # how far from the size of a plain cost one that depends on the width can move it
_STEP = 1e-3
_NEWTON_STEPS = 60
_ANY_TOKENS = (0.0, np.log(1e60))


@dataclass(frozen=True, eq=False)
class Mean(Theta):
    """Laws and the weight of each; a part may be draws of shape (K,), which share its weight equally.

    It is one law: its losses have the shape in which S, N and D broadcast.
    """

    parts: tuple[Theta, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, draws: Theta) -> "Mean":
        """The mean of draws of shape (K,); in pieces that fit into memory beside a row of points."""
        count = draws.count or 1
        starts = range(0, count, _AT_A_TIME)
        parts = tuple(draws.rows(slice(start, start + _AT_A_TIME)) for start in starts) if count > 1 else (draws,)
        return cls(parts, tuple(min(_AT_A_TIME, count - start) / count for start in starts))

    def __iter__(self) -> Iterator[Floats]:
        """One number: all that a shape follows from."""
        yield self.floor

    def expanded(self) -> Self:
        """The same: single values broadcast as they are."""
        return self

    @property
    def form(self) -> Form:  # type: ignore[override]  # of the first law, for what it knows of
        """Of the first of the laws."""
        return self.parts[0].form

    @property
    def floor(self) -> Floats:
        """The mean of their floors."""
        return float(sum(w * np.mean(part.floor) for part, w in zip(self.parts, self.weights, strict=True)))

    def reducible(self, S: Floats, N: Floats, D: Floats) -> Array:
        """The mean of their losses above their floors."""
        S, N, D = (np.asarray(value, dtype=np.float64)[..., None] for value in (S, N, D))
        total = np.zeros(())
        for part, weight in zip(self.parts, self.weights, strict=True):
            total = total + weight * np.mean(part.reducible(S, N, D), axis=-1)
        return np.asarray(total)

    def size_multiplier(self, S: Floats, N: Floats) -> Array:
        """m with the loss of a dense model of N m at unlimited data: what a mean of laws calls the same capacity."""
        S, N = np.asarray(S, dtype=np.float64), np.asarray(N, dtype=np.float64)
        wanted = np.log(self.reducible(S, N, np.inf))

        def excess(x: Array) -> Array:
            return np.asarray(wanted - np.log(self.reducible(0.0, np.exp(x), np.inf)))

        start = np.broadcast_to(np.log(N), np.broadcast_shapes(S.shape, N.shape))
        return np.asarray(np.exp(balanced.root(excess, start)) / N)

    def data_for(self, S: Floats, N: Floats, reducible: Floats) -> Array:
        """The data at which the mean is that loss; infinite where no data is enough."""
        S, N, wanted = (np.asarray(value, dtype=np.float64) for value in (S, N, reducible))

        def excess(y: Array) -> Array:
            return np.asarray(np.log(wanted) - np.log(self.reducible(S, N, np.exp(y))))

        start = np.full(np.broadcast_shapes(S.shape, N.shape, wanted.shape), np.log(1e10))
        with np.errstate(all="ignore"):
            return np.asarray(
                np.where(self.reducible(S, N, np.inf) < wanted, np.exp(balanced.root(excess, start)), np.inf)
            )

    def size_for(self, S: Floats, D: Floats, reducible: Floats) -> Array:
        """The size at which the mean is that loss; infinite where no size is enough."""
        S, D, wanted = (np.asarray(value, dtype=np.float64) for value in (S, D, reducible))

        def excess(x: Array) -> Array:
            return np.asarray(np.log(wanted) - np.log(self.reducible(S, np.exp(x), D)))

        start = np.full(np.broadcast_shapes(S.shape, D.shape, wanted.shape), np.log(1e9))
        with np.errstate(all="ignore"):
            return np.asarray(
                np.where(self.reducible(S, np.inf, D) < wanted, np.exp(balanced.root(excess, start)), np.inf)
            )

    def cheapest_tokens(self, reducible: Floats, S: Floats = 0.0) -> Array:
        """The budget whose best run reaches the loss; infinite where none does.

        At a best size a percent more budget does what a percent more data does.
        """
        S, wanted = np.asarray(S, dtype=np.float64), np.asarray(reducible, dtype=np.float64)
        shape = np.broadcast_shapes(S.shape, wanted.shape)
        near = np.full(shape, np.log(1e9))

        def excess(x: Array) -> tuple[Array, Array]:
            nonlocal near
            N = balanced.best_size(self, S, _dense_budget(np.exp(x), S), near)
            near = np.log(N)
            D = np.exp(x) / N
            up, down = (np.log(self.reducible(S, N, D * np.exp(step))) for step in (_STEP, -_STEP))
            return np.log(wanted) - np.log(self.reducible(S, N, D)), (down - up) / (2.0 * _STEP)

        with np.errstate(all="ignore"):
            tokens = np.exp(rising_root(excess, np.full(shape, np.log(1e19)), *_ANY_TOKENS))
            return np.asarray(np.where(self.reducible(S, np.inf, np.inf) < wanted, tokens, np.inf))

    def optimal_tokens(self, N: Floats) -> Array:
        """N D where the balance of a dense model of this size is 0."""
        return balanced.optimal_tokens(self, N, np.full(np.shape(N), np.log(1e10)))

    def best_size(self, S: Floats, budget: Budget) -> Array:
        """Where the balance is 0 along the budget; searched for around that where the cost depends on the size."""
        if budget.depends_on_size and budget.idle is not None:
            return search.best_size(self, S, budget, *search.ANY_SIZE, points=_POINTS)
        plain = flops_budget(budget.tokens, 0.0) if budget.depends_on_size else budget
        start = np.full(np.broadcast_shapes(np.shape(S), np.shape(budget.tokens)), np.log(1e9))
        N = balanced.best_size(self, S, plain, start)
        if not budget.depends_on_size:
            return N
        low, high = np.log(N / _REACH), np.log(N * _REACH)
        return search.best_size(self, S, budget, low, high, points=_POINTS)

    def best_sparsity(
        self, budget: Budget, *, N: Floats | None = None, M: Floats | None = None, highest: float = HIGHEST_SPARSITY
    ) -> Array:
        """Searched; with the size free, over both by Newton's method."""
        if N is not None or M is not None or budget.depends_on_size:
            return search.best_sparsity(self, budget, N=N, M=M, highest=highest)
        tokens = np.asarray(budget.tokens, dtype=np.float64)
        found = np.empty(tokens.shape)
        for index in np.ndindex(tokens.shape):
            one = Budget(tokens=tokens[index], multiplier=budget.multiplier, saving=budget.saving)
            found[index] = self._sparsity(one, highest)
        return found

    def on_base(self, dense: Theta) -> Self:
        """Each law on the other's base."""
        return type(self)(tuple(part.on_base(dense) for part in self.parts), self.weights)

    def _sparsity(self, budget: Budget, highest: float) -> float:
        low, high = max(np.log1p(-highest), np.log(search.LOWEST_SEARCHED)), -2.0 * _STEP
        if low >= high:
            return 0.0
        x = np.linspace(low, high, _COARSE)
        S, few = -np.expm1(x), self._thinned()
        N = few.best_size(S, budget)
        value = few.reducible(S, N, budget.data(S, N))
        first = int(np.argmin(np.where(np.isnan(value), np.inf, value)))

        def losses(x: Array, y: Array) -> Array:
            S, N = -np.expm1(x), np.exp(y)
            return self.reducible(S, N, budget.data(S, N))

        at = descend(losses, (float(x[first]), float(np.log(N[first]))), low, high)
        S_best, N_best = -np.expm1(at.x), np.exp(at.y)
        dense = self.best_size(0.0, budget)
        sparse_loss = self.reducible(S_best, N_best, budget.data(S_best, N_best))
        return float(S_best if sparse_loss < self.reducible(0.0, dense, budget.data(0.0, dense)) else 0.0)

    def _thinned(self) -> "Mean":
        """Every so-many-th draw: enough to begin a search from."""

        def some(part: Theta) -> Theta:
            every = max(1, (part.count or 1) * len(self.parts) // _COARSE_DRAWS)
            return part if part.count is None else part.rows(slice(None, None, every))

        return Mean(tuple(some(part) for part in self.parts), self.weights)


def _dense_budget(tokens: Array, S: Array) -> Budget:
    """A budget of N D = tokens at every sparsity."""
    return Budget(tokens=tokens, multiplier=lambda *_: np.ones(S.shape), saving=1.0)


class _Place(NamedTuple):
    """A function of two logarithms around a place: value, gradient (2,), curvature (2, 2), by differences."""

    x: float
    y: float
    value: float
    gradient: Array
    curvature: Array


def _around(losses: "search.PairFunction", x: float, y: float) -> _Place:
    steps = _STEP * np.array([-1.0, 0.0, 1.0])
    f = losses((x + steps)[:, None], y + steps)  # (3, 3), x by row
    twice = 2.0 * _STEP
    by_x, by_y = (f[2, 1] - f[0, 1]) / twice, (f[1, 2] - f[1, 0]) / twice
    cross = (f[2, 2] - f[2, 0] - f[0, 2] + f[0, 0]) / twice**2
    xx, yy = ((f[2, 1] - 2 * f[1, 1] + f[0, 1]) / _STEP**2, (f[1, 2] - 2 * f[1, 1] + f[1, 0]) / _STEP**2)
    return _Place(x, y, float(f[1, 1]), np.array([by_x, by_y]), np.array([[xx, cross], [cross, yy]]))


def descend(losses: "search.PairFunction", start: tuple[float, float], low: float, high: float) -> _Place:
    """Where a smooth function of two logarithms is lowest, the first of them between two ends.

    Newton's method; a step that does not lead down, or to no number, is taken again a quarter as long.

    Args:
        losses: Maps x of shape (n, 1) and y of shape (m,) to values of shape (n, m).
        start: A guess.
        low: Lower end of x.
        high: Upper end.
    """
    here, reach = _around(losses, *start), 1.0
    for _ in range(_NEWTON_STEPS):
        slope, bend = here.gradient.copy(), here.curvature.copy()
        if (here.x <= low and slope[0] > 0.0) or (here.x >= high and slope[0] < 0.0):  # held at an end
            slope[0], bend[0, 1], bend[1, 0] = 0.0, 0.0, 0.0
        if not (np.all(np.isfinite(slope)) and np.all(np.isfinite(bend))):
            return here
        values, vectors = np.linalg.eigh(bend)
        # Downhill also where the function bends the other way; what no digit of it can tell is left.
        step = -vectors @ ((vectors.T @ slope) / np.maximum(np.abs(values), 1e-12))
        if -float(slope @ step) < 1e-15 * abs(here.value):
            return here
        step *= min(1.0, reach / float(np.max(np.abs(step))))
        there = _around(losses, float(np.clip(here.x + step[0], low, high)), here.y + float(step[1]))
        if there.value <= here.value:
            here = there
        else:
            reach = float(np.max(np.abs(step))) / 4.0
    return here
