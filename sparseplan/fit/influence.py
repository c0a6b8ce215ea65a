"""Which runs a law misses, and which runs hold it where it is."""

from dataclasses import dataclass, replace

import numpy as np

from sparseplan.fit.bootstrap import refit
from sparseplan.fit.fitting import Fit
from sparseplan.fit.levels import by_level
from sparseplan.laws.forms.fitting.coordinates import Array, predict


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelErrors:
    """Relative errors of the law at one level of S, N or D: predicted over measured, less 1."""

    axis: str
    value: float
    runs: int
    mean: float
    rms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RunNote:
    """One run that stands out: `error` of the fit there, and `shift`, how far leaving it out moves the law.

    `shift` is the largest relative change of a predicted loss over all runs.
    """

    run_id: str
    sparsity: float
    nonzero_params: float
    data_seen: float
    loss: float
    error: float
    shift: float


def level_errors(fit: Fit) -> list[LevelErrors]:
    """Errors by level of S, N and D: a trend along one of them is a law that bends the wrong way."""
    runs = fit.runs
    error = fit.predicted / runs.loss - 1.0
    found = []
    for axis, values, scale in (
        ("S", runs.sparsity, -np.log1p(-runs.sparsity)),
        ("N", runs.nonzero_params, np.log(runs.nonzero_params)),
        ("D", runs.data_seen, np.log(runs.data_seen)),
    ):
        for rows in by_level(scale):
            here = error[rows]
            found.append(
                LevelErrors(
                    axis=axis,
                    value=float(values[rows].mean()),
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
            sparsity=float(runs.sparsity[row]),
            nonzero_params=float(runs.nonzero_params[row]),
            data_seen=float(runs.data_seen[row]),
            loss=float(runs.loss[row]),
            error=float(error[row]),
            shift=float(shift[row]),
        )

    by_shift, by_error = np.argsort(-shift, kind="stable"), np.argsort(-np.abs(error), kind="stable")
    return [note(int(row)) for row in by_shift[:count]], [note(int(row)) for row in by_error[:count]]
