"""The objective with exact first and second derivatives, at many parameter vectors at once.

    gradient = sum_i w_i H'(r_i) J_i,   Hessian = sum_i w_i [H''(r_i) J_i J_i' + H'(r_i) d2 r_i],   J_i = d r_i

Under a Huber loss with a small delta few runs have H'' > 0, so the second term is not the small correction that
Gauss-Newton takes it for: without it no step is right. For log residuals d2 r = d2 L / L - J J', so what the terms
of the law add per nat of loss is pulled by H' / L, and J J' once more goes into the first sum.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseplan.fit.objective import Problem
from sparseplan.laws.forms.fitting.capacity import CapacityTerm
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.laws.forms.fitting.data import DataTerm
from sparseplan.laws.forms.fitting.links import Link
from sparseplan.laws.forms.fitting.terms import link_at, terms_at


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curvature:
    """Objective and derivatives for B parameter vectors, by their Q free parameters.

    Attributes:
        value: objective, shape (B,).
        gradient: shape (B, Q).
        hessian: exact second derivatives, shape (B, Q, Q).
        majorant: sum_i w_i (H'(r_i) / r_i) J_i J_i', shape (B, Q, Q): positive semidefinite, and for a linear model
            the curvature of a parabola that touches the objective from above.
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


def evaluate(problem: Problem, theta: Array) -> Curvature:
    """Objective, gradient and curvature at theta, shape (B, P); the problem's arrays are shared or of B rows."""
    penalty, weights = problem.objective.penalty, problem.weights
    capacity, data, link, jacobian = _linearised(problem, theta)
    predicted = link.loss
    r = problem.objective.residuals(predicted, problem.measured)
    psi = weights * penalty.psi(r)
    inner = weights * penalty.inliers(r)
    pull, scale = psi, np.asarray(1.0)
    if problem.objective.residual == "log":
        pull, scale = psi / predicted, predicted
        inner = inner - psi
    # Sums over runs as matrix products (B, Q, n) (B, n, Q): nearly all the time of a fit is spent in these two.
    transposed = jacobian.transpose(0, 2, 1)
    hessian = np.matmul(jacobian * inner[:, None, :], transposed)
    majorant = np.matmul(jacobian * (weights * penalty.weight(r))[:, None, :], transposed)
    gradient = np.matmul(jacobian, psi[:, :, None])[:, :, 0]
    of_sum = link.pull_of_sum(pull)
    capacity.add_curvature(hessian, jacobian, gradient, psi, of_sum)
    data.add_curvature(hessian, gradient, of_sum)
    link.add_curvature(hessian, jacobian, pull, scale)
    value = np.sum(weights * penalty.value(r), axis=1)
    if problem.prior is not None:
        columns = problem.columns
        own = problem.prior.derivatives(theta)
        value = value + own[0]
        gradient += own[1][:, columns]
        hessian += own[2][:, columns[:, None], columns]
        majorant += own[3][:, columns[:, None], columns]
    return Curvature(value=value, gradient=gradient, hessian=hessian, majorant=majorant)


def residual_jacobian(problem: Problem, theta: Array) -> Array:
    """Derivatives of each run's residual by the free parameters; theta of shape (P,) gives (n, Q)."""
    return np.asarray(_linearised(problem, theta[None])[3][0].T)


def _linearised(problem: Problem, theta: Array) -> tuple[CapacityTerm, DataTerm, Link, Array]:
    """Both terms, what makes losses of their sum, and the derivatives of the residuals (B, Q, n)."""
    slot = problem.slot
    capacity, data = terms_at(problem.design, slot, theta)
    link = link_at(slot, theta, capacity.value + data.value)
    jacobian = np.zeros((len(theta), len(slot), len(problem.design.x)))
    capacity.add_slope(jacobian)
    data.add_slope(jacobian)
    link.turn(jacobian)
    if problem.objective.residual == "log":
        jacobian /= link.loss[:, None, :]
    return capacity, data, link, jacobian
