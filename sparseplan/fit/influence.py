"""Which runs a law misses, and which runs hold it where it is."""

from dataclasses import dataclass, replace

import numpy as np

from sparseplan.fit.bootstrap import refit
from sparseplan.fit.fitting import Fit
from sparseplan.fit.levels import binned, by_level
from sparseplan.laws.forms.fitting.coordinates import Array, predict


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelErrors:
    """Relative errors of the law at one level of S, N or D, or several in a row: predicted over measured, less 1.

    `low` and `high` are the ends of the values, `value` their mean.
    """

    axis: str
    value: float
    low: float
    high: float
    runs: int
    mean: float
    rms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RunNote:
    """One run that stands out: `error` of the fit there, and `shift`, how far leaving it out moves the law.

    `run_id` and `where`, its place in the file, say which; `shift` is the largest relative change of a predicted loss
    over all runs.
    """

    run_id: str
    where: str
    sparsity: float
    nonzero_params: float
    data_seen: float
    loss: float
    error: float
    shift: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlier:
    """A run whose loss lies `times` as far from the law as those of the others typically do."""

    run: str
    loss: float
    predicted: float
    times: float


_FAR = 8.0
_SMALL = 1e-3


def typical_error(fit: Fit) -> float:
    """Median size of the log errors, widened for the coefficients that were fitted to them."""
    spare = max(len(fit.runs) - len(fit.free), 1)
    return float(np.median(np.abs(_log_errors(fit))) * np.sqrt(len(fit.runs) / spare))


def outliers(fit: Fit) -> list[Outlier]:
    """Runs more than eight standard deviations off, the furthest first; none where runs are too few to tell.

    The deviation is 1.48 times the median error, as it is for normal errors, and at least 0.1 %: of t errors
    with 4 degrees of freedom 1 in 1,000 is further off, of the authors' 160 runs the furthest is at 5.0.
    """
    n, errors = len(fit.runs), _log_errors(fit)
    if n < 2 * len(fit.free):
        return []
    times = np.abs(errors) / max(1.4826 * typical_error(fit), _SMALL)
    return [
        Outlier(
            run=fit.runs.name(int(row)),
            loss=float(fit.runs.loss[row]),
            predicted=float(fit.predicted[row]),
            times=float(times[row]),
        )
        for row in np.argsort(-times, kind="stable")
        if times[row] > _FAR
    ]


def _log_errors(fit: Fit) -> Array:
    return np.asarray(np.log(fit.predicted / fit.runs.loss))


def level_errors(fit: Fit) -> list[LevelErrors]:
    """Errors by level of S, N and D: a trend along one of them is a law that bends the wrong way.

    More than eight levels, of sizes that are scattered, make six bins of about equally many runs.
    """
    runs = fit.runs
    error = fit.predicted / runs.loss - 1.0
    found = []
    for axis, values, scale in (
        ("S", runs.sparsity, -np.log1p(-runs.sparsity)),
        ("N", runs.nonzero_params, np.log(runs.nonzero_params)),
        ("D", runs.data_seen, np.log(runs.data_seen)),
    ):
        for rows in binned(by_level(scale)):
            here = error[rows]
            found.append(
                LevelErrors(
                    axis=axis,
                    value=float(values[rows].mean()),
                    low=float(values[rows].min()),
                    high=float(values[rows].max()),
                    runs=len(rows),
                    mean=float(here.mean()),
                    rms=float(np.sqrt(np.mean(here**2))),
                )
            )
    return found


def without_each_run(fit: Fit) -> Array:
    """Parameter vectors of the fits that leave one run (or one group of several) out, shape (n, P)."""
    n = len(fit.runs)
    group = fit.runs.group
    if group is None or fit.runs.groups == 1:
        group = np.arange(n)
    kept = (group[:, None] != group[None, :]).astype(np.float64)
    weights = kept / np.maximum(kept.sum(axis=1, keepdims=True), 1.0)
    return refit(replace(fit.problem, weights=weights), np.tile(fit.theta, (n, 1))).theta


def notable_runs(fit: Fit, without: Array, count: int = 3) -> tuple[list[RunNote], list[RunNote]]:
    """The most influential runs and the worst fitted ones; `without` comes from `without_each_run`."""
    runs = fit.runs
    error = fit.predicted / runs.loss - 1.0
    shift = np.max(np.abs(predict(fit.design, without) / fit.predicted - 1.0), axis=1)

    def note(row: int) -> RunNote:
        return RunNote(
            run_id=runs.run_id[row],
            where=runs.where[row] if runs.where else "",
            sparsity=float(runs.sparsity[row]),
            nonzero_params=float(runs.nonzero_params[row]),
            data_seen=float(runs.data_seen[row]),
            loss=float(runs.loss[row]),
            error=float(error[row]),
            shift=float(shift[row]),
        )

    by_shift, by_error = np.argsort(-shift, kind="stable"), np.argsort(-np.abs(error), kind="stable")
    return [note(int(row)) for row in by_shift[:count]], [note(int(row)) for row in by_error[:count]]
