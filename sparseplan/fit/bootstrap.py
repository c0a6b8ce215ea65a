"""Bootstrap draws of a fitted law: the fit repeated under random weights of its runs.

Each draw gives every run (or every group of runs that share a trunk or seed) a random weight with mean 1 and fits
again, from the fit's own minimum, to a vanishing gradient. Unlike resampling of runs, no draw ever loses a whole level
of S, N or D; unlike resampling of residuals, nothing is assumed of the noise being alike everywhere. With weights from
the exponential distribution this is Rubin's Bayesian bootstrap. A run that pulls the law towards itself shows too small
a residual, so its weight gets the larger variance 1 / (1 - phi h)^2: h is its leverage, and phi = (m - p) / (n - p)
with m of n runs inliers of the penalty: 1 for squared error, 0 for a delta so small that only as many residuals lie
within it as p coefficients can meet exactly; leverage then doesn't shrink the others.

Weights are of independent runs. Where errors are shared, by the groups that were given or as the residuals say, losses
are simulated with the shared error and fitted again instead: see `shared_errors`. A few groups' weights would be few
degrees of freedom: with four groups draws fill three dimensions of the seven, with one they are all the same.

docs/fitting.md has the coverage of the resulting intervals beside that of the alternatives.

Source: Rubin 1981, doi:10.1214/aos/1176345338; Davidson & Flachaire 2008, doi:10.1016/j.jeconom.2008.08.003 (leverage).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparseplan.fit.derivatives import residual_jacobian
from sparseplan.fit.fitting import Fit, base_draws, on_base
from sparseplan.fit.objective import Problem
from sparseplan.fit.repeats import Rates
from sparseplan.fit.shared_errors import ErrorModel, error_model
from sparseplan.fit.solver import Solution, solve
from sparseplan.laws.forms.fitting.coordinates import Array

FEWEST_GROUPS = 6
"""Below this number of groups their weights alone don't show what runs leave open; see the module."""
_METHOD = "weighted bootstrap (exponential weights, variance adjusted by leverage), percentile intervals"
DEFAULT_DRAWS = 1000
_MAX_VARIANCE = 9.0
_AGAIN = 100  # iterations for the few that stalled: a batch so small is all overhead


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bootstrap:
    """Draws of the law.

    Attributes:
        theta: parameter vectors, shape (K, P), only refits that converged, to a law that makes sense.
        asked: refits that were made.
        errors: how the errors of the runs are shared.
        rates: the rates at which repeats count, one a draw; None where no run repeats data.
    """

    theta: Array
    asked: int
    errors: ErrorModel
    rates: Rates | None = None

    @property
    def method(self) -> str:
        """How the draws came about, in words."""
        if self.errors.independent:
            return _METHOD
        if None in self.errors.groupings:
            return f"{_METHOD}; where errors are shared, refits to simulated losses: {self.errors.words}"
        return f"refits to simulated losses, percentile intervals: {self.errors.words}"


def bootstrap(fit: Fit, count: int, rng: np.random.Generator) -> Bootstrap:
    """Refit `count` times under random weights; a frozen base takes a random draw of its own each time."""
    errors = error_model(fit)
    weights = draw_weights(fit, count, rng, grouped=fit.joint is not None)
    if fit.joint is not None and fit.rates is not None:
        start = np.concatenate([fit.theta, fit.rates.logs])
        vectors, solution = fit.joint.solve(np.tile(start, (count, 1)), weights)
        kept = solution.converged & fit.fitted.makes_sense(fit.design, solution.theta)
        theta, rates = fit.joint.split(vectors[kept])
        return Bootstrap(theta=theta, asked=count, errors=errors, rates=rates)
    starts = np.tile(fit.theta, (count, 1))
    if fit.base is not None and (values := base_draws(fit.base, count, rng)) is not None:
        starts = on_base(starts, fit.fitted, fit.design, fit.base, values)
    # A refit is pulled to what the prior might as well have said: else its draws would be sure of a prior's centre.
    prior = None if fit.problem.prior is None else fit.problem.prior.drawn(count, rng)
    problem = replace(fit.problem, weights=weights, prior=prior)
    if not errors.independent:
        shared, losses = errors.simulate(fit, count, rng)
        weights[shared] = 1.0 / len(fit.runs)
        measured = np.tile(fit.runs.loss, (count, 1))
        measured[shared] = losses
        problem = replace(problem, measured=measured)
    solution = refit(problem, starts)
    kept = solution.converged & fit.fitted.makes_sense(fit.design, solution.theta)
    return Bootstrap(theta=solution.theta[kept], asked=count, errors=errors)


def refit(problem: Problem, starts: Array) -> Solution:
    """Solve problems near their minima; those that stall are tried again from beside where they stopped."""
    solution = solve(problem, starts)
    stalled = np.flatnonzero(~solution.converged)
    if not len(stalled):
        return solution
    columns = problem.columns
    again = solution.theta[stalled]
    again[:, columns] = 0.99 * again[:, columns] + 0.01 * starts[np.ix_(stalled, columns)]
    second = solve(problem.take(stalled), again, most=_AGAIN)
    better = second.value <= solution.value[stalled]
    rows = stalled[better]
    solution.theta[rows], solution.value[rows] = second.theta[better], second.value[better]
    solution.gradient[rows], solution.converged[rows] = second.gradient[better], second.converged[better]
    return solution


def draw_weights(fit: Fit, count: int, rng: np.random.Generator, *, grouped: bool = True) -> Array:
    """Random weights of the runs, shape (count, n), that add up to 1.

    `grouped`: runs of one group share theirs. Below `FEWEST_GROUPS` a run's weight is the product of its group's and
    one of its own, which counts the noise of single runs twice rather than not at all.
    """
    alone = np.arange(len(fit.runs), dtype=np.intp)
    if fit.runs.group is None or not grouped:
        weights = unit_weights(fit, alone, count, rng)
    else:
        weights = unit_weights(fit, np.unique(fit.runs.group, return_inverse=True)[1], count, rng)
        if fit.runs.groups < FEWEST_GROUPS:
            weights = weights * unit_weights(fit, alone, count, rng)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def unit_weights(fit: Fit, unit: NDArray[np.intp], count: int, rng: np.random.Generator) -> Array:
    """Gamma weights with mean 1, equal within a unit; `unit` numbers that of each run (n,). Shape (count, n)."""
    n, p = len(fit.runs), len(fit.free)
    within = float(fit.objective.penalty.inliers(fit.residuals).sum())
    phi = min(max((within - p) / max(n - p, 1), 0.0), 1.0)
    variance = np.minimum(1.0 / np.maximum(1.0 - phi * leverages(fit, unit), 0.1) ** 2, _MAX_VARIANCE)
    return np.asarray((rng.standard_gamma(1.0 / variance, size=(count, len(variance))) * variance)[:, unit])


def leverages(fit: Fit, group: NDArray[np.intp]) -> Array:
    """Leverage of each group in [0, 1]: how far its own residuals shrink because the law was fitted to it."""
    jacobian = residual_jacobian(fit.problem, fit.theta)
    length = np.linalg.norm(jacobian, axis=0)
    left, singular, _ = np.linalg.svd(jacobian[:, length > 0] / length[length > 0], full_matrices=False)
    surface = left[:, singular > 1e-9 * singular[0]]
    return np.array([np.linalg.norm(surface[group == g], ord=2) ** 2 for g in range(int(group.max()) + 1)])
