"""Is it the right law? The paper's break conditions, and a rival, tested on the runs.

- Does b_N, or b_D, depend on sparsity? One coefficient more (eta or zeta, see `coordinates`), judged by a bootstrap
  under the law without it: losses are simulated from the law and its residuals, with the errors that runs share as the
  draws have them, and both laws fitted to each table.
- Does the average-parameter law explain the runs as well: a dense law in the mean number of active parameters over
  training? It isn't nested, so each predicts every run from the fits without it, and the errors are compared.

Source: Frantar et al. 2023, arXiv:2309.08520, section 2; Jin et al. 2025, arXiv:2501.12486 (average parameters).
"""

from dataclasses import dataclass, replace

import numpy as np

from sparseplan.common.intervals import Bounds, bounds
from sparseplan.fit.bootstrap import draw_weights, refit
from sparseplan.fit.derivatives import residual_jacobian
from sparseplan.fit.fitting import Fit, choose, fit_law
from sparseplan.fit.influence import without_each_run
from sparseplan.fit.shared_errors import INDEPENDENT, ErrorModel
from sparseplan.fit.solver import solve
from sparseplan.laws.forms.fitting.coordinates import predict
from sparseplan.laws.forms.fitting.varying_exponents import VARIATIONS, Variation
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule

_BLIND = 1e-6
_NESTED_STARTS = (0.0, -0.1, 0.1, -0.3, 0.3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependence:
    """Whether an exponent depends on sparsity.

    Attributes:
        exponent: b_N or b_D, `of` size or data.
        at_zero, at_highest: the exponent at S = 0 and at the highest S among the runs, in the wider law.
        change: `at_highest - at_zero`, and its 90 % interval.
        objective_ratio: objective of the wider law over that of the law, at most 1.
        p_value: share of tables simulated from the law in which one coefficient more gains as much.
    """

    exponent: str
    of: str
    at_zero: float
    at_highest: float
    change: float
    interval: Bounds
    objective_ratio: float
    p_value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rival:
    """The average-parameter law against the sparse law.

    Attributes:
        objective: the rival's minimum with five coefficients.
        error, law_error: root mean square of relative errors, every run predicted without it, of rival and law.
        p_law_better: bootstrap probability that the law's mean penalty on left-out runs is the smaller one.
    """

    objective: float
    error: float
    law_error: float
    p_law_better: float


def exponent_depends_on_sparsity(
    fit: Fit, draws: int, rng: np.random.Generator, errors: ErrorModel = INDEPENDENT
) -> list[Dependence]:
    """Test both exponents; one whose dependence the runs can't show, or that was frozen or fitted, is left out.

    `errors` is how runs share them, as in the fit's draws.
    """
    found = []
    for one in VARIATIONS:
        testable = one.own in fit.free and one.extra not in fit.free and bool(fit.design.families)
        if testable and _visible(fit, one.extra):
            found.append(_test(fit, one, draws, rng, errors))
    return found


def _visible(fit: Fit, extra: int) -> bool:
    jacobian = residual_jacobian(replace(fit.problem, free=(*fit.free, extra)), fit.theta)
    length = np.linalg.norm(jacobian, axis=0)
    if np.any(length == 0):
        return False
    singular = np.linalg.svd(jacobian / length, compute_uv=False)
    return len(fit.runs) > len(fit.free) + 1 and bool(singular[-1] > _BLIND * singular[0])


def _test(fit: Fit, variation: Variation, draws: int, rng: np.random.Generator, errors: ErrorModel) -> Dependence:
    n, extra = len(fit.runs), variation.extra
    wider = replace(fit.problem, free=(*fit.free, extra))
    starts = np.tile(fit.theta, (len(_NESTED_STARTS), 1))
    starts[:, extra] = _NESTED_STARTS
    solution = solve(wider, starts)
    best = solution.theta[choose(solution)]
    value = min(float(solution.value[choose(solution)]), fit.value)

    # Under the law: its residuals, without those that the fit drives to zero, drawn again for every run.
    sizes = np.argsort(np.abs(fit.residuals))
    pool = fit.residuals[sizes[min(len(fit.free), n // 2) :]]
    losses = fit.objective.apply(fit.predicted, rng.choice(pool, size=(draws, n)))
    if not errors.independent:
        shared, simulated = errors.simulate(fit, draws, rng)
        losses[shared] = simulated
    law = refit(replace(fit.problem, measured=losses), np.tile(fit.theta, (draws, 1)))
    richer = solve(replace(wider, measured=losses), law.theta)
    gain = 1.0 - np.minimum(richer.value, law.value) / law.value
    seen = 1.0 - value / fit.value if fit.value > 0 else 0.0
    weights, measured = draw_weights(fit, draws, rng, grouped=errors.independent), np.tile(fit.runs.loss, (draws, 1))
    if not errors.independent:
        shared, simulated = errors.simulate(replace(fit, theta=best), draws, rng)
        weights[shared], measured[shared] = 1.0 / n, simulated
    spread = solve(replace(wider, weights=weights, measured=measured), np.tile(best, (draws, 1)))
    steepest = float(fit.design.u.min())
    zero, highest = variation.ends(best, steepest)
    change = variation.ends(spread.theta, steepest)
    return Dependence(
        exponent=variation.exponent,
        of=variation.of,
        at_zero=float(zero),
        at_highest=float(highest),
        change=float(highest - zero),
        interval=bounds(np.asarray(change[1] - change[0])),
        objective_ratio=value / fit.value if fit.value > 0 else 1.0,
        p_value=float((1 + np.sum(gain >= seen)) / (draws + 1)),
    )


def average_parameter_law(
    fit: Fit, schedule: Schedule, *, starts: int, draws: int, seed: int, rng: np.random.Generator
) -> Rival | None:
    """Fit the dense law in mean active parameters, N rho(S) / (1 - S), and compare; None where every S is 0."""
    runs = fit.runs
    if not fit.design.families or fit.base is not None:
        return None
    active = runs.nonzero_params * schedule.mean_density(runs.sparsity) / (1.0 - runs.sparsity)
    dense = Runs(
        sparsity=np.zeros(len(runs)),
        nonzero_params=active,
        data_seen=runs.data_seen,
        loss=runs.loss,
        family=runs.family,
        run_id=runs.run_id,
        group=runs.group,
    )
    rival = fit_law(dense, objective=fit.objective, starts=starts, seed=seed)
    left_out = []
    for one in (rival, fit):
        without = without_each_run(one)
        left_out.append(np.array([predict(one.design, theta)[i] for i, theta in enumerate(without)]))
    penalty = [fit.objective.penalty.value(fit.objective.residuals(predicted, runs.loss)) for predicted in left_out]
    weights = draw_weights(fit, draws, rng)
    errors = [float(np.sqrt(np.mean((predicted / runs.loss - 1.0) ** 2))) for predicted in left_out]
    return Rival(
        objective=rival.value,
        error=errors[0],
        law_error=errors[1],
        p_law_better=float(np.mean(weights @ (penalty[1] - penalty[0]) < 0)),
    )
