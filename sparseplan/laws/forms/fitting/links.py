"""From the sum of both terms to the loss: the sum itself, or z^k + c for the coupled forms.

With t = log k, M = z^k and a = log M:

    dL/dz = k M / z,  dL/dt = a M,  dL/dc = 1;   d2L/dz2 = k (k - 1) M / z^2,  d2L/dzdt = (1 + a) dL/dz,
    d2L/dt2 = (a + a^2) M
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.budget import Floats
from sparseplan.laws.forms.fitting.coordinates import FLOOR, LOG_K, Array


@dataclass(frozen=True, eq=False)
class Link:
    """The loss is the sum.

    Attributes:
        loss: predicted losses, shape (Z, n).
    """

    loss: Array

    def turn(self, jacobian: Array) -> None:
        """From derivatives of the sum by the free parameters, (Z, Q, n), to those of the loss, in place."""

    def pull_of_sum(self, pull: Array) -> Array:
        """`pull` per nat of the loss, (Z, n), as it acts on the second derivatives of the sum."""
        return pull

    def add_curvature(self, hessian: Array, jacobian: Array, pull: Array, scale: Floats) -> None:
        """Add sum_i pull_i (d2L_i - dL/dz d2z_i) to a Hessian (Z, Q, Q); `jacobian` times `scale` is the loss's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PowerLink(Link):
    """z^k + c.

    Attributes:
        slot: position of each free parameter in a gradient.
        k: shape (Z, 1).
        power, log_power: M and a, shape (Z, n).
        slope: dL/dz, shape (Z, n).
    """

    slot: dict[int, int]
    k: Array
    power: Array
    log_power: Array
    slope: Array

    @classmethod
    def at(cls, slot: dict[int, int], theta: Array, total: Array) -> Self:
        """The link at parameter vectors (Z, P) whose terms add up to `total` (Z, n)."""
        k = np.exp(theta[:, LOG_K, None])
        log_power = k * np.log(total)
        power = np.exp(log_power)
        return cls(
            loss=power + theta[:, FLOOR, None],
            slot=slot,
            k=k,
            power=power,
            log_power=log_power,
            slope=k * power / total,
        )

    def turn(self, jacobian: Array) -> None:
        """The chain rule for the sum's parameters, and the rows of k and c."""
        jacobian *= self.slope[:, None, :]
        jacobian[:, self.slot[LOG_K]] = self.log_power * self.power
        jacobian[:, self.slot[FLOOR]] = 1.0

    def pull_of_sum(self, pull: Array) -> Array:
        """Times dL/dz."""
        return pull * self.slope

    def add_curvature(self, hessian: Array, jacobian: Array, pull: Array, scale: Floats) -> None:
        """What z^k adds; c is linear."""
        at = self.slot[LOG_K]
        slots = [slot for parameter, slot in self.slot.items() if parameter not in (LOG_K, FLOOR)]
        # Views where the sum's parameters come first, as they do in a fit: no copy of the Jacobian.
        first = slots == list(range(len(slots)))
        inner: slice | NDArray[np.intp] = slice(0, len(slots)) if first else np.array(slots, dtype=np.intp)
        block = (slice(None), inner, inner) if isinstance(inner, slice) else (slice(None), inner[:, None], inner)
        rows = jacobian[:, inner]
        # d2L/dz2 dz dz' with dz = dL / slope. A trial step far out may overflow, and is refused for it.
        bend = pull * scale * (scale * (self.k - 1.0) / (self.k * self.power))
        hessian[block] += np.matmul(rows * bend[:, None, :], rows.transpose(0, 2, 1))
        mixed = np.matmul(rows, (pull * scale * (1.0 + self.log_power))[:, :, None])[:, :, 0]
        hessian[:, inner, at] += mixed
        hessian[:, at, inner] += mixed
        hessian[:, at, at] += np.sum(pull * self.power * self.log_power * (1.0 + self.log_power), axis=1)
