"""The data term of the law with what no run can do without, in the solver's coordinates: value, slope and curvature.

    rest = o h,   h = 1 + sigma C(sigma + e; z),   C(b; t) = (exp(b t) - 1) / b,   z = -y

log o multiplies the whole; h depends on D only, so that C is computed once per level of D.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from sparseplan.laws.forms.fitting.capacity import add_bend
from sparseplan.laws.forms.fitting.coordinates import LOG_O, SIGMA, Array, Design, E, Levels, expm1_ratio


@dataclass(kw_only=True, eq=False)
class DataTerm:
    """The term at Z parameter vectors and n runs, m levels of z.

    Attributes:
        inner: the parameters inside h.
        slot: position of each free parameter in a gradient.
        levels: the distinct values of z, and which run has which.
        value: the term, shape (Z, n).
        o, sigma, b: parameters, b = sigma + e, shape (Z, 1).
        z: shape (Z, m) or (1, m).
        C, C1, C2: C and its derivatives by b at the levels, shape (Z, m).
    """

    inner: ClassVar[tuple[int, ...]] = (SIGMA, E)
    slot: dict[int, int]
    levels: Levels
    value: Array
    o: Array
    sigma: Array
    b: Array
    z: Array
    C: Array
    C1: Array
    C2: Array

    @classmethod
    def at(cls, design: Design, slot: dict[int, int], theta: Array) -> Self:
        """The term of the law itself, where zeta is 0."""
        return cls.bent(slot, theta, design.y_levels, -design.y_levels.values[None, :])

    @classmethod
    def bent(cls, slot: dict[int, int], theta: Array, levels: Levels, z: Array) -> Self:
        """The term from its z."""
        o, sigma, e = np.exp(theta[:, LOG_O, None]), theta[:, SIGMA, None], theta[:, E, None]
        C, C1, C2 = expm1_ratio(sigma, e, z)
        value = levels.scatter(o * (1.0 + sigma * C))
        return cls(slot=slot, levels=levels, value=value, o=o, sigma=sigma, b=sigma + e, z=z, C=C, C1=C1, C2=C2)

    def add_slope(self, jacobian: Array) -> None:
        """Write the term's derivatives into a Jacobian of the predicted loss, shape (Z, Q, n)."""
        slope = self.o * self.sigma * self.C1
        for parameter, column in ((SIGMA, self.o * self.C + slope), (E, slope)):
            if parameter in self.slot:
                jacobian[:, self.slot[parameter]] = self.levels.scatter(column)
        if LOG_O in self.slot:
            jacobian[:, self.slot[LOG_O]] = self.value

    def add_curvature(self, hessian: Array, gradient: Array, pull: Array) -> None:
        """Add sum_i pull_i d2 rest_i to a Hessian (Z, Q, Q); arguments as in `capacity`."""
        if (at := self.slot.get(LOG_O)) is not None:  # it multiplies the term: its second derivatives are the gradient
            others = [self.slot[parameter] for parameter in self.inner if parameter in self.slot]
            hessian[:, at, at] += gradient[:, at]
            hessian[:, at, others] += gradient[:, others]
            hessian[:, others, at] += gradient[:, others]
        if SIGMA in self.slot:
            bend = self.levels.gather(pull) * self.o
            s1, s2 = (bend * self.C1).sum(axis=1), (bend * self.sigma * self.C2).sum(axis=1)
            add_bend(hessian, self.slot[SIGMA], self.slot.get(E), s1, s2)
