"""A fit as a law that plans: coefficients, range, draws, and how it all came about."""

import math
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import ends
from sparseplan.fit.bootstrap import Bootstrap
from sparseplan.fit.fitting import Fit
from sparseplan.fit.levels import level_of
from sparseplan.fit.repeats import Rates
from sparseplan.laws.draws import Draws
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.laws.forms.fitting.prior import WORDS as PRIOR_WORDS
from sparseplan.laws.forms.repeated import Rate
from sparseplan.laws.law import (
    AVERAGE,
    FormBlock,
    Law,
    Levels,
    PretrainedStart,
    Range,
    coefficients,
    draw_table,
    law_block,
)
from sparseplan.laws.repetition import BLOCK, RateInSparsity, Repetition
from sparseplan.laws.run_error import RunError
from sparseplan.sparsity.schedule import Schedule
from sparseplan.version import __version__

_MOST_LEVELS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class LawMetadata:
    """What a law file says beyond the numbers; `schedule_assumed` where nobody said how the runs were pruned."""

    name: str
    description: str
    data_unit: str
    tokens_per_unit: float = 1.0
    schedule: Schedule = field(default_factory=Schedule)
    schedule_assumed: bool = False
    date: str


def to_law(
    fit: Fit, drawn: Bootstrap | None, naming: LawMetadata, warnings: list[Caveat], prediction: RunError | None = None
) -> Law:
    """The fitted law with range, draws, provenance, a run's error, and the warnings that its plans should repeat."""
    runs = fit.runs
    least, most = ends(runs.sparsity)
    common: dict[str, Any] = {
        "format": "sparseplan-law/1",
        "name": naming.name,
        "description": naming.description,
        "data_unit": naming.data_unit,
        "tokens_per_unit": naming.tokens_per_unit,
        "range": Range(
            sparsity=(0.0 if fit.base is not None else least, most),  # of a frozen base the dense model was measured
            nonzero_params=ends(runs.nonzero_params),
            data_seen=ends(runs.data_seen),
            **_repeat_ranges(fit),
        ),
        "levels": _levels(runs.sparsity),
        "start": None if runs.dense_data_seen is None else PretrainedStart(dense_data_seen=runs.dense_data_seen),
        "repetition": None if fit.rates is None else _repetition(fit.rates),
        "prediction": prediction,
        "fit": fit_facts(fit, drawn, warnings),
        "provenance": _provenance(fit, naming),
    }
    families = fit.design.families
    form = fit.form
    own = {family: fit.coefficients(family) for family in families or (None,)}
    base = next(iter(own.values())) if fit.base is None else own[families[0]].on_base(coefficients(fit.base.law))
    return Law(
        **common,
        form=form.name,
        coefficients=law_block(form, base, per_family=False),
        sparsity={family: law_block(form, theta, per_family=True) for family, theta in own.items() if family},
        schedule=naming.schedule,
        draws=None if drawn is None else _draws(fit, drawn),
    )


def average_of(chosen: Law, parts: list[tuple[Law, float]]) -> Law:
    """One law of several forms; what is not a form's own, a measured run's error too, is that of `chosen`."""
    total = sum(weight for _, weight in parts)
    blocks = tuple(
        FormBlock(
            form=law.form,
            weight=float(f"{weight / total:.6g}"),
            coefficients=law.coefficients,
            sparsity=law.sparsity,
            draws=law.draws,
        )
        for law, weight in parts
    )
    facts = {name: getattr(chosen, name) for name in chosen.__struct_fields__}
    own: dict[str, Any] = {
        "form": AVERAGE,
        "forms": blocks,
        "coefficients": {},
        "sparsity": {family: {} for family in chosen.sparsity},
        "draws": None,
        "fit": chosen.fit | {"averaged": f"weights by what each form predicted of runs set aside; {chosen.form} first"},
    }
    return Law(**facts | own)


def _levels(sparsity: Array) -> Levels | None:
    """The sparsities that were run; None where they are scattered, and every S has a run beside it."""
    levels = level_of(-np.log1p(-sparsity))
    count = int(levels.max()) + 1
    if count > _MOST_LEVELS:
        return None
    return Levels(sparsity=tuple(float(f"{sparsity[levels == one].mean():.6g}") for one in range(count)))


def _repeat_ranges(fit: Fit) -> dict[str, tuple[float, float]]:
    """What the runs covered in unique data and epochs; nothing where none repeats data."""
    runs = fit.runs
    if fit.rates is None or runs.unique_data is None:
        return {}
    unique = np.minimum(runs.unique_data, runs.data_seen)
    return {"unique_data": ends(unique), "epochs": ends(runs.data_seen / unique)}


def _repetition(rates: Rates) -> Repetition:
    def entry(rate: Rate) -> float | RateInSparsity:
        if not rate.varies:
            return float(rate.dense)
        return RateInSparsity(dense=float(rate.dense), linear=float(rate.linear))

    return Repetition(R_N=entry(rates.R_N), R_D=entry(rates.R_D))


def drawn_rates(fit: Fit, drawn: Bootstrap) -> dict[str, Any]:
    """Draws of the rates, by column."""
    if fit.rates is None or drawn.rates is None:
        return {}
    found = {}
    for name, rate, point in (
        ("R_N", drawn.rates.R_N, fit.rates.R_N),
        ("R_D", drawn.rates.R_D, fit.rates.R_D),
    ):
        found[f"{BLOCK}.{name}"] = rate.dense
        if point.varies:
            found[f"{BLOCK}.{name}.linear"] = rate.linear
    return found


def _draws(fit: Fit, drawn: Bootstrap) -> Draws:
    table: dict[str, Any] = {}
    for family in fit.design.families or (None,):
        table |= draw_table(fit.form, fit.coefficients(family, drawn.theta), family)
    table |= drawn_rates(fit, drawn)
    if fit.base is not None and fit.base.law.draws is None:  # the base stands still: its error isn't known
        table = {column: values for column, values in table.items() if "." in column}
    return Draws.pack(list(table), np.stack(list(table.values()), axis=1), method=drawn.method)


def fit_facts(fit: Fit, drawn: Bootstrap | None, warnings: list[Caveat]) -> dict[str, Any]:
    """How the law was fitted, for its file."""
    certificate = fit.certificate
    facts: dict[str, Any] = {
        "loss": fit.objective.penalty.name,
        "residual": fit.objective.residual,
        "huber_delta": fit.objective.penalty.delta,
        "objective": fit.value,
        "runs": len(fit.runs),
        "left_out": len(fit.runs.left_out),
        "status": certificate.status,
        "explanation": certificate.explanation,
        "starts": certificate.starts,
        "starts_at_optimum": certificate.starts_at_optimum,
        "gradient": float(f"{certificate.gradient:.1e}"),
        "condition": float(f"{certificate.condition:.4g}") if math.isfinite(certificate.condition) else None,
        "bounds_hit": list(certificate.bounds_hit) or None,
        "prior": None if fit.problem.prior is None else f"weak: {PRIOR_WORDS}",
        "frozen_dense": None if fit.base is None else fit.base.law.name,
        "draws_converged": None if drawn is None else f"{len(drawn.theta)} of {drawn.asked}",
        "warnings": [{"code": one.code, "message": one.message} for one in warnings] or None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _provenance(fit: Fit, naming: LawMetadata) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "runs": Path(fit.runs.source).name or None,
        "runs_sha256": fit.runs.sha256 or None,
        "sparseplan": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "date": naming.date,
    }
    return {key: value for key, value in facts.items() if value is not None}
