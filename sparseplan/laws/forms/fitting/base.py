"""What a fit needs to know of a form: which of the solver's parameters it varies, and what its coefficients are then.

The solver works on parameter vectors (`coordinates`); everything else in `fit` asks a `FittedForm` and knows neither a
coefficient nor a parameter by name. One form is one file here, as in `laws.forms`.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.base import Form, Theta
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
    from_coefficients,
)
from sparseplan.laws.forms.fitting.prior import LogSum
from sparseplan.laws.forms.fitting.starts import make_starts
from sparseplan.laws.forms.frantar2023 import dense_as_sparse


class FittedForm(ABC):
    """How runs give a form's coefficients.

    Attributes:
        form: the form.
        extra: parameters that it varies beyond the dense base and each family's two.
        known: logarithms of its exponents of N and D in the loss and of its floor, for `prior`.
        at_low, at_high: what a base parameter at its lowest or highest value says in the form's coefficients.
    """

    form: ClassVar[Form]
    extra: ClassVar[tuple[int, ...]] = ()
    at_low: ClassVar[dict[int, str]]
    at_high: ClassVar[dict[int, str]]

    # b_N, b_D = sigma + e, and c = o e / b_D.
    known: ClassVar[tuple[LogSum, LogSum, LogSum]] = (
        LogSum(logs=(((B_N,), 1.0),)),
        LogSum(logs=(((SIGMA, E), 1.0),)),
        LogSum(linear=((LOG_O, 1.0),), logs=(((E,), 1.0), ((SIGMA, E), -1.0))),
    )

    @abstractmethod
    def coefficients(self, design: Design, theta: Array, family: int | None) -> Theta:
        """The coefficients in natural units; theta of shape (..., P) gives arrays of shape (...).

        `family` None asks for the dense law: what a form has per family then leaves no effect of sparsity.
        """

    @abstractmethod
    def gradients(self, design: Design, theta: Array, family: int | None) -> dict[str, Array]:
        """Derivatives of the fitted coefficients by the P parameters at theta (P,), each up to a positive factor."""

    def makes_sense(self, design: Design, theta: Array) -> NDArray[np.bool_]:  # noqa: ARG002 - bounds see to it here
        """Whether more parameters and data help at every sparsity of the runs; theta (..., P) gives (...)."""
        return np.ones(theta.shape[:-1], dtype=np.bool_)

    def base_vector(self, design: Design, dense: Theta) -> Array | None:
        """The parameters of another law's dense base, families at 0, draws (K,) giving (K, P); None if it has more.

        What it has more are coefficients that this form can't keep.
        """
        return dense_vector(design, dense) if self.form.takes_base_of(dense.form) else None

    def free(self, design: Design) -> tuple[int, ...]:
        """The parameters to vary."""
        return (*design.free(), *self.extra)

    def starts(self, design: Design, measured: Array, count: int, rng: np.random.Generator) -> Array:
        """Starting points, shape (count, P)."""
        return make_starts(design, measured, count, rng, vary=ETA in self.extra)

    def plain_point(self, design: Design, free: tuple[int, ...], theta: Array) -> Array:
        """`theta` with every free exponent and share replaced by ordinary ones: no accident, no bound."""
        ordinary = {B_N: 0.31, SIGMA: 0.13, E: 0.23, LOG_F: 0.0, LOG_O: 0.4, ETA: 0.017, ZETA: 0.07}
        ordinary |= {LOG_K: -0.3, FLOOR: 0.5}
        ordinary |= {parameter: 0.37 + 0.11 * (parameter % 2) for parameter in range(len(BASE), design.size)}
        point = theta.copy()
        for parameter in free:
            point[parameter] = ordinary[parameter]
        return point

    def bounds_hit(self, design: Design, free: tuple[int, ...], theta: Array) -> dict[int, str]:
        """Free parameters at a bound, and what that says in the law's coefficients."""
        low, high = design.bounds()
        hit: dict[int, str] = {}
        for parameter in free:
            at_low, at_high = theta[parameter] <= low[parameter], theta[parameter] >= high[parameter]
            if at_low or at_high:
                hit[parameter] = self._bound_words(design, parameter, at_low=bool(at_low))
        return hit

    def _bound_words(self, design: Design, parameter: int, *, at_low: bool) -> str:
        if parameter < len(BASE):
            return (self.at_low if at_low else self.at_high)[parameter]
        family, second = divmod(parameter - len(BASE), 2)
        word = ("c_S = 0" if second else "a_S = 0") if at_low else "b_S at its highest"
        return f"{prefix(design, family)}{word}"

    def open_names(self, design: Design, theta: Array) -> dict[str, Array]:
        """`gradients` of every family's coefficients; with several families theirs carry the family's name."""
        own = {one.name for one in self.form.per_family}
        found: dict[str, Array] = {}
        for family in range(len(design.families)) or (None,):
            for name, gradient in self.gradients(design, theta, family).items():
                found[f"{prefix(design, family)}{name}" if name in own else name] = gradient
        return found


def prefix(design: Design, family: int | None) -> str:
    """What goes before the name of a family's own coefficient: nothing where there is one family."""
    return "" if len(design.families) < 2 or family is None else f"{design.families[family]}."


def dense_vector(design: Design, dense: Theta) -> Array:
    """The parameters of a dense base that is a plain sum, families at 0; draws (K,) give (K, P)."""
    return from_coefficients(design, dense_as_sparse(dense), None)


def end_words(names: dict[int, str], floor: str) -> tuple[dict[int, str], dict[int, str]]:
    """`at_low` and `at_high` from what each parameter is mostly of, and the coefficient that is 0 where e is."""
    lows, highs = ({key: f"{name} at its {end}" for key, name in names.items()} for end in ("lowest", "highest"))
    return lows | {E: f"{floor} = 0"}, highs
