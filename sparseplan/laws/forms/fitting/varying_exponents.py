"""The sparse law with exponents that depend on sparsity: eta and zeta are varied too.

N_0 and D_0 are the centre of the runs, where u x and u y turn the terms about.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms import varying_exponents
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.fitting.base import FittedForm, end_words
from sparseplan.laws.forms.fitting.coordinates import B_N, ETA, SIGMA, ZETA, Array, Design, E, to_coefficients
from sparseplan.laws.forms.fitting.frantar2023 import PARAMETERS
from sparseplan.laws.forms.fitting.gradients import law_gradients


class FittedVaryingExponents(FittedForm):
    """Nine coefficients, two more for each further family."""

    form = varying_exponents.FORM
    extra = (ETA, ZETA)
    at_low, at_high = end_words(PARAMETERS | {ETA: "eta", ZETA: "zeta"}, "c")

    def coefficients(self, design: Design, theta: Array, family: int | None) -> Theta:
        """Those of the law, and the parameters eta and zeta as they are."""
        law = to_coefficients(design, theta, family)
        centre = {"N_0": float(np.exp(design.log_N0)), "D_0": float(np.exp(design.log_D0))}
        return varying_exponents.Coefficients(**law.as_dict(), eta=theta[..., ETA], zeta=theta[..., ZETA], **centre)

    def gradients(self, design: Design, theta: Array, family: int | None) -> dict[str, Array]:
        """Those of the law, and the unit vectors of eta and zeta."""
        unit = np.eye(design.size)
        return law_gradients(design, theta, family) | {"eta": unit[ETA], "zeta": unit[ZETA]}

    def base_vector(self, design: Design, dense: Theta) -> None:
        """None: eta and zeta would be a base's too, and no dense law has them."""

    def makes_sense(self, design: Design, theta: Array) -> NDArray[np.bool_]:
        """Whether both exponents are above 0 at the highest S; they are at S = 0, and linear between."""
        u = design.u.min()
        return np.asarray((theta[..., B_N] + theta[..., ETA] * u > 0.0) & (1.0 + theta[..., ZETA] * u > 0.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Variation:
    """One exponent that may depend on sparsity.

    Attributes:
        exponent: its name.
        of: what it is the exponent of, size or data.
        extra: the parameter that makes it do so.
        own: a parameter that is free where the exponent is.
    """

    exponent: str
    of: str
    extra: int
    own: int

    def ends(self, theta: Array, u: float) -> tuple[Array, Array]:
        """The exponent at S = 0 and at log(1 - S) = u; theta of shape (..., P)."""
        if self.extra == ETA:
            return theta[..., B_N], theta[..., B_N] + theta[..., ETA] * u
        at_zero = theta[..., SIGMA] + theta[..., E]
        return at_zero, at_zero * (1.0 + theta[..., ZETA] * u)


VARIATIONS = (
    Variation(exponent="b_N", of="size", extra=ETA, own=B_N),
    Variation(exponent="b_D", of="data", extra=ZETA, own=SIGMA),
)
