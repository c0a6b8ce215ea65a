"""How far a minimum can be trusted, in numbers and in words."""

from dataclasses import dataclass

import numpy as np

from sparseplan.fit.derivatives import evaluate, residual_jacobian
from sparseplan.fit.identify import open_coefficients, unseen
from sparseplan.fit.levels import count_levels, has_one_ratio
from sparseplan.fit.objective import Problem
from sparseplan.fit.solver import SAME_MINIMUM, Solution
from sparseplan.fit.status import Facts, Status, status_of
from sparseplan.fit.trends import trends
from sparseplan.laws.forms.fitting.base import FittedForm
from sparseplan.laws.forms.fitting.coordinates import B_N, LOG_F, SIGMA, Array, Design, kappa_of, predict

_PRESSURE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What is known of a minimum.

    Attributes:
        status: `converged`; `not converged`; `too few levels` or `flat direction` where the runs can't tell some
            coefficients apart, so that the law must not be used beyond the runs; `contradicted` where the best fit
            denies that size or data help at all.
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
        return not self.flat and self.status not in ("too few levels", "flat direction")


def certify(
    form: FittedForm, problem: Problem, solution: Solution, best: int, *, unasked: tuple[int, ...] = ()
) -> Certificate:
    """Examine the minimum of a form that `solution` of one problem reached from start number `best`.

    Parameters that are `unasked` need not be determined: nothing that the law will be asked depends on them.
    """
    design, free, n = problem.design, problem.free, len(problem.design.x)
    theta = solution.theta[best : best + 1]
    there = evaluate(problem, theta)
    hit = form.bounds_hit(design, free, theta[0])
    # A bound that nothing presses against holds no parameter: along a flat direction the solver may stop anywhere.
    pressed = np.abs(there.gradient[0]) > _PRESSURE * np.sqrt(2.0 * there.value[0] * np.diag(there.majorant[0]))
    held = {parameter for slot, parameter in enumerate(free) if parameter in hit and pressed[slot]}
    inside = [slot for slot, parameter in enumerate(free) if parameter not in held and parameter not in unasked]
    # Identification is a matter of where the runs lie: every run counts, as it would under squared error.
    here = unseen(residual_jacobian(problem, theta[0])[:, inside])
    flat = open_coefficients(form, design, theta[0], [free[slot] for slot in inside], here)
    # What the grid of runs can't decide at plain coefficients it can't decide at all; the minimum itself may hide it,
    # where noise has pushed a coefficient against a bound.
    plain = form.plain_point(design, free, theta[0])
    asked = [slot for slot, parameter in enumerate(free) if parameter not in unasked]
    hidden = unseen(residual_jacobian(problem, plain)[:, asked])
    flat = open_coefficients(form, design, plain, [free[slot] for slot in asked], hidden) or flat
    value = solution.value
    at_optimum = int(np.sum(value <= value[best] * (1.0 + SAME_MINIMUM) + 1e-25))
    levels = (count_levels(design.u), count_levels(design.x), count_levels(design.y))
    residuals = problem.objective.residuals(predict(design, theta[0]), problem.measured)
    status, explanation = status_of(
        Facts(
            converged=bool(solution.converged[best]),
            flat=flat,
            levels=levels,
            sparse=bool(design.families),
            one_ratio=has_one_ratio(design),
            runs=n,
            parameters=len(free),
            starts=len(value),
            at_optimum=at_optimum,
            denied=_denied(design, free, theta[0], held),
            bounds_hit=tuple(hit.values()),
            trends=trends(design, problem.measured),
            condition=here.condition,
            delta=problem.objective.penalty.delta,
            typical=float(np.median(np.abs(residuals))),
        )
    )
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


def _denied(design: Design, free: tuple[int, ...], theta: Array, held: set[int]) -> tuple[str, ...]:
    """What the minimum says has no effect, by the parameters that a bound holds: see `status.Facts`."""
    low, high = design.bounds()
    at_low = {parameter for parameter in held if theta[parameter] <= low[parameter]}
    if B_N not in free:  # on a frozen base
        sparser = [kappa_of(family) for family in range(len(design.families))]
        gone = any(theta[kappa] >= high[kappa] for kappa in sparser if kappa in held)
        return ("base",) if LOG_F in at_low or gone else ()
    size = ("size",) if {LOG_F, B_N} & at_low else ()
    return (*size, "data") if SIGMA in at_low else size
