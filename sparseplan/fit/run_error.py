"""The error of a run to be trained, measured: hold out the dearer, larger and longer runs, and see how far they lie.

Each cut sets runs aside and fits the law to the others. What it misses the held-out runs by, beyond what the scatter of
runs and the coefficients' own uncertainty explain, is the form's error; it is taken to grow with the logarithm of the
distance beyond the runs that were fitted. Held-out runs of one cut miss together, so that each cut counts as one
observation. Few cuts say little: a prior from other setups, log-normal about the scatter of runs per factor e, within
a factor of 2, is weighed with them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparseplan.common.intervals import ends
from sparseplan.fit import rolling
from sparseplan.fit.bootstrap import Bootstrap
from sparseplan.fit.derivatives import residual_jacobian
from sparseplan.fit.fitting import Fit
from sparseplan.fit.rolling import Mask, determined, fits_without
from sparseplan.laws.forms.fitting.coordinates import Array, make_design
from sparseplan.laws.law import Range
from sparseplan.laws.run_error import RunError
from sparseplan.runs.table import Runs

_FEWEST_RUNS = 8
_CLIP = 6.0
_EFFICIENCY = np.pi / 2  # variance of a fit with a small Huber delta over that of least squares
_PER_SCATTER, _WITHIN = 1.0, np.log(2.0)
_GRID = np.exp(np.linspace(np.log(0.1), np.log(12.0), 49))
_LEAST = 1e-9  # what a law that fits exactly strays by: rounding


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """One form of a law: its fit to all runs, draws of it, and what it weighs in the law."""

    fit: Fit
    drawn: Bootstrap
    weight: float = 1.0


def run_error(parts: Sequence[Part], *, seed: int) -> RunError:
    """Measure the three parts of a run's error; `seed` is of the starting points of the fits without held-out runs.

    A law of several forms predicts the mean of what they do. What sets them apart is in its draws, and is explained
    here with what each leaves open of its coefficients.
    """
    runs = parts[0].fit.runs
    scatters = [_parts(one.fit, one.drawn) for one in parts]
    own, shared = (
        float(np.sqrt(sum(one.weight * pair[which] ** 2 for one, pair in zip(parts, scatters, strict=True))))
        for which in (0, 1)
    )
    scatter = max(float(np.hypot(own, shared)), _LEAST)
    ratio = _GRID * scatter
    weight = -0.5 * ((np.log(_GRID) - np.log(_PER_SCATTER)) / _WITHIN) ** 2
    cuts = 0
    masks = list(held_out(runs))
    without = [fits_without(one.fit, masks, seed=seed) for one in parts]
    for index, held in enumerate(masks):
        seen = _missed(parts, [fits[index] for fits in without], runs.take(held))
        if seen is None or not np.any(seen[2] > 0):
            continue
        error, explained, distance = seen
        variance = explained[:, None] + scatter**2 + (ratio * distance[:, None]) ** 2
        weight = weight - 0.5 * np.mean(np.log(variance) + error[:, None] ** 2 / variance, axis=0)
        cuts += 1
    chance = np.exp(weight - weight.max())
    beyond = float(np.sqrt(chance @ ratio**2 / chance.sum()))
    product = runs.nonzero_params * runs.data_seen
    return RunError(
        runs=_rounded(own),
        groups=_rounded(shared),
        beyond=_rounded(beyond),
        product=(float(product.min()), float(product.max())),
        cuts=cuts,
    )


def held_out(runs: Runs) -> Iterator[Mask]:
    """Masks of what to hold out, dear by N D; each once, and never so many that fewer than eight runs are left."""
    seen: set[bytes] = set()
    for _, mask in rolling.held_out(runs, runs.nonzero_params * runs.data_seen):
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


def _missed(parts: Sequence[Part], without: Sequence[Fit | None], target: Runs) -> tuple[Array, Array, Array] | None:
    """Log errors of held-out runs, the variance that draws explain, and distances; None where a form has no fit."""
    fits = [fit for fit in without if fit is not None and determined(fit)]
    if len(fits) < len(without):
        return None
    shares = np.array([one.weight for one in parts])
    each = np.stack([fit.predict(target) for fit in fits])
    if not np.all(np.isfinite(each)):
        return None
    predicted = shares @ each
    within = np.stack([_explained(fit, target, losses) for fit, losses in zip(fits, each, strict=True)])
    rest = fits[0].runs
    covered = Range(
        sparsity=ends(rest.sparsity), nonzero_params=ends(rest.nonzero_params), data_seen=ends(rest.data_seen)
    )
    reach = RunError(runs=0.0, beyond=0.0, product=ends(rest.nonzero_params * rest.data_seen))
    distance = reach.distance(covered, target.sparsity, target.nonzero_params, target.data_seen)
    return np.log(target.loss / predicted), shares @ (within + np.log(each / predicted) ** 2), distance


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
