"""From runs and what is asked of their fit to a law: the forms that it is made of, their draws, a run's error."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sparseplan.common.caveat import Caveat
from sparseplan.common.yaml_document import reads_as_text
from sparseplan.errors import FitError
from sparseplan.fit.bootstrap import Bootstrap, bootstrap
from sparseplan.fit.choose_form import AUTO, AVERAGE, Choice, UnjudgedError, choose_form
from sparseplan.fit.fitting import DenseBase, Fit, fit_law
from sparseplan.fit.job import FitJob
from sparseplan.fit.law_from_fit import LawMetadata, average_of, to_law
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import PENALTIES
from sparseplan.fit.repeats import repeats_data
from sparseplan.fit.run_error import Part, run_error
from sparseplan.laws.file import load_law
from sparseplan.laws.law import LAW_NAME, LONGEST_NAME, Law, require_one_form
from sparseplan.laws.run_error import RunError
from sparseplan.runs.strategies import schedule_of
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Made:
    """What a law is made of.

    Attributes:
        fits: every form's fit to all runs and its weight, the one that speaks for the law first.
        drawn: draws of each; empty where there are none.
        choice: what every form predicted; None where forms were not judged.
        why: why the law has the form that it has; None where a form was named.
        prediction: how far a measured run lies from the law; None without draws.
        naming: what the law's file says beyond the numbers.
        draws: how many draws were asked for.
    """

    fits: list[tuple[Fit, float]]
    drawn: list[Bootstrap]
    choice: Choice | None
    why: str | None
    prediction: RunError | None
    naming: LawMetadata
    draws: int

    @property
    def fit(self) -> Fit:
        """Of the form that speaks for the law."""
        return self.fits[0][0]

    @property
    def first_drawn(self) -> Bootstrap | None:
        """Draws of the form that speaks for the law."""
        return self.drawn[0] if self.drawn else None

    def law(self, warnings: list[Caveat]) -> Law:
        """The law, with the warnings that its plans should repeat."""
        law = to_law(self.fit, self.first_drawn, self.naming, warnings, self.prediction)
        if len(self.fits) == 1:
            return law
        draws: list[Bootstrap | None] = [*self.drawn] or [None] * len(self.fits)
        pairs = zip(self.fits, draws, strict=True)
        return average_of(law, [(self._block(fit, weight, own), weight) for (fit, weight), own in pairs])

    def _block(self, fit: Fit, weight: float, drawn: Bootstrap | None) -> Law:
        """A form of an averaged law, with its share of the draws."""
        own = None if drawn is None else replace(drawn, theta=drawn.theta[: _share(self.draws, weight)])
        return to_law(fit, own, self.naming, [])


def make_law(runs: Runs, job: FitJob) -> Made:
    """Choose the forms, fit and draw them, and measure a run's error.

    Raises:
        LawError: if the frozen base can't be found.
        FitError: if what is asked contradicts itself or the table.
    """
    base = base_of(job)
    objective = objective_of(job)
    naming = metadata(job, runs, base)
    choice, why = _chosen(runs, job, base, objective, naming)
    fits, choice = _fitted(runs, job, base, objective, choice)
    parts: list[Part] = []
    # Along a direction that the runs leave open draws would only show where the solver happened to stop.
    if job.draws > 0 and fits[0][0].certificate.status == "converged":
        parts = [_drawn(fit, job, weight, first=not index) for index, (fit, weight) in enumerate(fits)]
        parts = parts if all(len(part.drawn.theta) >= 2 for part in parts) else []
    return Made(
        fits=fits,
        drawn=[part.drawn for part in parts],
        choice=choice,
        why=why if choice is None else choice.words,
        prediction=run_error(parts, seed=job.seed) if parts else None,
        naming=naming,
        draws=job.draws,
    )


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


def _require_name(name: str) -> None:
    if not re.fullmatch(LAW_NAME, name) or len(name) > LONGEST_NAME:
        raise FitError(
            f"`name` {name}: expected letters, digits, '.', '_' and '-', at most {LONGEST_NAME}, not {name!r}."
        )
    if not reads_as_text(name):
        raise FitError(f"`name` {name}: expected a name that YAML reads as text, found a number, date or the like.")


def _chosen(
    runs: Runs, job: FitJob, base: DenseBase | None, objective: Objective, naming: LawMetadata
) -> tuple[Choice | None, str | None]:
    """The choice among forms; where `auto` can't make one, why not; neither where a form was named.

    Raises:
        FitError: if an average is asked for that can't be made.
    """
    if job.form not in (AUTO, AVERAGE):
        return None, None
    reason = None
    if base is not None:
        reason = "a frozen dense base fixes what forms are told apart by."
    elif repeats_data(runs).any():
        reason = "runs that repeat data are fitted with rates of one form."
    else:
        try:
            choice = choose_form(
                runs,
                objective=objective,
                schedule=naming.schedule,
                starts=job.starts,
                seed=job.seed,
                every=job.form == AVERAGE,
                priors=(False, True) if job.prior is None else (job.prior,),
            )
        except UnjudgedError as problem:
            reason = str(problem)
        else:
            return choice, None
    if job.form == AVERAGE:
        raise FitError(f"`form` average: {reason} Name a `form`.")
    return None, reason


def _fitted(
    runs: Runs, job: FitJob, base: DenseBase | None, objective: Objective, choice: Choice | None
) -> tuple[list[tuple[Fit, float]], Choice | None]:
    """Every form of the law fitted to all runs, with its weight, the one that speaks for the law first.

    Of several forms those are left out that all runs don't determine.

    Raises:
        FitError: if an average is asked for and fewer than two forms are left.
    """

    def fitted(form: str | None, prior: bool) -> Fit:
        return fit_law(runs, form=form, objective=objective, base=base, prior=prior, starts=job.starts, seed=job.seed)

    if choice is None:
        return [(fitted(None if job.form == AUTO else job.form, bool(job.prior)), 1.0)], None
    fits = {one.form: fitted(one.form, one.prior) for one in choice.counted}
    lost = {
        name: f"all runs do not determine it ({fit.certificate.status})."
        for name, fit in fits.items()
        if fit.certificate.status != "converged"
    }
    if job.form == AVERAGE and len(fits) - len(lost) < 2:
        names = ", ".join(name for name in fits if name not in lost) or "no form"
        raise FitError(
            "`form` average: expected at least two forms that predict about as well and that these runs determine, "
            f"found {names}. Take `form` auto."
        )
    if 0 < len(lost) < len(fits):
        choice = choice.without(lost)
    elif lost:
        choice = choice.alone("neither it nor the chosen form is determined by all runs.")
    return [(fits[one.form], one.weight) for one in choice.counted], choice


def _drawn(fit: Fit, job: FitJob, weight: float, *, first: bool) -> Part:
    """Draws of a form: as many as it weighs, of the one whose intervals the report gives all."""
    count = job.draws if first else _share(job.draws, weight)
    return Part(fit=fit, drawn=bootstrap(fit, count, np.random.default_rng([job.seed, 0])), weight=weight)


def _share(draws: int, weight: float) -> int:
    return max(2, round(weight * draws))


def metadata(job: FitJob, runs: Runs, base: DenseBase | None) -> LawMetadata:
    """What a law's file will say beyond the numbers.

    Raises:
        FitError: if name, unit or schedule of a job contradict themselves or the table.
    """
    _require_name(job.name)
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
