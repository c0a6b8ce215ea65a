"""Fit a form together with the rates R_N and R_D at which repeated data and size count, to runs that repeat data.

Effective data and size replace D and N in the form (`laws.forms.repeated`); the size that the unique data are enough
for follows from the form's own optimum, so that coefficients and rates are minimised together, over

    (free parameters of the form, ln R_N, ln R_D)     and, where repeated runs have several sparsities, ln of R(1)/R(0)

R(S) = R (1 + linear S) with linear = exp(t) - 1: above 0 at every S. B problems that differ in start or weights are
solved at once by Newton's method without the residuals' own curvature, damped by the majorant as in `solver`;
derivatives are central differences, which cost little beside the step.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseplan.fit.levels import count_levels
from sparseplan.fit.objective import Objective
from sparseplan.fit.solver import Solution
from sparseplan.laws.forms.fitting.base import FittedForm
from sparseplan.laws.forms.fitting.coordinates import Array, Design, make_design
from sparseplan.laws.forms.repeated import Rate, Repeated
from sparseplan.runs.table import Runs

RATE_BOUNDS = (0.1, 1e5)
_TILT = 3.0  # ln of R(1) / R(0) stays within this
_START = (1.0, 60.0)
_STEP = 1e-5
_TOLERANCE, _ACCEPTABLE = 1e-7, 1e-4
_MAX_ITERATIONS = 300
_MAX_DAMPING = 1e12
_EDGE = 1e-6
_EXACT = 1e-8  # residuals this small are those of the differences: the law meets the runs
_CHUNK = 400_000  # numbers of one evaluation


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rates:
    """Fitted rates: ln R_N, ln R_D, and ln of R_N(1)/R_N(0) and R_D(1)/R_D(0) where they vary, shape (..., 2 or 4)."""

    logs: Array

    @property
    def R_N(self) -> Rate:
        """Of size."""
        return self._rate(0)

    @property
    def R_D(self) -> Rate:
        """Of data."""
        return self._rate(1)

    def _rate(self, which: int) -> Rate:
        if self.logs.shape[-1] == 2:
            return Rate(np.exp(self.logs[..., which]))
        return Rate(np.exp(self.logs[..., which]), np.expm1(self.logs[..., 2 + which]))

    def bounds_hit(self) -> tuple[str, ...]:
        """The rates that ended at the edge of what is searched."""
        low, high = np.log(RATE_BOUNDS)
        pairs = zip(("R_N", "R_D"), self.logs[:2], strict=True)
        return tuple(name for name, value in pairs if not low + _EDGE < value < high - _EDGE)


def repeats_data(runs: Runs) -> NDArray[np.bool_]:
    """Which runs see some of their data more than once, shape (n,)."""
    if runs.unique_data is None:
        return np.zeros(len(runs), dtype=np.bool_)
    return np.asarray(runs.data_seen > runs.unique_data * (1.0 + 1e-9))


def limit_to(
    fitted: FittedForm, design: Design, theta: Array, rates: Rates, runs: Runs
) -> list[tuple[NDArray[np.intp], Repeated]]:
    """The law of parameter vectors (..., P) for each family of some runs: the runs' places, and the law there."""
    assert runs.unique_data is not None
    wide = Rates(logs=rates.logs[..., None, :])
    family = np.array(
        [design.families.index(name) if S > 0 else 0 for name, S in zip(runs.family, runs.sparsity, strict=True)]
    )
    found: list[tuple[NDArray[np.intp], Repeated]] = []
    for index in range(len(design.families)) or (None,):
        rows: NDArray[np.intp] = np.flatnonzero(family == (index or 0))
        law = fitted.coefficients(design, theta[..., None, :], index)
        found.append((rows, Repeated(law, wide.R_N, wide.R_D, runs.unique_data[rows])))
    return found


def predicted(fitted: FittedForm, design: Design, theta: Array, rates: Rates, runs: Runs) -> Array:
    """Losses of the runs under parameter vectors (..., P) and rates (..., R), shape (..., n)."""
    losses = np.empty((*theta.shape[:-1], len(runs)))
    for rows, law in limit_to(fitted, design, theta, rates, runs):
        losses[..., rows] = law.loss(runs.sparsity[rows], runs.nonzero_params[rows], runs.data_seen[rows])
    return losses


def effective_design(fitted: FittedForm, design: Design, theta: Array, rates: Rates, runs: Runs) -> Design:
    """The runs at their effective size and data under one parameter vector (P,), in the same coordinates."""
    N, D = np.empty(len(runs)), np.empty(len(runs))
    for rows, law in limit_to(fitted, design, theta, rates, runs):
        S = runs.sparsity[rows]
        N[rows] = law.effective_size(S, runs.nonzero_params[rows])
        D[rows] = law.effective_data(S, runs.data_seen[rows])
    return make_design(runs.sparsity, N, D, runs.family, like=design)


def rates_vary(runs: Runs) -> bool:
    """Whether the runs that repeat data have several sparsities, so that the rates may depend on it."""
    repeated = repeats_data(runs)
    return count_levels(-np.log1p(-runs.sparsity[repeated])) > 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Joint:
    """What is minimised: the mean penalty over form and rates.

    Attributes:
        fitted: the form.
        design: the runs' places in D and N as they are, the coordinates of theta.
        free: the form's parameters to vary.
        objective: penalty and kind of residual.
        runs: with unique data.
    """

    fitted: FittedForm
    design: Design
    free: tuple[int, ...]
    objective: Objective
    runs: Runs

    def starts(self, theta: Array, rng: np.random.Generator) -> Array:
        """The form's starts (B, P) with rates of their own: vectors (B, P + R)."""
        count = len(theta)
        logs = rng.uniform(np.log(_START[0]), np.log(_START[1]), size=(count, 2))
        tilts = np.zeros((count, 2 if rates_vary(self.runs) else 0))
        return np.concatenate([theta, logs, tilts], axis=1)

    def split(self, vector: Array) -> tuple[Array, Rates]:
        """A vector's parameters of the form, and its rates."""
        return vector[..., : self.design.size], Rates(logs=vector[..., self.design.size :])

    def solve(self, starts: Array, weights: Array) -> tuple[Array, Solution]:
        """Minimise from each start (B, P + R) with its weights (B, n); the vectors, and what is known of them."""
        size = max(1, _CHUNK // len(self.runs))
        parts = [self._solve(starts[i : i + size], weights[i : i + size]) for i in range(0, len(starts), size)]
        vector, value, cosine, iterations = (np.concatenate(part) for part in zip(*parts, strict=True))
        return vector, Solution(
            theta=vector[:, : self.design.size],
            value=np.where(value <= self._exact(weights), 0.0, value),
            gradient=cosine,
            converged=(cosine <= _ACCEPTABLE) | (value <= self._exact(weights)),
            iterations=iterations,
        )

    def _exact(self, weights: Array) -> Array:
        """The objective that counts as no residual at all, shape (B,)."""
        scale = 1.0 if self.objective.residual == "log" else float(np.mean(np.abs(self.runs.loss)))
        return np.asarray(self.objective.penalty.value(np.asarray(_EXACT * scale)) * weights.sum(axis=-1))

    def _residuals(self, vector: Array) -> Array:
        theta, rates = self.split(vector)
        with np.errstate(all="ignore"):
            losses = predicted(self.fitted, self.design, theta, rates, self.runs)
            return self.objective.residuals(losses, self.runs.loss)

    def _solve(self, starts: Array, weights: Array) -> tuple[Array, Array, Array, NDArray[np.int64]]:
        columns, low, high = self._bounds(starts.shape[1])
        vector = starts.copy()
        vector[:, columns] = np.clip(vector[:, columns], low, high)
        penalty, index = self.objective.penalty, np.arange(len(columns))
        residual = self._residuals(vector)
        value = np.sum(weights * penalty.value(residual), axis=1)
        damping, cosine = np.ones(len(vector)), np.full(len(vector), np.inf)
        iterations = np.zeros(len(vector), dtype=np.int64)
        live, exact = np.arange(len(vector)), self._exact(weights)
        for _ in range(_MAX_ITERATIONS):
            J, w, r = self._jacobian(vector[live], columns), weights[live], residual[live]
            gradient = np.einsum("bqn,bn->bq", J, w * penalty.psi(r))
            majorant = np.einsum("bqn,bn,bpn->bqp", J, w * penalty.weight(r), J, optimize=True)
            curvature = np.einsum("bqn,bn,bpn->bqp", J, w * penalty.inliers(r), J, optimize=True)
            point = vector[np.ix_(live, columns)]
            held = ((point <= low) & (gradient > 0)) | ((point >= high) & (gradient < 0))
            diagonal = np.einsum("bqq->bq", majorant)
            with np.errstate(all="ignore"):
                slope = np.abs(gradient) / np.sqrt(2.0 * diagonal * value[live, None])
            cosine[live] = np.where(held | (diagonal == 0.0), 0.0, slope).max(axis=1)
            going = (cosine[live] > _TOLERANCE) & (damping[live] < _MAX_DAMPING) & np.isfinite(value[live])
            going &= value[live] > exact[live]
            if not going.any():
                break
            live, J, gradient, held = live[going], J[going], gradient[going], held[going]
            majorant, curvature, diagonal, point = majorant[going], curvature[going], diagonal[going], point[going]
            matrix = curvature + damping[live, None, None] * majorant
            matrix[:, index, index] += 1e-3 * damping[live, None] * diagonal + 1e-12 * diagonal.max(axis=1)[:, None]
            matrix[held[:, :, None] | held[:, None, :]] = 0.0
            matrix[:, index, index] += np.where(held, 1.0, 0.0)
            step = -np.linalg.solve(matrix, np.where(held, 0.0, gradient)[:, :, None])[:, :, 0]
            trial = vector[live]
            trial[:, columns] = np.clip(point + step, low, high)
            there = self._residuals(trial)
            reached = np.sum(weights[live] * penalty.value(there), axis=1)
            better = np.isfinite(reached) & (reached < value[live])
            rows = live[better]
            vector[rows], residual[rows], value[rows] = trial[better], there[better], reached[better]
            damping[live] = np.maximum(damping[live] * np.where(better, 0.2, 5.0), 1e-10)
            iterations[live] += 1
        return vector, value, cosine, iterations

    def _bounds(self, size: int) -> tuple[NDArray[np.intp], Array, Array]:
        """The columns that are varied, with their ends."""
        P = self.design.size
        columns = np.array([*self.free, *range(P, size)], dtype=np.intp)
        low, high = (bound[list(self.free)] for bound in self.design.bounds())
        tilts = np.full(size - P - 2, _TILT)
        ends = np.log(RATE_BOUNDS)
        return (
            columns,
            np.concatenate([low, [ends[0]] * 2, -tilts]),
            np.concatenate([high, [ends[1]] * 2, tilts]),
        )

    def _jacobian(self, vector: Array, columns: NDArray[np.intp]) -> Array:
        """Derivatives of the residuals by the varied columns, shape (B, Q, n)."""
        J = np.empty((len(vector), len(columns), len(self.runs)))
        for slot, column in enumerate(columns):
            up, down = vector.copy(), vector.copy()
            up[:, column] += _STEP
            down[:, column] -= _STEP
            J[:, slot] = (self._residuals(up) - self._residuals(down)) / (2.0 * _STEP)
        return np.nan_to_num(J, nan=0.0, posinf=0.0, neginf=0.0)
