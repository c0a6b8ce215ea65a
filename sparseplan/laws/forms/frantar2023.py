"""The sparse scaling law, its derivatives, and what follows from it in closed form.

    L(S, N, D) = f(S) N^(-b_N) + (a_D / D)^b_D + c,    f(S) = a_S (1 - S)^b_S + c_S

S final sparsity in [0, 1); N non-zero prunable parameters > 0; D data seen in the law's unit > 0; L loss in nats.
Every coefficient may be an array (bootstrap draws), and everything broadcasts. The dense law is the case S = 0.

Source: Frantar et al. 2023, arXiv:2309.08520, eq. 1.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = Array | float


class Coefficients(NamedTuple):
    """The law's seven coefficients in natural units; scalars, or arrays that broadcast with S, N and D."""

    a_S: Floats
    b_S: Floats
    c_S: Floats
    b_N: Floats
    a_D: Floats
    b_D: Floats
    c: Floats

    def expanded(self) -> "Coefficients":
        """The same coefficients with a trailing axis: draws of shape (K,) become (K, 1) and broadcast over points."""
        return Coefficients(*(np.asarray(value, dtype=np.float64)[..., None] for value in self))


def shape(theta: Coefficients, S: Floats) -> Array:
    """f(S), the numerator of the capacity term; f(0) = a_S + c_S is A of the dense law."""
    density = 1.0 - np.asarray(S, dtype=np.float64)
    return np.asarray(theta.a_S * density**theta.b_S + theta.c_S)


def loss(theta: Coefficients, S: Floats, N: Floats, D: Floats) -> Array:
    """Predict the validation loss in nats; S, N, D and the coefficients broadcast to the result's shape.

    >>> t5 = Coefficients(a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.203, c=0.651)
    >>> round(float(loss(t5, 0.75, 85e6, 65.5e9)), 4)
    1.6317
    """
    N, D = np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64)
    return np.asarray(shape(theta, S) * N**-theta.b_N + (theta.a_D / D) ** theta.b_D + theta.c)


def input_gradient(theta: Coefficients, S: Floats, N: Floats, D: Floats) -> tuple[Array, Array, Array]:
    """Derivatives of the loss by S, N and D, each of the broadcast shape."""
    S, N, D = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (S, N, D)))
    power = N**-theta.b_N
    by_S = -theta.a_S * theta.b_S * (1.0 - S) ** (theta.b_S - 1.0) * power
    by_N = -theta.b_N * shape(theta, S) * power / N
    by_D = -theta.b_D * (theta.a_D / D) ** theta.b_D / D
    by_S, by_N, by_D = np.broadcast_arrays(by_S, by_N, by_D)
    return by_S, by_N, by_D


def coefficient_gradient(theta: Coefficients, S: Floats, N: Floats, D: Floats) -> Array:
    """Derivatives of the loss by (a_S, b_S, c_S, b_N, a_D, b_D, c), stacked on a new last axis of length 7."""
    density = 1.0 - np.asarray(S, dtype=np.float64)
    N, D = np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64)
    power, kept, data = N**-theta.b_N, density**theta.b_S, (theta.a_D / D) ** theta.b_D
    columns = (
        kept * power,
        theta.a_S * kept * np.log(density) * power,
        power,
        -shape(theta, S) * power * np.log(N),
        data * theta.b_D / theta.a_D,
        data * np.log(theta.a_D / D),
        np.ones_like(data),
    )
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def size_multiplier(theta: Coefficients, S: Floats) -> Array:
    """m(S): a sparse model with N non-zero weights has the capacity term of a dense one with N m(S).

    >>> t5 = Coefficients(a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.203, c=0.651)
    >>> [round(float(size_multiplier(t5, S)), 2) for S in (0.5, 0.75, 0.875)]
    [1.59, 2.16, 2.63]
    """
    return np.asarray((shape(theta, 0.0) / shape(theta, S)) ** (1.0 / np.asarray(theta.b_N)))
