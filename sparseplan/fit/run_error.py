"""The error of a run to be trained, measured: hold out the dearer, larger and longer runs, and see how far they lie.

Each cut sets runs aside and fits the law to the others. What it misses the held-out runs by, beyond what the scatter of
runs and the coefficients' own uncertainty explain, is the form's error; it is taken to grow with the logarithm of the
distance beyond the runs that were fitted. Held-out runs of one cut miss together, so that each cut counts as one
observation. Few cuts say little: a prior from other setups, log-normal about the scatter of runs per factor e, within
a factor of 2, is weighed with them.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparseplan.common.intervals import ends
from sparseplan.errors import FitError
from sparseplan.fit.bootstrap import Bootstrap
from sparseplan.fit.derivatives import residual_jacobian
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.levels import level_of
from sparseplan.laws.forms.fitting.coordinates import Array, make_design
from sparseplan.laws.law import Range
from sparseplan.laws.run_error import RunError
from sparseplan.runs.table import Runs

_DEAREST = (0.5, 0.4, 0.3, 0.2, 0.1)
_STARTS = 8
_FEWEST_RUNS = 8
_CLIP = 6.0
_EFFICIENCY = np.pi / 2  # variance of a fit with a small Huber delta over that of least squares
_PER_SCATTER, _WITHIN = 1.0, np.log(2.0)
_GRID = np.exp(np.linspace(np.log(0.1), np.log(12.0), 49))
_LEAST = 1e-9  # what a law that fits exactly strays by: rounding


def run_error(fit: Fit, drawn: Bootstrap, *, seed: int) -> RunError:
    """Measure the three parts; `seed` is of the starting points of the fits without the held-out runs."""
    own, shared = _parts(fit, drawn)
    scatter = max(float(np.hypot(own, shared)), _LEAST)
    ratio = _GRID * scatter
    weight = -0.5 * ((np.log(_GRID) - np.log(_PER_SCATTER)) / _WITHIN) ** 2
    cuts = 0
    for held in held_out(fit.runs):
        seen = _missed(fit, held, seed)
        if seen is None or not np.any(seen[2] > 0):
            continue
        error, explained, distance = seen
        variance = explained[:, None] + scatter**2 + (ratio * distance[:, None]) ** 2
        weight = weight - 0.5 * np.mean(np.log(variance) + error[:, None] ** 2 / variance, axis=0)
        cuts += 1
    chance = np.exp(weight - weight.max())
    beyond = float(np.sqrt(chance @ ratio**2 / chance.sum()))
    product = fit.runs.nonzero_params * fit.runs.data_seen
    return RunError(
        runs=_rounded(own),
        groups=_rounded(shared),
        beyond=_rounded(beyond),
        product=(float(product.min()), float(product.max())),
        cuts=cuts,
    )


def held_out(runs: Runs) -> Iterator[NDArray[np.bool_]]:
    """Masks of what to hold out: the dearest runs by N D, the one or two largest dense sizes, the longest runs."""
    product = runs.nonzero_params * runs.data_seen
    masks = [product > np.quantile(product, 1.0 - share) for share in _DEAREST]
    for axis in (runs.nonzero_params / (1.0 - runs.sparsity), runs.data_seen):
        levels = level_of(np.log(axis))
        most = int(levels.max())
        masks += [levels > most - count for count in (1, 2) if most - count >= 1]
    seen: set[bytes] = set()
    for mask in masks:
        if mask.any() and int((~mask).sum()) >= _FEWEST_RUNS and mask.tobytes() not in seen:
            seen.add(mask.tobytes())
            yield mask


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _parts(fit: Fit, drawn: Bootstrap) -> tuple[float, float]:
    """Relative standard deviations of a run's own error and of the shared one; together they are the runs' scatter.

    What few groups leave open of a shared error is in the draws, and not counted here again.
    """
    total = scatter(fit) ** 2
    unit = 1.0 if fit.objective.residual == "log" else float(np.exp(np.mean(np.log(fit.runs.loss))))
    own = sum(
        chance * (total if one is None else min(one[1].means[0] / unit**2, total))
        for one, chance in zip(drawn.errors.groupings, drawn.errors.probabilities, strict=True)
    )
    return float(np.sqrt(own)), float(np.sqrt(max(total - own, 0.0)))


def scatter(fit: Fit) -> float:
    """Standard deviation of log(measured / predicted), those far out drawn in, over the degrees of freedom left."""
    error = np.log(fit.predicted / fit.runs.loss)
    far = _CLIP * float(np.median(np.abs(error)))
    spare = max(len(error) - len(fit.free), 1)
    return float(np.sqrt(np.sum(np.clip(error, -far, far) ** 2) / spare))


def _missed(fit: Fit, held: NDArray[np.bool_], seed: int) -> tuple[Array, Array, Array] | None:
    """Log errors of held-out runs, the variance that coefficients explain, and distances; None without a fit."""
    rest, target = fit.runs.take(~held), fit.runs.take(held)
    if {*_sparse_families(target)} - {*_sparse_families(rest)}:
        return None
    prior = fit.problem.prior is not None
    try:
        without = fit_law(
            rest, form=fit.form.name, objective=fit.objective, base=fit.base, prior=prior, starts=_STARTS, seed=seed
        )
    except FitError:
        return None
    if without.certificate.status not in ("converged", "not converged"):
        return None
    covered = Range(
        sparsity=ends(rest.sparsity), nonzero_params=ends(rest.nonzero_params), data_seen=ends(rest.data_seen)
    )
    reach = RunError(runs=0.0, beyond=0.0, product=ends(rest.nonzero_params * rest.data_seen))
    distance = reach.distance(covered, target.sparsity, target.nonzero_params, target.data_seen)
    predicted = without.predict(target)
    if not np.all(np.isfinite(predicted)):
        return None
    return np.log(target.loss / predicted), _explained(without, target, predicted), distance


def _explained(fit: Fit, target: Runs, predicted: Array) -> Array:
    """Variance of the predicted log losses that the coefficients' uncertainty makes, to first order."""
    if fit.joint is not None:
        return np.zeros(len(target))
    place = make_design(target.sparsity, target.nonzero_params, target.data_seen, target.family, like=fit.design)
    there = residual_jacobian(type(fit.problem).plain(fit.objective, place, fit.free, target.loss), fit.theta)
    here = residual_jacobian(fit.problem, fit.theta)
    if fit.objective.residual == "plain":
        there, here = there / predicted[:, None], here / fit.predicted[:, None]
    length = np.maximum(np.linalg.norm(here, axis=0), 1e-300)
    inverse = np.linalg.pinv(here / length, rcond=1e-6)
    return np.asarray(_EFFICIENCY * scatter(fit) ** 2 * np.sum((there / length @ inverse) ** 2, axis=1))


def _sparse_families(runs: Runs) -> list[str]:
    return [name for name, S in zip(runs.family, runs.sparsity, strict=True) if S > 0]
