"""The dense law: the sparse law's dense base in Hoffmann's letters."""

import numpy as np

from sparseplan.laws.forms import chinchilla
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.fitting.base import FittedForm, end_words
from sparseplan.laws.forms.fitting.coordinates import B_N, LOG_F, LOG_O, SIGMA, Array, Design, E, to_coefficients
from sparseplan.laws.forms.fitting.gradients import law_gradients


class FittedChinchilla(FittedForm):
    """Five coefficients."""

    form = chinchilla.FORM
    at_low, at_high = end_words({LOG_F: "A", B_N: "alpha", LOG_O: "E and B / D^beta", SIGMA: "beta", E: "beta"}, "E")

    def coefficients(self, design: Design, theta: Array, family: int | None) -> Theta:  # noqa: ARG002 - there is none
        """The dense law of `to_coefficients`."""
        return chinchilla.Coefficients(*chinchilla.letters(to_coefficients(design, theta, None)))

    def gradients(self, design: Design, theta: Array, family: int | None) -> dict[str, Array]:  # noqa: ARG002 - likewise
        """Those of the dense base; log B = log o + log(sigma / beta) + beta log D0."""
        law, B = law_gradients(design, theta, None), numerator_gradient(design, theta)
        return {"E": law["c"], "A": law["c_S"], "B": B, "alpha": law["b_N"], "beta": law["b_D"]}


def numerator_gradient(design: Design, theta: Array) -> Array:
    """Derivatives of log B by the P parameters at theta (P,)."""
    sigma, e = float(theta[SIGMA]), float(theta[E])
    B, beta = np.zeros(design.size), sigma + e
    B[[LOG_O, SIGMA, E]] = 1.0, 1.0 / sigma - 1.0 / beta + design.log_D0, -1.0 / beta + design.log_D0
    return B
