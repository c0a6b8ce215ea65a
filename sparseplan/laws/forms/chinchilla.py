"""The dense scaling law L = E + A / N^alpha + B / D^beta: the sparse law at S = 0 in other letters.

N parameters > 0; D data seen > 0; L loss in nats.

Source: Hoffmann et al. 2022, arXiv:2203.15556, approach 3.
"""

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.frantar2023 import Array, Coefficients, Floats


def loss(E: Floats, A: Floats, B: Floats, alpha: Floats, beta: Floats, N: Floats, D: Floats) -> Array:
    """Predict the loss in nats; all arguments broadcast.

    >>> round(float(loss(1.69, 406.4, 410.7, 0.34, 0.28, 70e9, 1.4e12)), 4)
    1.9366
    """
    n: NDArray[np.float64] = np.asarray(N, dtype=np.float64)
    d: NDArray[np.float64] = np.asarray(D, dtype=np.float64)
    return np.asarray(E + A * n**-alpha + B * d**-beta)


def as_coefficients(E: Floats, A: Floats, B: Floats, alpha: Floats, beta: Floats) -> Coefficients:
    """Write the dense law as the sparse one without a sparsity term: a_S = 0, c_S = A, a_D = B^(1/beta)."""
    return Coefficients(
        a_S=0.0, b_S=1.0, c_S=A, b_N=alpha, a_D=np.asarray(B, dtype=np.float64) ** (1.0 / beta), b_D=beta, c=E
    )
