"""How far a minimum can be trusted, in numbers and in words."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sparseplan.fit.derivatives import evaluate, residual_jacobian
from sparseplan.fit.identify import open_coefficients, unseen
from sparseplan.fit.levels import count_levels
from sparseplan.fit.objective import Problem
from sparseplan.fit.solver import SAME_MINIMUM, Solution
from sparseplan.laws.forms.fitting.base import FittedForm
from sparseplan.laws.forms.fitting.coordinates import Array, Design

Status = Literal["converged", "not converged", "flat direction", "too few levels"]
_PRESSURE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What is known of a minimum.

    Attributes:
        status: `converged`; `not converged`; `too few levels` or `flat direction` where the runs can't tell some
            coefficients apart, so that the law must not be used beyond the runs.
        explanation: the status in a sentence, with what to do.
        starts: how many starts were made, and `starts_at_optimum` how many ended within 1e-6 of the best objective;
            the slowest are stopped once half of them agree (see `solver.solve`) and count only if they are there.
        gradient: cosine between the residuals and the model's surface, 0 at a minimum.
        smallest_curvature: lowest eigenvalue of the scaled Hessian over the parameters that no bound holds; above 0 at
            an isolated minimum.
        condition: ratio of the largest to the smallest singular value of the Jacobian with columns of length 1.
        flat: the coefficients that the runs leave open, in groups of those that are mixed with each other.
        bounds_hit: coefficients at the edge of what the law allows, as `c = 0`.
        levels: distinct values of S, N and D among the runs.
    """

    status: Status
    explanation: str
    starts: int
    starts_at_optimum: int
    gradient: float
    smallest_curvature: float
    condition: float
    flat: tuple[tuple[str, ...], ...]
    bounds_hit: tuple[str, ...]
    levels: tuple[int, int, int]

    @property
    def identified(self) -> bool:
        """Whether the runs determine every coefficient."""
        return not self.flat


def certify(form: FittedForm, problem: Problem, solution: Solution, best: int) -> Certificate:
    """Examine the minimum of a form that `solution` of one problem reached from start number `best`."""
    design, free, n = problem.design, problem.free, len(problem.design.x)
    theta = solution.theta[best : best + 1]
    there = evaluate(problem, theta)
    hit = form.bounds_hit(design, free, theta[0])
    # A bound that nothing presses against holds no parameter: along a flat direction the solver may stop anywhere.
    pressed = np.abs(there.gradient[0]) > _PRESSURE * np.sqrt(2.0 * there.value[0] * np.diag(there.majorant[0]))
    inside = [slot for slot, parameter in enumerate(free) if parameter not in hit or not pressed[slot]]
    # Identification is a matter of where the runs lie: every run counts, as it would under squared error.
    here = unseen(residual_jacobian(problem, theta[0])[:, inside])
    flat = open_coefficients(form, design, theta[0], [free[slot] for slot in inside], here)
    # What the grid of runs can't decide at plain coefficients it can't decide at all; the minimum itself may hide it,
    # where noise has pushed a coefficient against a bound.
    plain = form.plain_point(design, free, theta[0])
    flat = open_coefficients(form, design, plain, list(free), unseen(residual_jacobian(problem, plain))) or flat
    value = solution.value
    at_optimum = int(np.sum(value <= value[best] * (1.0 + SAME_MINIMUM) + 1e-25))
    levels = (count_levels(design.u), count_levels(design.x), count_levels(design.y))
    status, explanation = _verdict(bool(solution.converged[best]), flat, levels, design, n, len(free), at_optimum)
    return Certificate(
        status=status,
        explanation=explanation,
        starts=len(value),
        starts_at_optimum=at_optimum,
        gradient=float(solution.gradient[best]),
        smallest_curvature=_smallest_curvature(there.hessian[0], there.majorant[0], inside),
        condition=here.condition,
        flat=flat,
        bounds_hit=tuple(hit.values()),
        levels=levels,
    )


def _smallest_curvature(hessian: Array, majorant: Array, inside: list[int]) -> float:
    if not inside:
        return 0.0
    size = np.sqrt(np.maximum(np.diag(majorant)[inside], 1e-300))
    scaled = hessian[np.ix_(inside, inside)] / size / size[:, None]
    return float(np.linalg.eigvalsh(scaled)[0])


def _open_words(flat: tuple[tuple[str, ...], ...]) -> str:
    """What the runs leave open, in words: a coefficient alone is not determined, several can't be told apart."""
    alone = ", ".join(names[0] for names in flat if len(names) == 1)
    mixed = "; ".join(", ".join(names) for names in flat if len(names) > 1)
    words = [f"do not determine {alone}"] if alone else []
    words += [f"can't tell these coefficients apart: {mixed}"] if mixed else []
    return f"the runs {' and '.join(words)}"


def _verdict(
    converged: bool,
    flat: tuple[tuple[str, ...], ...],
    levels: tuple[int, int, int],
    design: Design,
    n: int,
    parameters: int,
    at_optimum: int,
) -> tuple[Status, str]:
    if flat:
        open_words = _open_words(flat)
        few = [
            f"{count} level{'s' if count > 1 else ''} of {axis} (at least 3 are needed)"
            for axis, count in zip(("S", "N", "D"), levels, strict=True)
            if count < 3 and (axis != "S" or design.families)
        ]
        if few:
            return "too few levels", f"the runs have {' and '.join(few)}: {open_words}. Train runs at further levels."
        if n < parameters:
            return "too few levels", f"there are {n} runs for {parameters} coefficients: {open_words}. Train more runs."
        return "flat direction", f"{open_words}. Freeze a known base (`freeze_dense`), or train runs further apart."
    if not converged:
        return "not converged", "no start reached a point where the gradient vanishes; fit again with more `starts`."
    if at_optimum < 2:
        return "converged", "only one start reached the best minimum: fit again with more `starts` to be sure."
    return "converged", "a minimum with vanishing gradient that determines every coefficient."
