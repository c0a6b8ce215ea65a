"""Everything `sparseplan fit` says about a fit; the JSON of `fit --json`, key for key."""

import math
from dataclasses import asdict
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import LEVEL, Bounds, bounds
from sparseplan.fit.bootstrap import Bootstrap
from sparseplan.fit.choose_form import Choice, FormScore
from sparseplan.fit.compare import Dependence, Rival, average_parameter_law, exponent_depends_on_sparsity
from sparseplan.fit.fit_caveats import fit_caveats, schedule_caveats
from sparseplan.fit.fitting import Fit
from sparseplan.fit.holdout import HeldOut
from sparseplan.fit.influence import (
    LevelErrors,
    Outlier,
    RunNote,
    level_errors,
    notable_runs,
    outliers,
    typical_error,
    without_each_run,
)
from sparseplan.fit.law_from_fit import LawMetadata
from sparseplan.fit.rates_answer import FittedRepetition, fitted_repetition, rates_caveats
from sparseplan.fit.read_back import ReadBack, read_back
from sparseplan.fit.shared_errors import SharedError
from sparseplan.fit.strategy_answer import StrategyTable
from sparseplan.laws.forms import FORMS
from sparseplan.laws.forms.budget import schedule_budget
from sparseplan.laws.run_error import RunError
from sparseplan.runs.row_values import LeftOut
from sparseplan.sparsity.schedule import Schedule

_RIVAL_STARTS = 32
_NESTED_DRAWS = 300


class FitAnswer(Struct, frozen=True, kw_only=True):
    """A judged fit.

    Attributes:
        read: the ends of every column, as they were understood.
        objective: mean penalty over the runs; for squared error half the mean square.
        typical_error: median relative error of the runs, widened for the coefficients that were fitted to them.
        form: the functional form, as in law files.
        coefficients: the form's, in natural units, of the first family.
        groups: number of groups of runs that share a trunk or seed, by the column `grouped_by`; null where all runs
            are separate.
        shared_errors: what the residuals say of each grouping that the table offers: are errors alike within it?
            The most probable first; empty without draws, for runs said to be independent, and where data repeat.
        families: what every pattern family has of its own.
        intervals: central `level` of each coefficient's draws; null without draws.
        free_size_sparsity: best S with N free under sparse FLOPs; null where it depends on the budget.
            Within the runs' sparsities.
        certificate: gradient, curvature, condition, flat directions, bounds hit, levels.
        errors: relative errors by level of S, N and D.
        outliers: runs that lie far off, the furthest first.
        dependence: whether the exponents depend on S; empty where the form says so.
        average_parameters: the average-parameter law against this one.
        prior: `weak` where exponents and floor were pulled to those of other setups.
        forms: what every form predicted of larger and longer runs, and what it weighs in the law; null where a form was
            named, or none could be judged.
        form_choice: why the law has the form or the forms that it has; null where a form was named.
        holdout: held-out groups; null unless asked for.
        repetition: how repeated data counts; null where no run repeats data.
        prediction: how far a measured run lies from the law's mean, as the law file has it; null without draws.
        strategies: how strategies compare that were fitted together; null where there is one.
    """

    format: Literal["sparseplan-fit/1"] = "sparseplan-fit/1"
    form: str
    runs: str
    read: ReadBack
    n_runs: int
    groups: int | None
    grouped_by: str | None
    shared_errors: list[SharedError]
    left_out: list[LeftOut]
    loss: str
    residual: str
    huber_delta: float | None
    objective: float
    typical_error: float
    coefficients: dict[str, float]
    families: dict[str, dict[str, float]]
    intervals: dict[str, Bounds] | None
    level: float
    draws: int
    method: str | None
    free_size_sparsity: float | None
    free_size_sparsity_interval: Bounds | None
    starts: int
    starts_at_optimum: int
    status: str
    explanation: str
    certificate: dict[str, Any]
    errors: list[LevelErrors]
    influential: list[RunNote]
    worst: list[RunNote]
    outliers: list[Outlier]
    dependence: list[Dependence]
    average_parameters: Rival | None
    frozen_dense: str | None
    holdout: list[HeldOut] | None
    repetition: FittedRepetition | None = None
    prior: Literal["none", "weak"] = "none"
    forms: list[FormScore] | None = None
    form_choice: str | None = None
    prediction: RunError | None = None
    strategies: StrategyTable | None = None
    warnings: list[Caveat]


def diagnose(
    fit: Fit,
    drawn: Bootstrap | None,
    *,
    naming: LawMetadata,
    holdout: list[HeldOut] | None,
    choice: Choice | None = None,
    why: str | None = None,
    prediction: RunError | None = None,
    one_schedule: bool = True,
    seed: int,
) -> FitAnswer:
    """Examine a fit from every side; with 0 draws nothing that needs random numbers is computed.

    `one_schedule`: whether all sparse runs were pruned as `naming` says; what depends on it is left out otherwise.
    """
    rng = np.random.default_rng([seed, 1])
    identified = fit.certificate.status == "converged"
    far = outliers(fit)
    dependence: list[Dependence] = []
    rival: Rival | None = None
    if identified and drawn is not None and fit.rates is None:  # both tests are of laws in which no data repeats
        dependence = exponent_depends_on_sparsity(fit, _NESTED_DRAWS, rng, drawn.errors)
        if one_schedule:
            rival = average_parameter_law(
                fit, naming.schedule, starts=_RIVAL_STARTS, draws=drawn.asked, seed=seed, rng=rng
            )
    influential, worst = notable_runs(fit, without_each_run(fit)) if identified else ([], [])
    intervals = None if drawn is None else _intervals(fit, drawn)
    best_S, best_S_interval = _free_size(fit, drawn, naming.schedule) if one_schedule else (None, None)
    rates = fitted_repetition(fit, drawn)
    return FitAnswer(
        form=fit.form.name,
        runs=fit.runs.source,
        read=read_back(fit.runs, fit.design.families, naming.data_unit),
        n_runs=len(fit.runs),
        groups=None if fit.runs.group is None else fit.runs.groups,
        grouped_by=fit.runs.grouped_by,
        shared_errors=[] if drawn is None else list(drawn.errors.found),
        left_out=list(fit.runs.left_out),
        loss=fit.objective.penalty.name,
        residual=fit.objective.residual,
        huber_delta=fit.objective.penalty.delta,
        objective=fit.value,
        typical_error=typical_error(fit),
        coefficients=_values(fit, next(iter(fit.design.families), None)),
        families={
            family: {one.name: _values(fit, family)[one.name] for one in fit.form.per_family}
            for family in fit.design.families
        },
        intervals=intervals,
        level=LEVEL,
        draws=0 if drawn is None else len(drawn.theta),
        method=None if drawn is None else drawn.method,
        free_size_sparsity=best_S,
        free_size_sparsity_interval=best_S_interval,
        starts=fit.certificate.starts,
        starts_at_optimum=fit.certificate.starts_at_optimum,
        status=fit.certificate.status,
        explanation=fit.certificate.explanation,
        certificate=_certificate(fit),
        errors=level_errors(fit),
        influential=influential,
        worst=worst,
        outliers=far,
        dependence=dependence,
        average_parameters=rival,
        frozen_dense=None if fit.base is None else fit.base.law.name,
        holdout=holdout,
        repetition=rates,
        prior="none" if fit.problem.prior is None else "weak",
        forms=None if choice is None else list(choice.scores),
        form_choice=why,
        prediction=prediction,
        warnings=[
            *fit_caveats(fit, drawn, intervals, dependence, rival, far),
            *rates_caveats(rates),
            *schedule_caveats(fit, naming.schedule if naming.schedule_assumed else None),
        ],
    )


def to_json(answer: FitAnswer) -> str:
    """The answer as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()


def _values(fit: Fit, family: str | None) -> dict[str, float]:
    return {name: float(value) for name, value in fit.coefficients(family).as_dict().items()}


def _intervals(fit: Fit, drawn: Bootstrap) -> dict[str, Bounds]:
    """Interval of each coefficient that was drawn; with several families theirs carry the family's name."""
    found: dict[str, Bounds] = {}
    several = len(fit.design.families) > 1
    for family in fit.design.families or (None,):
        values = fit.coefficients(family, drawn.theta).as_dict()
        for one in fit.form.coefficients:
            prefix = f"{family}." if several and one.per_family else ""
            if not one.reference:
                found[f"{prefix}{one.name}"] = bounds(np.asarray(values[one.name]))
    return found


def coefficient_values(answer: FitAnswer) -> list[tuple[str, float, Bounds | None]]:
    """Name, value and interval of every coefficient, those of families first and with several of them spelled out."""
    several = len(answer.families) > 1
    values = {
        f"{family}.{name}" if several else name: value
        for family, chosen in answer.families.items()
        for name, value in chosen.items()
    }
    values |= {one.name: answer.coefficients[one.name] for one in FORMS[answer.form].base}
    intervals = answer.intervals or {}
    return [(name, value, intervals.get(name)) for name, value in values.items()]


def _free_size(fit: Fit, drawn: Bootstrap | None, schedule: Schedule) -> tuple[float | None, Bounds | None]:
    """Never beyond the sparsest run, as plans."""
    if not fit.design.families or fit.certificate.status != "converged":
        return None, None
    highest = float(fit.runs.sparsity.max())
    family = fit.design.families[0]
    budget = schedule_budget(1.0, schedule)
    best = fit.coefficients(family).free_size_sparsity(budget)
    if best is None or drawn is None:
        return None if best is None else min(float(best), highest), None
    of_draws = fit.coefficients(family, drawn.theta).free_size_sparsity(budget)
    return min(float(best), highest), None if of_draws is None else bounds(np.minimum(of_draws, highest))


def _certificate(fit: Fit) -> dict[str, Any]:
    facts = asdict(fit.certificate)
    for key in ("status", "explanation", "starts", "starts_at_optimum"):
        del facts[key]
    facts["levels"] = dict(zip("SND", fit.certificate.levels, strict=True))
    if math.isinf(facts["condition"]):
        facts["condition"] = None
    return facts
