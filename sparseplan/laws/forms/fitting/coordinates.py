"""The law in coordinates that suit a solver, and back.

With u = log(1 - S), x = log(N / N0), y = log(D / D0), N0 and D0 the geometric means of the runs:

    L = F exp(-(b_N + eta u) x) h(kappa, epsilon; u) + o h(sigma, e; z),    z = -(1 + zeta u) y
    h(p, q; t) = 1 + p (exp((p + q) t) - 1) / (p + q)

F = f(0) N0^(-b_N) is the dense capacity term and o = E + c the rest of the loss at the centre of the runs; p is the
slope of h at t = 0 and p + q its exponent. So kappa and sigma are what runs determine best, while epsilon = 0 means
c_S = 0 and e = 0 means c = 0: every constraint of the law is a bound, and the long curved valley of (a_D, b_D, c) is
straight. Nothing depends on the units of N and D. Each pattern family has its own (kappa, epsilon) on one dense base;
runs with S = 0 have u = 0 and speak for all of them. eta and zeta, 0 in the law, let b_N and b_D depend on S.

The coupled forms take e = 0, so that L is a plain sum of both terms, and put an exponent and a floor of their own over
it: L^k + c (see `links`). k = 1 and c = 0, where other forms leave them, change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.frantar2023 import Coefficients

Array = NDArray[np.float64]

LOG_F, B_N, ETA, LOG_O, SIGMA, E, ZETA, LOG_K, FLOOR = range(9)
BASE = ("log_F", "b_N", "eta", "log_o", "sigma", "e", "zeta", "log_k", "floor")
DENSE_FREE = (LOG_F, B_N, LOG_O, SIGMA, E)
_BASE_LOW = (-30.0, 1e-3, -3.0, -30.0, 1e-4, 0.0, -5.0, -2.3, 0.0)
_BASE_HIGH = (30.0, 5.0, 3.0, 30.0, 5.0, 5.0, 5.0, 2.3, 1e6)
_FAMILY_LOW, _FAMILY_HIGH = (0.0, 1e-6), (50.0, 50.0)
MAX_LOG_A_D = 87.0
"""a_D is stored in draws as float32; beyond exp(87) the data term is flat in D and a_D says nothing."""


def kappa_of(family: int) -> int:
    """Index of a family's kappa in a parameter vector; its epsilon follows."""
    return len(BASE) + 2 * family


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Levels:
    """The few distinct values on a grid's axis, so that a function of the axis is computed once a value.

    Attributes:
        values: distinct values, shape (m,).
        index: which of them each run has, shape (n,); None where runs are their own levels.
        member: 1 where a run has a value, shape (n, m); None as `index`.
    """

    values: Array
    index: NDArray[np.intp] | None = None
    member: Array | None = None

    @classmethod
    def of(cls, *columns: Array) -> "tuple[Levels, NDArray[np.intp]]":
        """Levels of the first column, distinct in all of them, and for each level a run that has it."""
        _, first, index = np.unique(np.stack(columns), axis=1, return_index=True, return_inverse=True)
        if len(first) > MAX_LEVELS:
            return cls(values=columns[0]), np.arange(len(columns[0]))
        index = index.reshape(-1)
        return cls(values=columns[0][first], index=index, member=np.eye(len(first))[index]), first

    def scatter(self, at_levels: Array) -> Array:
        """From levels (B, m) to runs (B, n)."""
        return at_levels if self.index is None else np.take(at_levels, self.index, axis=1)

    def gather(self, at_runs: Array) -> Array:
        """From runs (B, n) to levels (B, m), summed."""
        return at_runs if self.member is None else at_runs @ self.member


MAX_LEVELS = 64


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Design:
    """Where the runs are, normalised; every array has shape (n,).

    Attributes:
        x, y, u: log N and log D about their means, and log(1 - S).
        family: index of each run's family; 0 where S = 0.
        families: names of the families that have sparse runs, or were given.
        log_N0, log_D0: the means that were taken out.
        x_levels, y_levels, u_levels: distinct x, y and (u, family); `level_family` is the family of each u level.
    """

    x: Array
    y: Array
    u: Array
    family: NDArray[np.intp]
    families: tuple[str, ...]
    log_N0: float
    log_D0: float
    x_levels: Levels
    y_levels: Levels
    u_levels: Levels
    level_family: NDArray[np.intp]

    @property
    def size(self) -> int:
        """Length of a parameter vector."""
        return len(BASE) + 2 * len(self.families)

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest value of each parameter."""
        count = len(self.families)
        return (
            np.array([*_BASE_LOW, *(_FAMILY_LOW * count)]),
            np.array([*_BASE_HIGH, *(_FAMILY_HIGH * count)]),
        )

    def free(self) -> tuple[int, ...]:
        """Parameters of the law itself: the dense base, and (kappa, epsilon) of each family."""
        return (*DENSE_FREE, *range(len(BASE), self.size))


def make_design(S: Array, N: Array, D: Array, family: Sequence[str], *, like: Design | None = None) -> Design:
    """Normalise runs; with `like`, about that design's centre and with its families, as predictions need."""
    sparse = S > 0
    if like is not None:
        families, log_N0, log_D0 = like.families, like.log_N0, like.log_D0
    else:
        families = tuple(dict.fromkeys(name for name, pruned in zip(family, sparse, strict=True) if pruned))
        log_N0, log_D0 = float(np.mean(np.log(N))), float(np.mean(np.log(D)))
    index = [families.index(name) if pruned else 0 for name, pruned in zip(family, sparse, strict=True)]
    x, y, u, numbers = np.log(N) - log_N0, np.log(D) - log_D0, np.log1p(-S), np.array(index, dtype=np.intp)
    u_levels, first = Levels.of(u, numbers.astype(np.float64))
    return Design(
        x=x,
        y=y,
        u=u,
        family=numbers,
        families=families,
        log_N0=log_N0,
        log_D0=log_D0,
        x_levels=Levels.of(x)[0],
        y_levels=Levels.of(y)[0],
        u_levels=u_levels,
        level_family=numbers[first],
    )


def expm1_ratio(p: Array, q: Array, t: Array) -> tuple[Array, Array, Array]:
    """B = (exp(b t) - 1) / b with b = p + q > 0, and its first and second derivative by b; all broadcast."""
    b = p + q
    growth = np.expm1(b * t)
    B = growth / b
    B1 = (t * (growth + 1.0) - B) / b
    B2 = (t * t * (growth + 1.0) - 2.0 * B1) / b
    return B, B1, B2


def predict(design: Design, theta: Array) -> Array:
    """Loss at the design's runs; theta of shape (..., P) gives (..., n)."""
    column = [theta[..., index, None] for index in range(len(BASE))]
    shape = np.ones(1)
    if design.families:
        kappa = theta[..., len(BASE) :: 2][..., design.family]
        epsilon = theta[..., len(BASE) + 1 :: 2][..., design.family]
        shape = 1.0 + kappa * expm1_ratio(kappa, epsilon, design.u)[0]
    exponent = column[B_N] + column[ETA] * design.u
    capacity = np.exp(column[LOG_F] - exponent * design.x) * shape
    bend = expm1_ratio(column[SIGMA], column[E], -design.y * (1.0 + column[ZETA] * design.u))[0]
    total = capacity + np.exp(column[LOG_O]) * (1.0 + column[SIGMA] * bend)
    if np.any(column[LOG_K]) or np.any(column[FLOOR]):
        total = total ** np.exp(column[LOG_K]) + column[FLOOR]
    return np.asarray(total)


def to_coefficients(design: Design, theta: Array, family: int | None) -> Coefficients:
    """The seven coefficients in natural units; theta of shape (..., P) gives arrays of shape (...).

    `family` None asks for the dense law, as a_S = 0, c_S = f(0).
    """
    at = [theta[..., index] for index in range(design.size)]
    f0 = np.exp(at[LOG_F] + at[B_N] * design.log_N0)
    b_D = at[SIGMA] + at[E]
    log_a_D = design.log_D0 + (at[LOG_O] + np.log(at[SIGMA] / b_D)) / b_D
    if family is None:
        a_S, b_S, c_S = np.zeros_like(f0), np.ones_like(f0), f0
    else:
        kappa, epsilon = at[kappa_of(family)], at[kappa_of(family) + 1]
        b_S = kappa + epsilon
        at_bound = epsilon <= _FAMILY_LOW[1]
        a_S = np.where(at_bound & (kappa > epsilon), f0, f0 * kappa / b_S)
        c_S = np.where(at_bound & (kappa > epsilon), 0.0, f0 * epsilon / b_S)
    return Coefficients(
        a_S=a_S,
        b_S=b_S,
        c_S=c_S,
        b_N=at[B_N],
        a_D=np.exp(np.clip(log_a_D, -MAX_LOG_A_D, MAX_LOG_A_D)),
        b_D=b_D,
        c=np.exp(at[LOG_O]) * at[E] / b_D,
    )


def from_coefficients(design: Design, theta: Coefficients, family: int | None) -> Array:
    """The parameter vector of given coefficients, other families left at 0; coefficients (K,) give (K, P)."""
    a_S, b_S, c_S, b_N, a_D, b_D, c = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in theta))
    numerator = np.exp(b_D * (np.log(a_D) - design.log_D0))
    o = numerator + c
    vector = np.zeros((*a_S.shape, design.size))
    vector[..., LOG_F] = np.log(a_S + c_S) - b_N * design.log_N0
    vector[..., B_N] = b_N
    vector[..., LOG_O] = np.log(o)
    vector[..., SIGMA] = b_D * numerator / o
    vector[..., E] = b_D * c / o
    vector[..., len(BASE) + 1 :: 2] = _FAMILY_LOW[1]
    if family is not None:
        share = a_S / (a_S + c_S)
        vector[..., kappa_of(family)] = b_S * share
        vector[..., kappa_of(family) + 1] = np.maximum(b_S * (1.0 - share), _FAMILY_LOW[1])
    return vector
