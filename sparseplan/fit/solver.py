"""Minimise many objectives at once: Newton steps damped by the majorant, kept inside bounds.

One call solves B problems that share their runs' places but may differ in start, weights and measured losses (many
starts, bootstrap replicates, leave-one-out refits). Each step solves

    (H + lambda (M + diag)) step = -gradient

over the parameters that aren't held at a bound, H the exact Hessian and M the majorant: lambda near 0 is Newton's
method and converges quadratically, a large lambda is a short step that must descend. M is the metric of the problem
itself, so that no unit matters. A problem leaves the batch when its gradient vanishes.

Source: Levenberg 1944 and Marquardt 1963 for the damping, with the majorant of a robust penalty (Huber 1981, Robust
Statistics, section 7.8) where they have J'J; Nocedal & Wright 2006, chapters 4 and 16, for trust and active bounds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseplan.fit.derivatives import Curvature, evaluate
from sparseplan.fit.objective import Problem
from sparseplan.laws.forms.fitting.coordinates import Array

TOLERANCE = 1e-9
SAME_MINIMUM = 1e-6
MAX_ITERATIONS = 400
_ACCEPTABLE = 1e-6
_EXACT = 1e-13
_MAX_DAMPING = 1e14
_CHUNK_NUMBERS = 500_000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Solution:
    """Minima of B problems.

    Attributes:
        theta: parameters, shape (B, P).
        value: objective, shape (B,).
        gradient: cosine between the residuals and the model's surface, the largest over the free parameters that no
            bound holds: 0 at a minimum, about 1 where a step would mend everything. Shape (B,).
        converged: whether the gradient vanished, or the model meets every run exactly. Shape (B,).
        iterations: shape (B,).
    """

    theta: Array
    value: Array
    gradient: Array
    converged: NDArray[np.bool_]
    iterations: NDArray[np.int64]

    def take(self, rows: slice) -> "Solution":
        """Some of the B problems."""
        return Solution(
            theta=self.theta[rows],
            value=self.value[rows],
            gradient=self.gradient[rows],
            converged=self.converged[rows],
            iterations=self.iterations[rows],
        )


def solve(
    problem: Problem,
    starts: Array,
    *,
    tolerance: float = TOLERANCE,
    rivals: NDArray[np.intp] | None = None,
    most: int = MAX_ITERATIONS,
) -> Solution:
    """Minimise from each start.

    Args:
        problem: what to minimise: one problem for all starts, or one for each.
        starts: shape (B, P); parameters that aren't free keep their start's value.
        tolerance: largest `Solution.gradient` of a solved problem.
        rivals: numbers of shape (B,), equal where starts are of one and the same problem. Once half of them agree on
            the lowest minimum, the others get half as many iterations again, and count as not converged after that.
            None: each is a problem of its own.
        most: iterations after which a problem counts as not converged.

    Memory stays bounded: problems are taken in chunks of about 500,000 Jacobian entries, which also fit a cache.
    """
    chunk = max(1, _CHUNK_NUMBERS // (len(problem.free) * len(problem.design.x)))
    parts = [
        _solve_chunk(problem.take(slice(i, i + chunk)), starts[i : i + chunk], tolerance, _part(rivals, i, chunk), most)
        for i in range(0, len(starts), chunk)
    ]
    return Solution(
        theta=np.concatenate([part.theta for part in parts]),
        value=np.concatenate([part.value for part in parts]),
        gradient=np.concatenate([part.gradient for part in parts]),
        converged=np.concatenate([part.converged for part in parts]),
        iterations=np.concatenate([part.iterations for part in parts]),
    )


def _part(rivals: NDArray[np.intp] | None, start: int, count: int) -> NDArray[np.intp] | None:
    """The rivals of some rows, numbered from 0."""
    return None if rivals is None else np.unique(rivals[start : start + count], return_inverse=True)[1].reshape(-1)


@np.errstate(over="ignore", invalid="ignore")  # a trial step far out may overflow, and is refused for it
def _solve_chunk(
    problem: Problem, starts: Array, tolerance: float, rivals: NDArray[np.intp] | None, most: int
) -> Solution:
    """Minimise from starts (B, P) that fit into memory together; the arrays below have one entry or row a start."""
    columns = problem.columns
    low, high = (bound[columns] for bound in problem.design.bounds())
    theta = starts.copy()
    theta[:, columns] = np.clip(theta[:, columns], low, high)
    # Residuals this small are rounding: the model meets the runs exactly and no gradient can be told from noise.
    objective = problem.objective
    scale = 1.0 if objective.residual == "log" else np.mean(np.abs(problem.measured), axis=-1)
    exact = np.broadcast_to(
        objective.penalty.value(np.asarray(_EXACT * scale)) * problem.weights.sum(axis=-1), (len(theta),)
    )

    value, cosine = np.empty(len(theta)), np.empty(len(theta))
    iterations = np.zeros(len(theta), dtype=np.int64)
    damping = np.ones(len(theta))
    live = np.arange(len(theta))  # the starts still under way; `here`, `point`, `held` have rows for these only
    last = np.full(len(theta), most)
    here = evaluate(problem, theta)
    for iteration in range(most + 1):
        point = theta[np.ix_(live, columns)]
        # A bound holds a parameter while the objective falls beyond it; it is let go as soon as the gradient turns.
        held = ((point <= low) & (here.gradient > 0)) | ((point >= high) & (here.gradient < 0))
        slope = _cosine(here, held)
        value[live], cosine[live], iterations[live] = here.value, slope, iteration
        going = (slope > tolerance) & (here.value > exact[live]) & (damping[live] < _MAX_DAMPING)
        if rivals is not None:
            agree = _agree(value, cosine <= tolerance, rivals)
            # Where a late start went below the minimum that the others share, all are given their time again.
            last = np.where(agree, np.minimum(last, iteration + iteration // 2), most)
        going &= iteration < last[live]
        if not going.any():
            break
        if not going.all():
            live, point, held, here = live[going], point[going], held[going], here.take(going)
        step, descends = _step(here, held, damping[live])
        trial = theta[live]
        trial[:, columns] = np.clip(point + step, low, high)
        step = trial[:, columns] - point
        there = evaluate(problem.take(live), trial)
        accepted, damping[live] = _accept_step(here, there, step, descends, held, damping[live])
        theta[live[accepted]] = trial[accepted]
        here = there if accepted.all() else here.replaced(accepted, there)
    converged = (cosine <= tolerance) | (value <= exact) | ((damping >= _MAX_DAMPING) & (cosine <= _ACCEPTABLE))
    return Solution(theta=theta, value=value, gradient=cosine, converged=converged, iterations=iterations)


def _agree(value: Array, solved: NDArray[np.bool_], rivals: NDArray[np.intp]) -> NDArray[np.bool_]:
    """For each start, whether half of its rivals are solved and share the lowest value that any of them has."""
    count = int(rivals.max()) + 1
    lowest = np.full(count, np.inf)
    np.minimum.at(lowest, rivals, value)
    there = solved & (value <= lowest[rivals] * (1.0 + SAME_MINIMUM))
    return np.asarray(2 * np.bincount(rivals, there, count) >= np.bincount(rivals, minlength=count))[rivals]


def _cosine(here: Curvature, held: NDArray[np.bool_]) -> Array:
    """|gradient| relative to its largest possible value given residuals and Jacobian, by Cauchy and Schwarz."""
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.einsum("bii->bi", here.majorant) * 2.0 * here.value[:, None])
        ratio = np.where(held | (spread == 0), 0.0, np.abs(here.gradient) / spread)
    return np.asarray(ratio.max(axis=1, initial=0.0))


def _step(here: Curvature, held: NDArray[np.bool_], damping: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The damped Newton step over the Q parameters that aren't held, shape (B, Q), and whether it points downhill.

    A held parameter keeps its row, as that of the identity with gradient 0, so that all problems stay of one shape.
    """
    gradient = np.where(held, 0.0, here.gradient)
    diagonal = np.einsum("bii->bi", here.majorant)
    index = np.arange(held.shape[1])
    matrix = here.hessian + damping[:, None, None] * here.majorant
    # Marquardt's diagonal besides M: M is singular along directions that the runs don't see.
    floor = 1e-12 * np.maximum(diagonal, 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300)
    matrix[:, index, index] += 1e-3 * damping[:, None] * diagonal + floor
    matrix[held[:, :, None] | held[:, None, :]] = 0.0
    matrix[:, index, index] += np.where(held, 1.0, 0.0)
    # Scaling to a unit diagonal keeps the solve clear of over- and underflow; a singular matrix is then never exact.
    size = 1.0 / np.sqrt(np.maximum(np.abs(matrix[:, index, index]), 1e-300))
    scaled = matrix * size[:, :, None] * size[:, None, :]
    scaled[:, index, index] += 1e-14
    try:
        step = -np.linalg.solve(scaled, (size * gradient)[:, :, None])[:, :, 0] * size
    except np.linalg.LinAlgError:
        step = -gradient * size * size
    return step, np.sum(step * gradient, axis=1) < 0


def _accept_step(
    here: Curvature,
    there: Curvature,
    step: Array,
    descends: NDArray[np.bool_],
    held: NDArray[np.bool_],
    damping: Array,
) -> tuple[NDArray[np.bool_], Array]:
    """Which steps to accept, and the damping of the next: less where the quadratic model predicted the gain."""
    predicted_gain = -(np.sum(step * here.gradient, axis=1) + 0.5 * np.einsum("bi,bij,bj->b", step, here.hessian, step))
    gain = here.value - there.value
    finite = np.isfinite(there.value)
    # Near the minimum gains drown in rounding; the gradient still tells which of two points is closer.
    tie = np.abs(gain) <= 1e-13 * here.value
    if tie.any():
        tie &= _cosine(there, held) < 0.5 * _cosine(here, held)
    accepted = finite & ((descends & (gain > 0)) | tie)
    with np.errstate(divide="ignore", invalid="ignore"):
        trust = np.where(predicted_gain > 0, gain / predicted_gain, 0.0)
    factor = np.select([~accepted, tie | (trust > 0.75), trust > 0.25], [4.0, 0.15, 0.5], 1.5)
    return accepted, np.maximum(damping * factor, 1e-12)
