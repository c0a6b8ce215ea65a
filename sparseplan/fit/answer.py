"""Everything `sparseplan fit` says about a fit; the JSON of `fit --json`, key for key."""

import math
from dataclasses import asdict
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import LEVEL, Bounds, bounds
from sparseplan.fit.bootstrap import FEWEST_GROUPS, Bootstrap, method
from sparseplan.fit.compare import Dependence, Rival, average_parameter_law, exponent_depends_on_sparsity
from sparseplan.fit.fitting import Fit
from sparseplan.fit.holdout import HeldOut
from sparseplan.fit.influence import LevelErrors, RunNote, level_errors, notable_runs, without_each_run
from sparseplan.fit.repeats import repeats_data
from sparseplan.laws.forms import FORMS
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.law import coefficients
from sparseplan.runs.table import LeftOut
from sparseplan.sparsity.schedule import Schedule

_RIVAL_STARTS = 32
_NESTED_DRAWS = 300
_WIDE = 3.0
_WIDE_RATE = 10.0
_SIGNIFICANT = 0.05
_SHOWN_ROWS = 3


class FittedRepetition(Struct, frozen=True, kw_only=True):
    """The rates at which repeated data and size count, as fitted with the law.

    Attributes:
        R_N, R_D: of dense models.
        by_sparsity: both at the highest sparsity of runs that repeat data; null where the rates are the same at all.
        intervals: central `level` of the draws of R_N and R_D; null without draws.
        runs: how many runs repeat data, and `epochs` the most passes that one makes.
        bounds_hit: rates at the edge of what is searched, which the runs do not determine.
    """

    R_N: float
    R_D: float
    by_sparsity: dict[str, float] | None
    intervals: dict[str, Bounds] | None
    runs: int
    epochs: float
    bounds_hit: list[str]


class FitAnswer(Struct, frozen=True, kw_only=True):
    """A judged fit.

    Attributes:
        objective: mean penalty over the runs; for squared error half the mean square.
        form: the functional form, as in law files.
        coefficients: the form's, in natural units, of the first family.
        groups: number of groups of runs that share a trunk or seed, by the column `grouped_by`; null where all runs
            are separate.
        families: what every pattern family has of its own.
        intervals: central `level` of each coefficient's draws; null without draws.
        free_size_sparsity: best S with N free under sparse FLOPs; null where it depends on the budget.
        certificate: gradient, curvature, condition, flat directions, bounds hit, levels.
        errors: relative errors by level of S, N and D.
        dependence: whether the exponents depend on S; empty where the form says so.
        average_parameters: the average-parameter law against this one.
        holdout: held-out groups; null unless asked for.
        repetition: how repeated data counts; null where no run repeats data.
    """

    format: Literal["sparseplan-fit/1"] = "sparseplan-fit/1"
    form: str
    runs: str
    n_runs: int
    groups: int | None
    grouped_by: str | None
    left_out: list[LeftOut]
    loss: str
    residual: str
    huber_delta: float | None
    objective: float
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
    dependence: list[Dependence]
    average_parameters: Rival | None
    frozen_dense: str | None
    holdout: list[HeldOut] | None
    repetition: FittedRepetition | None = None
    warnings: list[Caveat]


def diagnose(
    fit: Fit, drawn: Bootstrap | None, *, schedule: Schedule, holdout: list[HeldOut] | None, seed: int
) -> FitAnswer:
    """Examine a fit from every side; with 0 draws nothing that needs random numbers is computed."""
    rng = np.random.default_rng([seed, 1])
    identified = fit.certificate.identified and fit.certificate.status == "converged"
    dependence: list[Dependence] = []
    rival: Rival | None = None
    if identified and drawn is not None and fit.rates is None:  # both tests are of laws in which no data repeats
        dependence = exponent_depends_on_sparsity(fit, _NESTED_DRAWS, rng)
        rival = average_parameter_law(fit, schedule, starts=_RIVAL_STARTS, draws=drawn.asked, seed=seed, rng=rng)
    influential, worst = notable_runs(fit, without_each_run(fit)) if identified else ([], [])
    intervals = None if drawn is None else _intervals(fit, drawn)
    best_S, best_S_interval = _free_size(fit, drawn, schedule)
    return FitAnswer(
        form=fit.form.name,
        runs=fit.runs.source,
        n_runs=len(fit.runs),
        groups=None if fit.runs.group is None else fit.runs.groups,
        grouped_by=fit.runs.grouped_by,
        left_out=list(fit.runs.left_out),
        loss=fit.objective.penalty.name,
        residual=fit.objective.residual,
        huber_delta=fit.objective.penalty.delta,
        objective=fit.value,
        coefficients=_values(fit, next(iter(fit.design.families), None)),
        families={
            family: {one.name: _values(fit, family)[one.name] for one in fit.form.per_family}
            for family in fit.design.families
        },
        intervals=intervals,
        level=LEVEL,
        draws=0 if drawn is None else len(drawn.theta),
        method=None if drawn is None else method(fit.runs),
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
        dependence=dependence,
        average_parameters=rival,
        frozen_dense=None if fit.base is None else fit.base.law.name,
        holdout=holdout,
        repetition=_repetition(fit, drawn),
        warnings=_warnings(fit, drawn, intervals, dependence, rival),
    )


def _open_rates(fit: Fit, drawn: Bootstrap | None) -> dict[str, str]:
    """The rates that the runs leave open, and why: at the edge of what is searched, or with a wide interval."""
    rates = _repetition(fit, drawn)
    if rates is None:
        return {}
    found = dict.fromkeys(rates.bounds_hit, "at the edge of what is searched")
    for name, (low, high) in (rates.intervals or {}).items():
        if high > _WIDE_RATE * low:
            found[name] = f"{low:.3g} .. {high:.3g}"
    return found


def _repetition(fit: Fit, drawn: Bootstrap | None) -> FittedRepetition | None:
    if fit.rates is None or fit.runs.unique_data is None:
        return None
    repeated = repeats_data(fit.runs)
    highest = float(fit.runs.sparsity[repeated].max())
    both = {"R_N": fit.rates.R_N, "R_D": fit.rates.R_D}
    intervals = None
    if drawn is not None and drawn.rates is not None:
        intervals = {
            name: bounds(np.asarray(rate.dense)) for name, rate in (("R_N", drawn.rates.R_N), ("R_D", drawn.rates.R_D))
        }
    varies = any(rate.varies for rate in both.values())
    return FittedRepetition(
        R_N=float(both["R_N"].dense),
        R_D=float(both["R_D"].dense),
        by_sparsity={name: float(rate.at(highest)) for name, rate in both.items()} if varies else None,
        intervals=intervals,
        runs=int(repeated.sum()),
        epochs=float((fit.runs.data_seen / fit.runs.unique_data).max()),
        bounds_hit=list(fit.rates.bounds_hit()),
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
    if not fit.design.families or not fit.certificate.identified:
        return None, None
    family = fit.design.families[0]
    best = fit.coefficients(family).free_size_sparsity(schedule.saving)
    if best is None or drawn is None:
        return None if best is None else float(best), None
    of_draws = fit.coefficients(family, drawn.theta).free_size_sparsity(schedule.saving)
    return float(best), None if of_draws is None else bounds(of_draws)


def _certificate(fit: Fit) -> dict[str, Any]:
    facts = asdict(fit.certificate)
    for key in ("status", "explanation", "starts", "starts_at_optimum"):
        del facts[key]
    facts["levels"] = dict(zip("SND", fit.certificate.levels, strict=True))
    if math.isinf(facts["condition"]):
        facts["condition"] = None
    return facts


def _warnings(
    fit: Fit,
    drawn: Bootstrap | None,
    intervals: dict[str, Bounds] | None,
    dependence: list[Dependence],
    rival: Rival | None,
) -> list[Caveat]:
    found: list[Caveat] = []

    def warn(code: str, message: str) -> None:
        found.append(Caveat(code=code, message=message))

    certificate, runs = fit.certificate, fit.runs
    if certificate.status != "converged" or certificate.starts_at_optimum < 2:
        warn("status", f"{certificate.status}: {certificate.explanation}")
    if runs.left_out:
        warn("left-out", _left_out(runs.left_out))
    for remark in runs.remarks:
        warn("group-unused", remark)
    if certificate.bounds_hit:
        warn("bound", f"at the edge of what the law allows: {', '.join(certificate.bounds_hit)}.")
    if open_rates := _open_rates(fit, drawn):
        what = " and ".join({"R_N": "size", "R_D": "data"}[name] for name in open_rates)
        rates = ", ".join(f"{name} {words}" for name, words in open_rates.items())
        warn("repetition-open", f"these runs don't pin down what {what} beyond what is unique counts for: {rates}.")
    if certificate.identified and len(runs) < 3 * len(fit.free):
        warn(
            "few-runs", f"{len(runs)} runs for {len(fit.free)} coefficients: intervals are rough below three runs each."
        )
    if drawn is not None and (few := _few_groups(fit)):
        warn("few-groups", few)
    if drawn is not None and len(drawn.theta) < drawn.asked:
        warn(
            "draws",
            f"{drawn.asked - len(drawn.theta)} of {drawn.asked} refits found no usable law and were left out.",
        )
    scales = {one.name for one in fit.form.coefficients if one.low is not None}  # a factor says nothing of others
    wide = [
        name
        for name, (low, high) in (intervals or {}).items()
        if name.rpartition(".")[2] in scales and high > _WIDE * low
    ]
    if wide:
        listed = ", ".join(f"{name} {intervals[name][0]:.3g} .. {intervals[name][1]:.3g}" for name in wide if intervals)
        warn("wide", f"these runs don't pin down {listed}: trust plans with their intervals, not these coefficients.")
    for one in dependence:
        if one.p_value < _SIGNIFICANT:
            change = f"from {one.at_zero:.3f} at S = 0 to {one.at_highest:.3f} at the highest S"
            warn("dependence", f"{one.exponent} seems to depend on sparsity ({change}, p = {one.p_value:.3f}).")
    if rival is not None and rival.p_law_better < 1 - _SIGNIFICANT:
        share = f"{100 * rival.p_law_better:.0f}%"
        warn("rival", f"the average-parameter law may do as well: the sparse law is better in {share} of the draws.")
    found += _base_warnings(fit, drawn)
    return found


def _left_out(rows: tuple[LeftOut, ...]) -> str:
    """How many rows were left out, and the first few of them."""
    shown = "; ".join(f"{row.where}: {row.reason}" for row in rows[:_SHOWN_ROWS])
    more = f"; and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    return f"{len(rows)} row{'s were' if len(rows) > 1 else ' was'} left out: {shown}{more}."


def _few_groups(fit: Fit) -> str:
    """What draws from few independent units can't know; empty where there are enough of them."""
    runs = fit.runs
    if runs.group is None:
        few = f"the draws rest on {runs.groups} independent runs; intervals may be too narrow."
        return few if runs.groups < 2 * len(fit.free) else ""
    by = f" (column {runs.grouped_by})" if runs.grouped_by else ""
    if runs.groups == 1:
        return f"all runs are in one group{by}: an error that they share can't be seen and is not in the intervals."
    if runs.groups < FEWEST_GROUPS:
        return (
            f"the runs share {runs.groups} groups{by}, too few to show how much groups differ: intervals also take "
            "the runs as independent, and may still be too narrow."
        )
    few = f"the draws rest on {runs.groups} groups{by}; intervals may be too narrow."
    return few if runs.groups < 2 * len(fit.free) else ""


def _numerator(theta: Theta) -> NDArray[np.float64]:
    """The numerator of a dense model's size term: what the law says of one parameter and endless data."""
    return theta.reducible(0.0, 1.0, np.inf)


def _base_warnings(fit: Fit, drawn: Bootstrap | None) -> list[Caveat]:
    """Whether f(0) came out at the dense value of a frozen base, as it must if the setups are the same."""
    if fit.base is None or fit.base.tied:
        return []
    found = []
    family = fit.design.families[0]
    known = float(_numerator(coefficients(fit.base.law)))
    f0 = float(_numerator(fit.coefficients(family)))
    if drawn is not None:
        low, high = bounds(_numerator(fit.coefficients(family, drawn.theta)))
    else:
        low, high = 0.98 * f0, 1.02 * f0
    if not low <= known <= high:
        words = fit.form.numerator_words
        message = (
            f"{words} came out at {f0:.4g} ({low:.4g} .. {high:.4g}), the base's dense value is "
            f"{known:.4g}: are these runs from the base's setup? `tie_dense` imposes it."
        )
        found.append(Caveat(code="base", message=message))
    if fit.base.law.draws is None:
        message = f"the base {fit.base.law.name!r} carries no draws: the intervals leave its own uncertainty out."
        found.append(Caveat(code="base-draws", message=message))
    return found
