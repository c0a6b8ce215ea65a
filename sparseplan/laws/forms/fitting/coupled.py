"""The coupled forms: the plain sum of both terms, with k and c over it (see `links`)."""

from dataclasses import replace

import numpy as np

from sparseplan.laws.forms import chinchilla, coupled, coupled_dense
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.coupled_terms import CoupledTerms
from sparseplan.laws.forms.fitting.base import FittedForm, dense_vector, end_words
from sparseplan.laws.forms.fitting.chinchilla import numerator_gradient
from sparseplan.laws.forms.fitting.coordinates import (
    B_N,
    FLOOR,
    LOG_F,
    LOG_K,
    LOG_O,
    SIGMA,
    Array,
    Design,
    E,
    to_coefficients,
)
from sparseplan.laws.forms.fitting.gradients import law_gradients
from sparseplan.laws.forms.fitting.prior import LogSum
from sparseplan.laws.forms.fitting.starts import make_coupled_starts
from sparseplan.laws.forms.power_terms import PowerTerms


class FittedCoupled(FittedForm):
    """Eight coefficients, two more for each further family."""

    form = coupled.FORM
    extra = (LOG_K, FLOOR)
    at_low, at_high = end_words({LOG_F: "f(0)", B_N: "b_N", LOG_O: "a_D", SIGMA: "b_D", LOG_K: "k", FLOOR: "c"}, "c")
    at_low = at_low | {FLOOR: "c = 0"}
    known = (
        LogSum(linear=((LOG_K, 1.0),), logs=(((B_N,), 1.0),)),
        LogSum(linear=((LOG_K, 1.0),), logs=(((SIGMA,), 1.0),)),
        LogSum(logs=(((FLOOR,), 1.0),)),
    )

    def coefficients(self, design: Design, theta: Array, family: int | None) -> Theta:
        """Those of the sum, with k and c."""
        law = to_coefficients(design, theta, family).as_dict()
        return coupled.Coefficients(**law | {"c": theta[..., FLOOR], "k": np.exp(theta[..., LOG_K])})

    def gradients(self, design: Design, theta: Array, family: int | None) -> dict[str, Array]:
        """Those of the sum, and the unit vectors of k and c."""
        unit = np.eye(design.size)
        return law_gradients(design, theta, family) | {"c": unit[FLOOR], "k": unit[LOG_K]}

    def base_vector(self, design: Design, dense: Theta) -> Array:
        """The base's size and data term without its floor, which is c here; k is 1 where the law has none."""
        assert isinstance(dense, PowerTerms)
        terms = chinchilla.Coefficients(*chinchilla.letters(dense))
        vector = dense_vector(design, replace(terms, E=np.zeros_like(terms.A)))
        vector[..., FLOOR] = dense.floor
        vector[..., LOG_K] = np.log(dense.k) if isinstance(dense, CoupledTerms) else 0.0
        return vector

    def free(self, design: Design) -> tuple[int, ...]:
        """All but e, which is 0: the sum has no floor of its own."""
        return tuple(parameter for parameter in super().free(design) if parameter != E)

    def starts(self, design: Design, measured: Array, count: int, rng: np.random.Generator) -> Array:
        """See `make_coupled_starts`."""
        return make_coupled_starts(design, measured, count, rng)


class FittedCoupledDense(FittedCoupled):
    """Six coefficients."""

    form = coupled_dense.FORM
    at_low, at_high = end_words({LOG_F: "A", B_N: "alpha", LOG_O: "B", SIGMA: "beta", LOG_K: "k", FLOOR: "E"}, "E")
    at_low = at_low | {FLOOR: "E = 0"}

    def coefficients(self, design: Design, theta: Array, family: int | None) -> Theta:  # noqa: ARG002 - there is none
        """The dense law of the sparse form's coefficients."""
        return coupled_dense.from_dense(super().coefficients(design, theta, None))

    def gradients(self, design: Design, theta: Array, family: int | None) -> dict[str, Array]:  # noqa: ARG002 - likewise
        """Those of the dense base, k and c."""
        law = super().gradients(design, theta, None)
        numerator = numerator_gradient(design, theta)
        return {"E": law["c"], "A": law["c_S"], "B": numerator, "alpha": law["b_N"], "beta": law["b_D"], "k": law["k"]}
