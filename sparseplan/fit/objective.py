"""What a fit minimises, with exact first and second derivatives for many parameter vectors at once.

    objective = sum_i w_i H(r_i),  w_i = 1/n,  r = log L_predicted - log L (or the plain difference)
    H(r) = r^2 / 2 for |r| <= delta, else delta (|r| - delta / 2)

Squared error is delta = infinity, so its objective is half the mean square. With a small delta the objective is close
to the mean absolute residual times delta, whose curvature is all in the few runs inside delta; the second derivatives
of the model then matter, and are here too.

Source: Frantar et al. 2023, arXiv:2309.08520; Huber 1964, doi:10.1214/aoms/1177703732.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparseplan.fit.coordinates import (
    B_N,
    BASE,
    ETA,
    LOG_F,
    LOG_O,
    SIGMA,
    ZETA,
    Array,
    Design,
    E,
    Levels,
    expm1_ratio,
    kappa_of,
)

Residual = Literal["log", "plain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """Mean Huber loss on log or plain residuals; `huber_delta` infinite means squared error."""

    residual: Residual = "log"
    huber_delta: float = 1e-3

    @property
    def loss(self) -> Literal["huber", "squared"]:
        """Name of the loss."""
        return "squared" if math.isinf(self.huber_delta) else "huber"

    def residuals(self, predicted: Array, measured: Array) -> Array:
        """Residuals r; the arguments broadcast."""
        return np.asarray(np.log(predicted / measured) if self.residual == "log" else predicted - measured)

    def apply(self, predicted: Array, residual: Array) -> Array:
        """The loss that was measured if `predicted` leaves this residual: the inverse of `residuals`."""
        return np.asarray(predicted * np.exp(-residual) if self.residual == "log" else predicted - residual)

    def penalty(self, residual: Array) -> Array:
        """H(r)."""
        size = np.abs(residual)
        if math.isinf(self.huber_delta):
            return np.asarray(0.5 * size * size)
        inside = np.minimum(size, self.huber_delta)
        return np.asarray(inside * (size - 0.5 * inside))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curvature:
    """Objective and derivatives for B parameter vectors, by their Q free parameters.

    Attributes:
        value: objective, shape (B,).
        gradient: shape (B, Q).
        hessian: exact second derivatives, shape (B, Q, Q).
        majorant: sum_i w_i min(1, delta / |r_i|) J_i J_i', shape (B, Q, Q): positive semidefinite, and for a linear
            model the curvature of a parabola that touches the objective from above.
    """

    value: Array
    gradient: Array
    hessian: Array
    majorant: Array

    def replaced(self, rows: NDArray[np.bool_], other: "Curvature") -> "Curvature":
        """The same, with `rows` taken from `other`."""
        matrix = rows[:, None, None]
        return Curvature(
            value=np.where(rows, other.value, self.value),
            gradient=np.where(rows[:, None], other.gradient, self.gradient),
            hessian=np.where(matrix, other.hessian, self.hessian),
            majorant=np.where(matrix, other.majorant, self.majorant),
        )

    def take(self, rows: NDArray[np.bool_]) -> "Curvature":
        """Only `rows`."""
        return Curvature(
            value=self.value[rows],
            gradient=self.gradient[rows],
            hessian=self.hessian[rows],
            majorant=self.majorant[rows],
        )


def evaluate(
    objective: Objective, design: Design, free: tuple[int, ...], theta: Array, measured: Array, weights: Array
) -> Curvature:
    """Objective, gradient and curvature; theta (B, P), measured and weights (B, n) or (1, n)."""
    slot = {parameter: position for position, parameter in enumerate(free)}
    predicted, jacobian, capacity_parts, data_parts = _linearised(objective, design, slot, theta)
    r = objective.residuals(predicted, measured)
    size = np.abs(r)
    delta = objective.huber_delta
    psi = weights * np.clip(r, -delta, delta)
    inner = weights * (size <= delta)
    shrunk = weights * np.minimum(1.0, delta / np.maximum(size, 1e-300))
    pull = psi
    if objective.residual == "log":  # d2 log P = d2 P / P - (dP / P)(dP / P)'
        pull = psi / predicted
        inner = inner - psi
    transposed = jacobian.transpose(0, 2, 1)
    hessian = np.matmul(jacobian * inner[:, None, :], transposed)
    gradient = np.matmul(jacobian, psi[:, :, None])[:, :, 0]
    _add_capacity_curvature(design, slot, hessian, jacobian, gradient, psi, pull, capacity_parts)
    _add_data_curvature(slot, hessian, gradient, pull, data_parts)
    return Curvature(
        value=np.sum(weights * objective.penalty(r), axis=1),
        gradient=gradient,
        hessian=hessian,
        majorant=np.matmul(jacobian * shrunk[:, None, :], transposed),
    )


def residual_jacobian(objective: Objective, design: Design, free: tuple[int, ...], theta: Array) -> Array:
    """Derivatives of each run's residual by the free parameters; theta of shape (P,) gives (n, Q)."""
    slot = {parameter: position for position, parameter in enumerate(free)}
    return np.asarray(_linearised(objective, design, slot, theta[None])[1][0].T)


def _linearised(
    objective: Objective, design: Design, slot: dict[int, int], theta: Array
) -> "tuple[Array, Array, _CapacityParts, _DataParts]":
    """Predicted losses (B, n), derivatives of the residuals (B, Q, n), and what second derivatives need."""
    jacobian = np.zeros((len(theta), len(slot), len(design.x)))
    capacity, capacity_parts = _capacity(design, theta, slot, jacobian)
    data, data_parts = _data(design, theta, slot, jacobian)
    predicted = capacity + data
    if objective.residual == "log":
        jacobian /= predicted[:, None, :]
    return predicted, jacobian, capacity_parts, data_parts


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _CapacityParts:
    """The capacity term of dense runs (B, n), and at u levels (B, m) kappa and B's derivatives."""

    term: Array
    kappa: Array
    B1: Array
    B2: Array


def _capacity(design: Design, theta: Array, slot: dict[int, int], jacobian: Array) -> tuple[Array, _CapacityParts]:
    """The capacity term (B, n), its derivatives into the Jacobian, and what its second derivatives need."""
    term = design.x_levels.scatter(np.exp(theta[:, LOG_F, None] - theta[:, B_N, None] * design.x_levels.values))
    if ETA in slot:
        term = term * np.exp(-theta[:, ETA, None] * design.u * design.x)
    if design.families:
        levels, owner = design.u_levels, design.level_family
        kappa = theta[:, len(BASE) :: 2][:, owner]
        B, B1, B2 = expm1_ratio(kappa, theta[:, len(BASE) + 1 :: 2][:, owner], levels.values)
        value = term * levels.scatter(1.0 + kappa * B)
        parts = _CapacityParts(term=term, kappa=kappa, B1=B1, B2=B2)
        for family in range(len(design.families)):
            own = owner == family
            if (at := slot.get(kappa_of(family))) is not None:
                jacobian[:, at] = term * levels.scatter(own * (B + kappa * B1))
            if (at := slot.get(kappa_of(family) + 1)) is not None:
                jacobian[:, at] = term * levels.scatter(own * (kappa * B1))
    else:
        none = np.zeros((1, 1))
        value, parts = term, _CapacityParts(term=term, kappa=none, B1=none, B2=none)
    for parameter, factor in _exponents(design).items():
        if parameter in slot:
            jacobian[:, slot[parameter]] = value * factor
    return value, parts


def _exponents(design: Design) -> dict[int, Array]:
    """Parameters that stand in the capacity term's exponent, and what they are multiplied with there."""
    return {LOG_F: np.ones_like(design.x), B_N: -design.x, ETA: -design.u * design.x}


def _add_capacity_curvature(
    design: Design,
    slot: dict[int, int],
    hessian: Array,
    jacobian: Array,
    gradient: Array,
    psi: Array,
    pull: Array,
    parts: _CapacityParts,
) -> None:
    exponents = {parameter: factor for parameter, factor in _exponents(design).items() if parameter in slot}
    families = [slot[parameter] for parameter in range(len(BASE), design.size) if parameter in slot]
    touched = [*(slot[parameter] for parameter in exponents), *families]
    # A parameter in the exponent multiplies every derivative of the term by its factor, which is 1 for log F.
    for parameter, factor in exponents.items():
        row = gradient if parameter == LOG_F else np.matmul(jacobian, (psi * factor)[:, :, None])[:, :, 0]
        at = slot[parameter]
        hessian[:, at, touched] += row[:, touched]
        hessian[:, families, at] += row[:, families]
    if not families:
        return
    bend = design.u_levels.gather(pull * parts.term)
    first, second = bend * parts.B1, bend * parts.kappa * parts.B2
    for family in range(len(design.families)):
        if kappa_of(family) in slot:
            own = design.level_family == family
            s1, s2 = first[:, own].sum(axis=1), second[:, own].sum(axis=1)
            _add_bend(hessian, slot[kappa_of(family)], slot[kappa_of(family) + 1], s1, s2)


def _add_bend(hessian: Array, p: int, q: int, s1: Array, s2: Array) -> None:
    """Second derivatives of p B(p + q), summed over runs: B1 gives s1, p B2 gives s2."""
    hessian[:, p, p] += 2.0 * s1 + s2
    hessian[:, p, q] += s1 + s2
    hessian[:, q, p] += s1 + s2
    hessian[:, q, q] += s2


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _DataParts:
    """Parameters (B, 1), and at the levels of z (B, m) z, its derivative by zeta, and C's derivatives."""

    levels: Levels
    o: Array
    sigma: Array
    b: Array
    z: Array
    turn: Array
    C1: Array
    C2: Array


def _data(design: Design, theta: Array, slot: dict[int, int], jacobian: Array) -> tuple[Array, _DataParts]:
    """The rest of the loss (B, n), its derivatives into the Jacobian, and what its second derivatives need."""
    o, sigma, e = np.exp(theta[:, LOG_O, None]), theta[:, SIGMA, None], theta[:, E, None]
    levels = Levels(values=design.y) if ZETA in slot else design.y_levels
    turn = -design.y * design.u  # dz / dzeta
    z = -levels.values[None, :] + (theta[:, ZETA, None] * turn if ZETA in slot else 0.0)
    C, C1, C2 = expm1_ratio(sigma, e, z)
    value = levels.scatter(o * (1.0 + sigma * C))
    slope = o * sigma * C1
    for parameter, column in ((SIGMA, o * C + slope), (E, slope)):
        if parameter in slot:
            jacobian[:, slot[parameter]] = levels.scatter(column)
    if LOG_O in slot:
        jacobian[:, slot[LOG_O]] = value
    if ZETA in slot:
        jacobian[:, slot[ZETA]] = o * sigma * np.exp((sigma + e) * z) * turn
    return value, _DataParts(levels=levels, o=o, sigma=sigma, b=sigma + e, z=z, turn=turn, C1=C1, C2=C2)


def _add_data_curvature(slot: dict[int, int], hessian: Array, gradient: Array, pull: Array, parts: _DataParts) -> None:
    if LOG_O in slot:
        others = [slot[parameter] for parameter in (SIGMA, E, ZETA) if parameter in slot]
        hessian[:, slot[LOG_O], slot[LOG_O]] += gradient[:, slot[LOG_O]]
        hessian[:, slot[LOG_O], others] += gradient[:, others]
        hessian[:, others, slot[LOG_O]] += gradient[:, others]
    bend = parts.levels.gather(pull) * parts.o
    if SIGMA in slot and E in slot:
        s1, s2 = (bend * parts.C1).sum(axis=1), (bend * parts.sigma * parts.C2).sum(axis=1)
        _add_bend(hessian, slot[SIGMA], slot[E], s1, s2)
    if ZETA in slot:
        at = slot[ZETA]
        slope = bend * np.exp(parts.b * parts.z) * parts.turn
        hessian[:, at, at] += (slope * parts.turn * parts.sigma * parts.b).sum(axis=1)
        for parameter, own in ((SIGMA, 1.0), (E, 0.0)):
            if parameter in slot:
                cross = (slope * (own + parts.sigma * parts.z)).sum(axis=1)
                hessian[:, at, slot[parameter]] += cross
                hessian[:, slot[parameter], at] += cross
