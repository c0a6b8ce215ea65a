"""Starting points: exponents at random over every plausible value, the rest by least squares.

Given its exponents the law is linear in F, the data term's numerator and c (variable projection; Golub & Pereyra 1973,
doi:10.1137/0710036), so that a random start need not guess sizes: every start already meets the mean of the losses.
"""

import numpy as np

from sparseplan.laws.forms.fitting.coordinates import (
    B_N,
    BASE,
    ETA,
    FLOOR,
    LOG_F,
    LOG_K,
    LOG_O,
    SIGMA,
    ZETA,
    Array,
    Design,
    E,
    expm1_ratio,
    kappa_of,
)

_EXPONENTS = (0.03, 1.5)  # b_N, b_D
_DENSITY_EXPONENTS = (0.2, 4.0)  # b_S
_OUTER = (0.25, 3.0)  # k
_HIGHEST_FLOOR = 0.9  # of the lowest loss
_SMALLEST_SHARE = 0.02
_LARGEST = 300.0
_CHANGE = 0.5  # of an exponent from S = 0 to the highest


def make_starts(design: Design, measured: Array, count: int, rng: np.random.Generator, *, vary: bool = False) -> Array:
    """Draw `count` parameter vectors, shape (count, P).

    b_N, b_D and each family's exponent and share are drawn; the capacity term's size, E and c then follow from linear
    least squares on relative residuals, each kept above a fiftieth of the mean loss. With `vary` eta and zeta are drawn
    too, so that the exponents at the highest S are within half of those at S = 0.
    """
    theta = np.zeros((count, design.size))
    b_N, b_D = (_log_uniform(_EXPONENTS, count, rng) for _ in range(2))
    shape = _draw_families(design, theta, count, rng)
    if vary:
        reach = _CHANGE / -design.u.min()
        theta[:, ETA] = b_N * rng.uniform(-reach, reach, size=count)
        theta[:, ZETA] = rng.uniform(-reach, reach, size=count)
    size = (b_N[:, None] + theta[:, ETA, None] * design.u) * design.x
    length = b_D[:, None] * (1.0 + theta[:, ZETA, None] * design.u) * design.y
    # The law is F x_0 + numerator x_1 + c x_2 at the runs: x of shape (count, n, 3), over the loss for relative errors.
    columns = np.stack(
        np.broadcast_arrays(_power(size) * shape, _power(length), np.ones((count, 1))),
        axis=2,
    )
    columns = columns / measured[None, :, None]
    sizes = _least_squares(columns, np.ones((count, len(measured))))
    F, numerator, c = np.maximum(sizes, _SMALLEST_SHARE * measured.mean()).T
    # To the solver's coordinates, see `coordinates`: o = numerator + c, and b_D shared out as sigma and e.
    theta[:, LOG_F], theta[:, B_N] = np.log(F), b_N
    theta[:, LOG_O] = np.log(numerator + c)
    theta[:, SIGMA] = b_D * numerator / (numerator + c)
    theta[:, E] = b_D * c / (numerator + c)
    return theta


def make_coupled_starts(design: Design, measured: Array, count: int, rng: np.random.Generator) -> Array:
    """Draw `count` parameter vectors of a coupled form, shape (count, P).

    k, c and the exponents are drawn, the exponents of the loss, k b_N and k b_D, from the same ends as those of a plain
    sum; given them (L - c)^(1/k) is linear in the sizes of both terms, which follow by least squares on what are
    relative residuals of L to first order, each kept above a fiftieth of the mean.
    """
    theta = np.zeros((count, design.size))
    low, high = (bound[[B_N, SIGMA]] for bound in design.bounds())
    k = _log_uniform(_OUTER, count, rng)
    floor = measured.min() * rng.uniform(0.0, _HIGHEST_FLOOR, size=count)
    exponents = np.stack([_log_uniform(_EXPONENTS, count, rng) / k for _ in range(2)], axis=1)
    b_N, b_D = np.clip(exponents, low, high).T
    shape = _draw_families(design, theta, count, rng)
    size, length = _power(b_N[:, None] * design.x) * shape, _power(b_D[:, None] * design.y)
    columns = np.stack(np.broadcast_arrays(size, length), axis=2)
    above = measured - floor[:, None]
    total = above ** (1.0 / k[:, None])
    weight = k[:, None] * above / (total * measured)  # dL / (L dz), z the sum
    sizes = _least_squares(columns * weight[:, :, None], total * weight)
    F, numerator = np.maximum(sizes, _SMALLEST_SHARE * total.mean(axis=1, keepdims=True)).T
    theta[:, LOG_F], theta[:, B_N] = np.log(F), b_N
    theta[:, LOG_O], theta[:, SIGMA] = np.log(numerator), b_D
    theta[:, LOG_K], theta[:, FLOOR] = np.log(k), floor
    return theta


def _draw_families(design: Design, theta: Array, count: int, rng: np.random.Generator) -> Array:
    """Draw each family's exponent and share into theta (count, P); their h at the runs, (count, n) or (count, 1)."""
    for family in range(len(design.families)):
        b_S = _log_uniform(_DENSITY_EXPONENTS, count, rng)
        share = rng.uniform(0.1, 0.9, size=count)
        theta[:, kappa_of(family)] = b_S * share
        theta[:, kappa_of(family) + 1] = b_S * (1.0 - share)
    if not design.families:
        return np.ones((count, 1))
    kappa, epsilon = (theta[:, len(BASE) + offset :: 2][:, design.family] for offset in (0, 1))
    return np.asarray(1.0 + kappa * expm1_ratio(kappa, epsilon, design.u)[0])


def _least_squares(columns: Array, target: Array) -> Array:
    """Solutions (count, m) of columns (count, n, m) for target (count, n).

    Normal equations (m x m each) are precise enough for a start; the ridge is for runs of one size or one length.
    """
    transposed = columns.transpose(0, 2, 1)
    normal = transposed @ columns
    index = range(columns.shape[2])
    normal[:, index, index] *= 1.0 + 1e-9
    return np.asarray(np.linalg.solve(normal, transposed @ target[:, :, None])[:, :, 0])


def _power(exponent: Array) -> Array:
    """exp(-exponent), held where its square would overflow: over such a span no start is near."""
    return np.exp(np.minimum(-exponent, _LARGEST))


def _log_uniform(ends: tuple[float, float], count: int, rng: np.random.Generator) -> Array:
    return np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]), size=count))
