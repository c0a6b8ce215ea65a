"""What other setups say of a law: a weak log-normal prior on its two exponents and its floor.

Where runs are few or lie close together their fit may put the floor at 0 and let the exponents make up for it, which
predicts larger runs badly. The prior pulls towards what laws of other families have: an exponent of the loss in N
(k b_N) near 0.31, in D (k b_D) near 0.39, and a floor near 0.70 of the lowest loss, within factors of 1.55, 1.8 and
1.35, one standard deviation of the logarithm. The values were learned from tables of public runs of several families.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.fitting.coordinates import Array

NAMES = ("exponent of N", "exponent of D", "floor over the lowest loss")
CENTRES, FACTORS = (0.31, 0.39, 0.70), (1.55, 1.8, 1.35)
WORDS = "; ".join(
    f"{name} {centre:g} within a factor of {factor:g}"
    for name, centre, factor in zip(NAMES, CENTRES, FACTORS, strict=True)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSum:
    """A logarithm that the prior knows: sum_i a_i theta_i + sum_j w_j log(sum of a group's theta).

    Attributes:
        linear: parameters that are logarithms themselves, and their factors a.
        logs: groups of parameters whose sum's logarithm counts, and the factors w.
    """

    linear: tuple[tuple[int, float], ...] = ()
    logs: tuple[tuple[tuple[int, ...], float], ...] = ()

    def value(self, theta: Array) -> Array:
        """Its value at theta (B, P), shape (B,); minus infinity where a sum is 0."""
        with np.errstate(divide="ignore"):
            logs = [weight * np.log(theta[:, list(members)].sum(axis=1)) for members, weight in self.logs]
        return np.asarray(sum(factor * theta[:, one] for one, factor in self.linear) + sum(logs))

    def derivatives(self, theta: Array) -> tuple[Array, Array]:
        """Gradient (B, P) and Hessian (B, P, P)."""
        count, size = theta.shape
        gradient, hessian = np.zeros((count, size)), np.zeros((count, size, size))
        for one, factor in self.linear:
            gradient[:, one] += factor
        for members, weight in self.logs:
            rows = np.array(members)
            total = theta[:, rows].sum(axis=1, keepdims=True)
            gradient[:, rows] += weight / total
            hessian[:, rows[:, None], rows] -= (weight / total**2)[:, :, None]
        return gradient, hessian


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prior:
    """A quadratic penalty on logarithms: strength times the sum over them of ((g - centre) / width)^2 / 2.

    Attributes:
        terms: the J logarithms g.
        centre: shape (J,), or (B, J) where each problem has its own.
        width: standard deviations, shape (J,).
        strength: what half a squared standard deviation adds to the objective; of shape (B,) as `centre`.
    """

    terms: tuple[LogSum, ...]
    centre: Array
    width: Array
    strength: float | Array

    def take(self, rows: slice | NDArray[Any]) -> "Prior":
        """The prior of some of B problems."""
        strength = self.strength if np.ndim(self.strength) == 0 else np.asarray(self.strength)[rows]
        return replace(self, centre=self.centre if self.centre.ndim == 1 else self.centre[rows], strength=strength)

    def drawn(self, count: int, rng: np.random.Generator) -> "Prior":
        """The prior with `count` random centres, as likely as it says: what a refit may be pulled to."""
        return replace(self, centre=self.centre + self.width * rng.standard_normal((count, len(self.width))))

    def away(self, theta: Array) -> Array:
        """How many standard deviations the parameters (B, P) lie from the centre, shape (B, J)."""
        values = np.stack([term.value(theta) for term in self.terms], axis=1)
        return np.asarray((values - self.centre) / self.width)

    @np.errstate(divide="ignore", invalid="ignore")
    def derivatives(self, theta: Array) -> tuple[Array, Array, Array, Array]:
        """Value (B,), gradient (B, P), Hessian (B, P, P) and its part without second derivatives of g.

        At a bound a logarithm is infinite, and so is the value: no step ends there.
        """
        away = self.away(theta)
        count, size = theta.shape
        gradient = np.zeros((count, size))
        hessian, majorant = np.zeros((count, size, size)), np.zeros((count, size, size))
        for column, (term, width) in enumerate(zip(self.terms, self.width, strict=True)):
            first, second = term.derivatives(theta)
            pull = self.strength * away[:, column] / width
            gradient += pull[:, None] * first
            majorant += (np.asarray(self.strength)[..., None, None] / width**2) * first[:, :, None] * first[:, None, :]
            hessian += pull[:, None, None] * second
        value = 0.5 * self.strength * np.sum(away**2, axis=1)
        return value, gradient, hessian + majorant, majorant


def make_prior(terms: tuple[LogSum, LogSum, LogSum], lowest_loss: float, strength: float) -> Prior:
    """The prior on the logarithms of both exponents and of the floor, which is in nats."""
    centre = np.log(CENTRES) + np.array([0.0, 0.0, np.log(lowest_loss)])
    return Prior(terms=terms, centre=centre, width=np.log(FACTORS), strength=strength)
