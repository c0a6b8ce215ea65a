"""Penalties of a residual, one class each; `PENALTIES` lists them by the name that options and law files use.

A penalty H is even, H(0) = H'(0) = 0, and near 0 it is r^2 / 2. A new one: a class here, and a line in `PENALTIES`.

Source: Huber 1964, doi:10.1214/aoms/1177703732.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from sparseplan.laws.forms.fitting.coordinates import Array


class Penalty(ABC):
    """H(r) and what a solver needs of it; every method takes residuals of any shape and gives that shape."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def with_delta(cls, delta: float) -> Self:
        """The penalty that turns from square to something else at `delta`; one that never does ignores it."""

    @property
    def delta(self) -> float | None:
        """Where the penalty leaves the square; None where it never does."""
        return None

    @abstractmethod
    def value(self, r: Array) -> Array:
        """H(r)."""

    @abstractmethod
    def psi(self, r: Array) -> Array:
        """H'(r)."""

    @abstractmethod
    def weight(self, r: Array) -> Array:
        """H'(r) / r, in [0, 1]: the curvature of the parabola that touches H at r from above."""

    @abstractmethod
    def inliers(self, r: Array) -> Array:
        """H''(r), in [0, 1]: 1 for a residual that counts as a square, 0 for one that only pulls."""


@dataclass(frozen=True, slots=True)
class Huber(Penalty):
    """r^2 / 2 for |r| <= delta, else delta (|r| - delta / 2): a stray run pulls with a force that doesn't grow."""

    name: ClassVar[str] = "huber"
    delta: float = 1e-3

    @classmethod
    def with_delta(cls, delta: float) -> Self:
        """The Huber loss of this threshold."""
        return cls(delta)

    def value(self, r: Array) -> Array:
        """H(r)."""
        size = np.abs(r)
        inside = np.minimum(size, self.delta)
        return np.asarray(inside * (size - 0.5 * inside))

    def psi(self, r: Array) -> Array:
        """The residual, clipped to [-delta, delta]."""
        return np.clip(r, -self.delta, self.delta)

    def weight(self, r: Array) -> Array:
        """min(1, delta / |r|)."""
        return np.minimum(1.0, self.delta / np.maximum(np.abs(r), 1e-300))

    def inliers(self, r: Array) -> Array:
        """Whether |r| <= delta."""
        return np.asarray(np.abs(r) <= self.delta, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Squared(Penalty):
    """r^2 / 2 everywhere, so that the objective is half the mean square."""

    name: ClassVar[str] = "squared"

    @classmethod
    def with_delta(cls, delta: float) -> Self:  # noqa: ARG003 - it has none
        """The same, whatever the threshold."""
        return cls()

    def value(self, r: Array) -> Array:
        """H(r)."""
        return np.asarray(0.5 * r * r)

    def psi(self, r: Array) -> Array:
        """The residual itself."""
        return r

    def weight(self, r: Array) -> Array:
        """1."""
        return np.ones_like(r)

    def inliers(self, r: Array) -> Array:
        """1."""
        return np.ones_like(r)


PENALTIES: dict[str, type[Penalty]] = {penalty.name: penalty for penalty in (Huber, Squared)}
"""Every penalty by its name."""
