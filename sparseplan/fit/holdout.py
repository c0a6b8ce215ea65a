"""Held-out extrapolation: fit on the easier runs, predict the harder ones, beside a baseline that anyone could fit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparseplan.errors import FitError
from sparseplan.fit.fitting import DenseBase, fit_law
from sparseplan.fit.levels import level_of
from sparseplan.fit.objective import Objective
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.runs.table import Runs

Split = Literal["largest-n", "largest-dense", "largest-d", "highest-s", "rolling"]
SPLITS: tuple[Split, ...] = ("largest-n", "largest-dense", "largest-d", "highest-s", "rolling")
_FEWEST_LEVELS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """Relative errors of predicted losses, exp(log residual) - 1 in effect: mean, root mean square, largest by size."""

    mean: float
    rms: float
    worst: float


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """One group of runs that was predicted and not fitted.

    Attributes:
        label: which runs, as `N = 85M`.
        runs: how many were held out, and `fitted` how many were fitted.
        law: errors of the law on the held-out runs.
        baseline: errors of a plain power law, log L linear in log N, log D and log(1 - S), fitted to the same runs.
        status: the status of the fit to the remaining runs.
    """

    label: str
    runs: int
    fitted: int
    law: Errors
    baseline: Errors
    status: str


def hold_out(
    runs: Runs,
    split: Split,
    *,
    form: str | None = None,
    objective: Objective,
    base: DenseBase | None,
    prior: bool = False,
    starts: int,
    seed: int,
) -> list[HeldOut]:
    """Predict the runs that `split` names from the others; `rolling` does so at each size from the smaller ones.

    Raises:
        FitError: if too few runs would remain.
    """
    results = []
    for label, held in _groups(runs, split):
        rest = runs.take(~held)
        if not np.any(rest.sparsity > 0) and np.any(runs.sparsity[held] > 0):
            raise FitError(f"`holdout` {split}: without {label} no sparse run is left to fit; choose another split.")
        fit = fit_law(rest, form=form, objective=objective, base=base, prior=prior, starts=starts, seed=seed)
        target = runs.take(held)
        missing = {name for name, S in zip(target.family, target.sparsity, strict=True) if S > 0} - {
            *fit.design.families
        }
        if missing:
            raise FitError(f"`holdout` {split}: without {label} no run of {', '.join(sorted(missing))} is left to fit.")
        results.append(
            HeldOut(
                label=label,
                runs=len(target),
                fitted=len(rest),
                law=_errors(fit.predict(target), target.loss),
                baseline=_errors(power_law(rest, target), target.loss),
                status=fit.certificate.status,
            )
        )
    return results


def _groups(runs: Runs, split: Split) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Label and mask of each group to hold out; in `rolling`, larger runs than the group's are set aside by a cut."""
    axis, letter = {
        "largest-n": (runs.nonzero_params, "N"),
        "rolling": (runs.nonzero_params, "N"),
        "largest-dense": (runs.nonzero_params / (1.0 - runs.sparsity), "N / (1 - S)"),
        "largest-d": (runs.data_seen, "D"),
        "highest-s": (1.0 / (1.0 - runs.sparsity), "S"),
    }[split]
    levels = level_of(np.log(axis))
    count = int(levels.max()) + 1
    if count < 2:
        raise FitError(f"`holdout` {split}: the runs have one level of {letter}; there is nothing to hold out.")
    first = min(_FEWEST_LEVELS, count - 1) if split == "rolling" else count - 1
    for level in range(first, count):
        held = levels >= level if split == "rolling" else levels == level
        edge = axis[levels == level].max()
        value = 1.0 - 1.0 / edge if letter == "S" else edge
        relation = ">=" if split == "rolling" and level < count - 1 else "="
        yield f"{letter} {relation} {value:.4g}", held


def power_law(rest: Runs, target: Runs) -> Array:
    """Losses of `target` by least squares of log L on log N, log D and log(1 - S) over `rest`."""
    coefficients = np.linalg.lstsq(_logs(rest), np.log(rest.loss), rcond=None)[0]
    return np.asarray(np.exp(_logs(target) @ coefficients))


def _logs(runs: Runs) -> Array:
    return np.stack(
        [np.ones(len(runs)), np.log(runs.nonzero_params), np.log(runs.data_seen), np.log1p(-runs.sparsity)], axis=1
    )


def _errors(predicted: Array, measured: Array) -> Errors:
    error = predicted / measured - 1.0
    return Errors(
        mean=float(error.mean()),
        rms=float(np.sqrt(np.mean(error**2))),
        worst=float(error[np.argmax(np.abs(error))]),
    )
