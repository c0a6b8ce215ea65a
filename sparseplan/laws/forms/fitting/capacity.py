"""The capacity term of the law in the solver's coordinates: value, slope and curvature.

    capacity = exp(log F - b_N x) h,   h = 1 + kappa B(kappa + epsilon; u),   B(b; t) = (exp(b t) - 1) / b

Two facts make its derivatives short. A parameter of the exponent (log F, b_N) multiplies the term, and so each of its
derivatives, by a factor that is known per run (1, -x). And h depends on S only, so that B is computed once per level
of S, of which a grid has a handful.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from sparseplan.laws.forms.fitting.coordinates import B_N, BASE, LOG_F, Array, Design, expm1_ratio, kappa_of


def add_bend(hessian: Array, p: int, q: int | None, s1: Array, s2: Array) -> None:
    """Add the second derivatives of p B(p + q), summed over runs: those of B' are s1, of p B'' are s2, shape (Z,).

    d/dp = B + p B', d/dq = p B', hence d2/dp2 = 2 B' + p B'', d2/dpdq = B' + p B'', d2/dq2 = p B''. A q that isn't
    varied is None.
    """
    hessian[:, p, p] += 2.0 * s1 + s2
    if q is None:
        return
    hessian[:, p, q] += s1 + s2
    hessian[:, q, p] += s1 + s2
    hessian[:, q, q] += s2


@dataclass(eq=False)
class CapacityTerm:
    """The term at Z parameter vectors and n runs, m levels of S.

    Attributes:
        design: where the runs are.
        slot: position of each free parameter in a gradient.
        factors: what each parameter of the exponent multiplies the term by when it is differentiated, shape (n,).
        dense: the term without h, shape (Z, n).
        value: the term, shape (Z, n).
        kappa, B, B1, B2: kappa and B with its derivatives by b at the levels of S, shape (Z, m); empty without
            sparse runs, where h = 1.
    """

    design: Design
    slot: dict[int, int]
    factors: dict[int, Array]
    dense: Array
    value: Array
    kappa: Array
    B: Array
    B1: Array
    B2: Array

    @classmethod
    def at(cls, design: Design, slot: dict[int, int], theta: Array) -> Self:
        """The term of the law itself, where eta is 0."""
        factors = {LOG_F: np.ones_like(design.x), B_N: -design.x}
        dense = design.x_levels.scatter(np.exp(theta[:, LOG_F, None] - theta[:, B_N, None] * design.x_levels.values))
        return cls.with_shape(design, slot, theta, dense, factors)

    @classmethod
    def with_shape(
        cls, design: Design, slot: dict[int, int], theta: Array, dense: Array, factors: dict[int, Array]
    ) -> Self:
        """The term from what it is without h."""
        if not design.families:
            none = np.zeros((len(theta), 0))
            return cls(design, slot, factors, dense, dense, none, none, none, none)
        levels, owner = design.u_levels, design.level_family
        kappa = theta[:, len(BASE) :: 2][:, owner]
        B, B1, B2 = expm1_ratio(kappa, theta[:, len(BASE) + 1 :: 2][:, owner], levels.values)
        value = dense * levels.scatter(1.0 + kappa * B)
        return cls(design, slot, factors, dense, value, kappa, B, B1, B2)

    def add_slope(self, jacobian: Array) -> None:
        """Write the term's derivatives into a Jacobian of the predicted loss, shape (Z, Q, n)."""
        for parameter, factor in self.factors.items():
            if parameter in self.slot:
                jacobian[:, self.slot[parameter]] = self.value * factor
        levels = self.design.u_levels
        for family in range(len(self.design.families)):
            own = self.design.level_family == family
            if (at := self.slot.get(kappa_of(family))) is not None:
                jacobian[:, at] = self.dense * levels.scatter(own * (self.B + self.kappa * self.B1))
            if (at := self.slot.get(kappa_of(family) + 1)) is not None:
                jacobian[:, at] = self.dense * levels.scatter(own * (self.kappa * self.B1))

    def add_curvature(self, hessian: Array, jacobian: Array, gradient: Array, psi: Array, pull: Array) -> None:
        """Add sum_i pull_i d2 capacity_i to a Hessian (Z, Q, Q).

        Args:
            hessian: what is added to.
            jacobian: derivatives of the residuals, (Z, Q, n).
            gradient: of the objective, (Z, Q).
            psi: weight times H'(r), (Z, n), so that `jacobian @ psi` is the gradient.
            pull: the same per nat of predicted loss, (Z, n).
        """
        exponents = {parameter: factor for parameter, factor in self.factors.items() if parameter in self.slot}
        families = [self.slot[parameter] for parameter in range(len(BASE), self.design.size) if parameter in self.slot]
        touched = [*(self.slot[parameter] for parameter in exponents), *families]
        # d2 / dp dq of the term is factor_p times its derivative by q: a gradient whose runs are weighted by factor_p.
        for parameter, factor in exponents.items():
            row = gradient if parameter == LOG_F else np.matmul(jacobian, (psi * factor)[:, :, None])[:, :, 0]
            at = self.slot[parameter]
            hessian[:, at, touched] += row[:, touched]
            hessian[:, families, at] += row[:, families]
        if not families:
            return
        bend = self.design.u_levels.gather(pull * self.dense)
        first, second = bend * self.B1, bend * self.kappa * self.B2
        for family in range(len(self.design.families)):
            if kappa_of(family) in self.slot:
                own = self.design.level_family == family
                s1, s2 = first[:, own].sum(axis=1), second[:, own].sum(axis=1)
                add_bend(hessian, self.slot[kappa_of(family)], self.slot[kappa_of(family) + 1], s1, s2)
