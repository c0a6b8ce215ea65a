"""The fit of a calibration: one law for all its runs, or for those that determine one, the others compared with it.

Few sparsities of a pattern leave its a_S, b_S and c_S open, and a law that is open anywhere carries no draws. Such a
pattern's runs are then left aside, the law is fitted to the rest, and what the law would say of them is reported.
Several strategies are fitted together, on one dense base.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from sparseplan.calibration.recipe import Recipe
from sparseplan.fit.choose_form import AUTO, AVERAGE
from sparseplan.fit.fit_table import FitJob, FitResult, fit_runs
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import PENALTIES
from sparseplan.fit.strategies import StrategiesFit, fit_strategies
from sparseplan.fit.strategy_table import strategy_table
from sparseplan.runs.reading import Reading
from sparseplan.runs.table import Runs, read_runs
from sparseplan.sparsity.pattern import UNSTRUCTURED


@dataclass(frozen=True, kw_only=True, slots=True)
class UnfittedFamily:
    """Runs of a pattern family that doesn't have a coefficient set of its own in the law.

    Attributes:
        family: The family, as n:4.
        runs: How many.
        sparsities: Which sparsities they have.
        mean_log_error: Mean of log(measured / predicted), predicted by the unstructured set.
        pairs: How many have an unstructured run of equal sparsity, size and data.
        above_pair: Mean loss above that run's, in nats; None without pairs.
    """

    family: str
    runs: int
    sparsities: tuple[float, ...]
    mean_log_error: float
    pairs: int
    above_pair: float | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fitted:
    """A fit, the families that it left aside, and where there are several strategies what it says of each.

    Of several strategies the law in `result` is that of the first, under the calibration's name.
    """

    result: FitResult
    aside: tuple[UnfittedFamily, ...] = ()
    strategies: StrategiesFit | None = None


def fit_calibration(recipe: Recipe, table: Path, *, tokens_per_unit: float = 1.0, date: str | None = None) -> Fitted:
    """Fit the runs table of a calibration as its recipe says; one unit of data is `tokens_per_unit` to the model.

    Raises:
        RunsError: if no run is left to fit.
        FitError: if there is nothing to fit.
    """
    job = FitJob(
        form=recipe.fit.form,
        residual=recipe.fit.residual,
        loss=recipe.fit.loss,
        huber_delta=recipe.fit.huber_delta,
        draws=recipe.fit.bootstrap,
        name=recipe.name,
        description=recipe.description,
        tokens_per_unit=tokens_per_unit,
        schedule=next(iter(recipe.pruned_by.values())).schedule,
        date=date,
    )
    if len(recipe.strategies) > 1:
        schedules = {name: strategy.schedule for name, strategy in recipe.strategies.items()}
        found = fit_strategies(read_runs(table, Reading(several_strategies=True)), job, schedules)
        law = msgspec.structs.replace(found.parts[0].law, name=recipe.name)
        answer = msgspec.structs.replace(found.answer, strategies=strategy_table(found))
        result = FitResult(fit=found.fit, drawn=found.drawn, law=law, answer=answer)
        return Fitted(result=result, strategies=found)
    runs = read_runs(table)
    # What a grid leaves open shows without draws, and forms can't be told apart by runs that leave one open.
    named = None if job.form in (AUTO, AVERAGE) else job.form
    objective = Objective(residual=job.residual, penalty=PENALTIES[job.loss].with_delta(job.huber_delta))
    aside = open_families(fit_law(runs, form=named, objective=objective, starts=job.starts, seed=job.seed))
    left = np.array([family in aside and S > 0 for family, S in zip(runs.family, runs.sparsity, strict=True)])
    if left.any():
        rest = fit_runs(runs.take(~left), job)
        if rest.fit.certificate.identified:
            names = sorted({family for family, out in zip(runs.family, left, strict=True) if out})
            return Fitted(result=rest, aside=tuple(_compared(rest, runs.take(left), name) for name in names))
    return Fitted(result=fit_runs(runs, job))


def open_families(fit: Fit) -> set[str]:
    """Families of n:m patterns whose coefficients the runs leave open, where there are unstructured runs to rest on."""
    unstructured = str(UNSTRUCTURED)
    if unstructured not in fit.design.families:
        return set()
    names = [name for direction in fit.certificate.flat for name in direction]
    return {name.rpartition(".")[0] for name in names} & set(fit.design.families) - {unstructured}


def _compared(result: FitResult, aside: Runs, family: str) -> UnfittedFamily:
    own = aside.take(np.array([each == family for each in aside.family]))
    as_unstructured = replace(own, family=(str(UNSTRUCTURED),) * len(own))
    fitted = result.fit.runs
    losses = {
        (S, N, D): L
        for S, N, D, L in zip(fitted.sparsity, fitted.nonzero_params, fitted.data_seen, fitted.loss, strict=True)
    }
    pairs = [
        L - losses[S, N, D]
        for S, N, D, L in zip(own.sparsity, own.nonzero_params, own.data_seen, own.loss, strict=True)
        if (S, N, D) in losses
    ]
    return UnfittedFamily(
        family=family,
        runs=len(own),
        sparsities=tuple(sorted(set(own.sparsity.tolist()))),
        mean_log_error=float(np.mean(np.log(own.loss / result.fit.predict(as_unstructured)))),
        pairs=len(pairs),
        above_pair=float(np.mean(pairs)) if pairs else None,
    )
