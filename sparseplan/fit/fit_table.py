"""From a runs table and options to a judged law: the one function behind the command."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sparseplan.common.yaml_document import reads_as_text
from sparseplan.errors import FitError
from sparseplan.fit.answer import FitAnswer, diagnose
from sparseplan.fit.bootstrap import DEFAULT_DRAWS, Bootstrap, bootstrap
from sparseplan.fit.choose_form import AUTO, AVERAGE, Choice, choose_form
from sparseplan.fit.fit_caveats import travelling
from sparseplan.fit.fitting import DEFAULT_STARTS, DenseBase, Fit, fit_law
from sparseplan.fit.holdout import Split, hold_out
from sparseplan.fit.law_from_fit import LawMetadata, average_of, to_law
from sparseplan.fit.objective import Objective, Residual
from sparseplan.fit.penalties import PENALTIES
from sparseplan.fit.repeats import repeats_data
from sparseplan.fit.run_error import run_error
from sparseplan.laws.file import load_law
from sparseplan.laws.law import LAW_NAME, LONGEST_NAME, Law, require_one_form
from sparseplan.runs.strategies import schedule_of
from sparseplan.runs.table import Runs, read_runs
from sparseplan.sparsity.schedule import Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class FitJob:
    """How to fit, how to judge it and what to call the law; see the options of `sparseplan fit`."""

    form: str | None = None
    prior: bool = False
    residual: Residual = "log"
    loss: str = "huber"
    huber_delta: float = 1e-3
    freeze_dense: str | None = None
    tie_dense: bool = False
    draws: int = DEFAULT_DRAWS
    holdout: Split | None = None
    starts: int = DEFAULT_STARTS
    seed: int = 0
    name: str = "fitted"
    description: str | None = None
    data_unit: str | None = None
    tokens_per_unit: float | None = None
    schedule: Schedule | None = None
    date: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FitResult:
    """A fit, its draws, the law to write and the answer to print."""

    fit: Fit
    drawn: Bootstrap | None
    law: Law
    answer: FitAnswer


def run_fit(
    path: Path, job: FitJob, *, columns: Mapping[str, str] | None = None, group: str | None = None
) -> FitResult:
    """Read a runs table and fit it.

    Args:
        path: the table.
        job: how to fit it.
        columns: our column names to the file's, as `read_runs` takes them, and `group` likewise.

    Raises:
        RunsError: if the table is broken.
        LawError: if the frozen base can't be found.
        FitError: if the options contradict each other or the table.
    """
    return fit_runs(read_runs(path, columns=columns, group=group), job)


def fit_runs(runs: Runs, job: FitJob) -> FitResult:
    """Fit runs that are already in memory; as `run_fit`."""
    if not re.fullmatch(LAW_NAME, job.name) or len(job.name) > LONGEST_NAME:
        raise FitError(
            f"`name` {job.name}: expected letters, digits, '.', '_' and '-', at most {LONGEST_NAME}, not {job.name!r}."
        )
    if not reads_as_text(job.name):
        raise FitError(f"`name` {job.name}: expected a name that YAML reads as text, found a number, date or the like.")
    base = base_of(job)
    objective = objective_of(job)
    naming = metadata(job, runs, base)
    form, prior, choice = job.form, job.prior, None
    if form in (AUTO, AVERAGE):
        if base is not None:
            raise FitError(f"`form` {form}: a frozen dense base fixes what forms are told apart by. Name a `form`.")
        if form == AVERAGE and repeats_data(runs).any():
            raise FitError("`form` average: runs that repeat data are fitted with rates of one form. Name a `form`.")
        choice = choose_form(runs, objective=objective, schedule=naming.schedule, starts=job.starts, seed=job.seed)
        form, prior = choice.form, choice.prior
    fit = fit_law(runs, form=form, objective=objective, base=base, prior=prior, starts=job.starts, seed=job.seed)
    drawn = None
    # Along a direction that the runs leave open draws would only show where the solver happened to stop.
    if job.draws > 0 and fit.certificate.status == "converged":
        drawn = bootstrap(fit, job.draws, np.random.default_rng([job.seed, 0]))
        drawn = drawn if len(drawn.theta) >= 2 else None
    held = None
    if job.holdout is not None:
        held = hold_out(
            runs,
            job.holdout,
            form=form,
            objective=objective,
            base=base,
            prior=prior,
            starts=job.starts,
            seed=job.seed,
        )
    prediction = None if drawn is None else run_error(fit, drawn, seed=job.seed)
    answer = diagnose(fit, drawn, naming=naming, holdout=held, choice=choice, prediction=prediction, seed=job.seed)
    law = to_law(fit, drawn, naming, travelling(answer.warnings), prediction)
    if job.form == AVERAGE and choice is not None:
        law = _averaged(runs, job, objective, choice, naming, law)
    return FitResult(fit=fit, drawn=drawn, law=law, answer=answer)


def base_of(job: FitJob) -> DenseBase | None:
    """The dense base that a job keeps; None where it fits its own.

    Raises:
        LawError: if it can't be found.
        FitError: if a job ties what it does not keep.
    """
    if job.freeze_dense is not None:
        return DenseBase(law=require_one_form(load_law(job.freeze_dense), "`freeze_dense`"), tied=job.tie_dense)
    if job.tie_dense:
        raise FitError("`tie_dense`: there is no dense value to keep; give the base with `freeze_dense`.")
    return None


def objective_of(job: FitJob) -> Objective:
    """What a job minimises."""
    return Objective(residual=job.residual, penalty=PENALTIES[job.loss].with_delta(job.huber_delta))


def _averaged(runs: Runs, job: FitJob, objective: Objective, choice: Choice, naming: LawMetadata, chosen: Law) -> Law:
    """Every form that counts, fitted to all runs, with as many draws as it weighs.

    Raises:
        FitError: if fewer than two are left.
    """
    parts = []
    for one in choice.scores:
        if one.weight == 0.0:
            continue
        fit = fit_law(runs, form=one.form, objective=objective, prior=one.prior, starts=job.starts, seed=job.seed)
        if fit.certificate.status != "converged":
            continue
        count = max(2, round(one.weight * job.draws))
        drawn = None if job.draws == 0 else bootstrap(fit, count, np.random.default_rng([job.seed, 0]))
        parts.append((to_law(fit, drawn, naming, []), one.weight))
    if len(parts) < 2:
        names = ", ".join(law.form for law, _ in parts) or "no form"
        raise FitError(
            "`form` average: expected at least two forms that predict about as well and that these runs determine, "
            f"found {names}. Take `form` auto."
        )
    return average_of(chosen, parts)


def metadata(job: FitJob, runs: Runs, base: DenseBase | None) -> LawMetadata:
    """What a law's file will say beyond the numbers.

    Raises:
        FitError: if job and table count data in different units, or a strategy leaves open when it prunes.
    """
    law = base.law if base is not None else None
    if job.data_unit is not None and runs.data_unit is not None and job.data_unit != runs.data_unit:
        raise FitError(f"`data_unit` {job.data_unit}: the table says {runs.data_unit}; leave one of them out.")
    unit = job.data_unit or runs.data_unit or (law.data_unit if law is not None else "token")
    known = law.schedule if law is not None and law.sparsity else None  # a dense base was never pruned
    implied = None if job.schedule is not None else _by_strategy(runs)
    schedule = job.schedule or implied or known or Schedule()
    tokens = job.tokens_per_unit or (law.tokens_per_unit if law is not None else 1.0)
    description = job.description or f"Fitted to {len(runs)} runs of {Path(runs.source).name or 'a table'}."
    return LawMetadata(
        name=job.name,
        description=description,
        data_unit=unit,
        tokens_per_unit=tokens,
        schedule=schedule,
        schedule_assumed=job.schedule is None and implied is None and known is None,
        date=job.date or datetime.now(UTC).date().isoformat(),
    )


def _by_strategy(runs: Runs) -> Schedule | None:
    """The schedule that the runs' column `strategy` implies; None where it leaves it open."""
    try:
        return None if runs.strategy is None else schedule_of(runs.strategy)
    except ValueError as problem:
        raise FitError(f"`schedule`: {problem}; say when, as in cubic:50% for one cut halfway.") from None
