"""Both terms with exponents that depend on sparsity: b_N + eta u, and z = -(1 + zeta u) y.

Only a fit of the form `varying-exponents`, and the test of the law for it, come here.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np

from sparseplan.laws.forms.fitting.capacity import CapacityTerm
from sparseplan.laws.forms.fitting.coordinates import ETA, SIGMA, ZETA, Array, Design, E, Levels
from sparseplan.laws.forms.fitting.data import DataTerm


@dataclass(eq=False)
class VaryingCapacityTerm(CapacityTerm):
    """The capacity term with eta: one parameter more in its exponent."""

    @classmethod
    def at(cls, design: Design, slot: dict[int, int], theta: Array) -> Self:
        """The term at parameter vectors (Z, P)."""
        plain = CapacityTerm.at(design, slot, theta)
        factor = -design.u * design.x
        dense = plain.dense * np.exp(theta[:, ETA, None] * factor)
        return cls.with_shape(design, slot, theta, dense, {**plain.factors, ETA: factor})


@dataclass(kw_only=True, eq=False)
class VaryingDataTerm(DataTerm):
    """The data term with zeta. Runs of one length differ in z, so that each is a level of its own.

    Attributes:
        turn: dz / dzeta, shape (n,).
    """

    inner: ClassVar[tuple[int, ...]] = (SIGMA, E, ZETA)
    turn: Array

    @classmethod
    def at(cls, design: Design, slot: dict[int, int], theta: Array) -> Self:
        """The term at parameter vectors (Z, P)."""
        turn = -design.y * design.u
        plain = DataTerm.bent(slot, theta, Levels(values=design.y), theta[:, ZETA, None] * turn - design.y)
        return cls(**{field.name: getattr(plain, field.name) for field in fields(plain)}, turn=turn)

    def add_slope(self, jacobian: Array) -> None:
        """Write the term's derivatives into a Jacobian of the predicted loss, shape (Z, Q, n)."""
        super().add_slope(jacobian)
        jacobian[:, self.slot[ZETA]] = self.o * self.sigma * np.exp(self.b * self.z) * self.turn

    def add_curvature(self, hessian: Array, gradient: Array, pull: Array) -> None:
        """Add sum_i pull_i d2 rest_i to a Hessian (Z, Q, Q)."""
        super().add_curvature(hessian, gradient, pull)
        at = self.slot[ZETA]
        # dh / dzeta = sigma exp(b z) turn; once more by zeta it gains b turn, by sigma or e z, and sigma's own factor.
        slope = pull * self.o * np.exp(self.b * self.z) * self.turn
        hessian[:, at, at] += (slope * self.turn * self.sigma * self.b).sum(axis=1)
        for parameter, own in ((SIGMA, 1.0), (E, 0.0)):
            if parameter in self.slot:
                cross = (slope * (own + self.sigma * self.z)).sum(axis=1)
                hessian[:, at, self.slot[parameter]] += cross
                hessian[:, self.slot[parameter], at] += cross
