"""Starting points: exponents at random over every plausible value, the rest by least squares.

Given its exponents the law is linear in F, the data term's numerator and c (variable projection; Golub & Pereyra 1973,
doi:10.1137/0710036), so that a random start need not guess sizes: every start already meets the mean of the losses.
"""

import numpy as np

from sparseplan.laws.forms.fitting.coordinates import (
    B_N,
    BASE,
    ETA,
    LOG_F,
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
_SMALLEST_SHARE = 0.02
_CHANGE = 0.5  # of an exponent from S = 0 to the highest


def make_starts(design: Design, measured: Array, count: int, rng: np.random.Generator, *, vary: bool = False) -> Array:
    """Draw `count` parameter vectors, shape (count, P).

    b_N, b_D and each family's exponent and share are drawn; the capacity term's size, E and c then follow from linear
    least squares on relative residuals, each kept above a fiftieth of the mean loss. With `vary` eta and zeta are drawn
    too, so that the exponents at the highest S are within half of those at S = 0.
    """
    theta = np.zeros((count, design.size))
    b_N, b_D = (_log_uniform(_EXPONENTS, count, rng) for _ in range(2))
    shape = np.ones((count, 1))
    for family in range(len(design.families)):
        b_S = _log_uniform(_DENSITY_EXPONENTS, count, rng)
        share = rng.uniform(0.1, 0.9, size=count)
        theta[:, kappa_of(family)] = b_S * share
        theta[:, kappa_of(family) + 1] = b_S * (1.0 - share)
    if design.families:
        kappa, epsilon = (theta[:, len(BASE) + offset :: 2][:, design.family] for offset in (0, 1))
        shape = 1.0 + kappa * expm1_ratio(kappa, epsilon, design.u)[0]
    if vary:
        reach = _CHANGE / -design.u.min()
        theta[:, ETA] = b_N * rng.uniform(-reach, reach, size=count)
        theta[:, ZETA] = rng.uniform(-reach, reach, size=count)
    size = (b_N[:, None] + theta[:, ETA, None] * design.u) * design.x
    length = b_D[:, None] * (1.0 + theta[:, ZETA, None] * design.u) * design.y
    # The law is F x_0 + numerator x_1 + c x_2 at the runs: x of shape (count, n, 3), over the loss for relative errors.
    columns = np.stack(
        np.broadcast_arrays(np.exp(-size) * shape, np.exp(-length), np.ones((count, 1))),
        axis=2,
    )
    columns = columns / measured[None, :, None]
    # Normal equations (3 x 3 each) are precise enough for a start; the ridge is for runs of one size or one length.
    transposed = columns.transpose(0, 2, 1)
    normal = transposed @ columns
    normal[:, range(3), range(3)] *= 1.0 + 1e-9
    sizes = np.linalg.solve(normal, transposed.sum(axis=2)[:, :, None])[:, :, 0]
    F, numerator, c = np.maximum(sizes, _SMALLEST_SHARE * measured.mean()).T
    # To the solver's coordinates, see `coordinates`: o = numerator + c, and b_D shared out as sigma and e.
    theta[:, LOG_F], theta[:, B_N] = np.log(F), b_N
    theta[:, LOG_O] = np.log(numerator + c)
    theta[:, SIGMA] = b_D * numerator / (numerator + c)
    theta[:, E] = b_D * c / (numerator + c)
    return theta


def _log_uniform(ends: tuple[float, float], count: int, rng: np.random.Generator) -> Array:
    return np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]), size=count))
