"""The sparsity term f(S)/f(0) = w (1 - S)^b_S + 1 - w that is closest to a wanted one.

For a given b_S the best w is a line's slope, so only b_S is searched.
"""

import numpy as np

from sparseplan.laws.forms.base import Form, Theta
from sparseplan.laws.forms.budget import Array, Floats
from sparseplan.laws.forms.search import lowest

_EXPONENTS = (np.log(1e-2), np.log(30.0))
_POINTS = 24


def places(highest: float) -> Array:
    """The sparsities at which a term is matched, in equal ratios of the density down to that of `highest`."""
    return -np.expm1(np.linspace(0.0, np.log1p(-highest), _POINTS + 1)[1:])


def closest_shape(S: Array, log_share: Array) -> tuple[Array, Array]:
    """The w in [0, 1] and the b_S of the least squared error of ln f(S)/f(0).

    Args:
        S: Sparsities above 0, shape (n,).
        log_share: The wanted ln f(S)/f(0) there, shape (..., n).

    Returns:
        w and b_S, of shape (...).
    """
    wanted = np.exp(np.asarray(log_share))[..., None, :]  # (..., 1, n) against (..., points, n)

    def share(x: Array) -> tuple[Array, Array]:
        lost = -np.expm1(np.exp(x)[..., None] * np.log1p(-S))  # 1 - (1 - S)^b_S
        # 1 - w lost against `wanted`, each error relative to `wanted`: to first order that of the logarithm.
        w = np.sum(lost * (1.0 - wanted) / wanted**2, axis=-1) / np.sum((lost / wanted) ** 2, axis=-1)
        w = np.clip(w, 0.0, 1.0)
        return w, 1.0 - w[..., None] * lost

    def squared_error(x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray(np.sum(np.log(share(x)[1] / wanted) ** 2, axis=-1))

    low, high = (np.full(np.shape(log_share)[:-1], end) for end in _EXPONENTS)
    x = lowest(squared_error, low, high)
    return share(x[..., None])[0][..., 0], np.exp(x)


def shaped(form: Form, share: Array, exponent: Array) -> Theta:
    """A law of a form with these letters whose f(S)/f(0) has this w and b_S; the rest of it says nothing yet."""
    values: dict[str, Floats] = {one.name: 1.0 for one in form.coefficients}
    return form.theta(**values | {"a_S": share, "b_S": exponent, "c_S": 1.0 - share})
