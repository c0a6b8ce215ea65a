"""A fit as a law that plans: coefficients, range, draws, and how it all came about."""

import math
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sparseplan import __version__
from sparseplan.fit.bootstrap import METHOD, Bootstrap
from sparseplan.fit.fitting import Fit
from sparseplan.laws.forms.frantar2023 import Coefficients
from sparseplan.laws.law import (
    ChinchillaBase,
    DenseLaw,
    Draws,
    FrantarBase,
    Law,
    Range,
    SparseLaw,
    SparsitySet,
    dense_coefficients,
)
from sparseplan.sparsity.schedule import Schedule

BASE_COLUMNS = ("b_N", "a_D", "b_D", "c")
SET_COLUMNS = ("a_S", "b_S", "c_S")


@dataclass(frozen=True, kw_only=True, slots=True)
class LawMetadata:
    """What a law file says beyond the numbers."""

    name: str
    description: str
    data_unit: str
    tokens_per_unit: float = 1.0
    schedule: Schedule = field(default_factory=Schedule)
    date: str


def to_law(fit: Fit, drawn: Bootstrap | None, naming: LawMetadata) -> Law:
    """The fitted law with its range, its draws and its provenance."""
    runs = fit.runs
    common: dict[str, Any] = {
        "format": "sparseplan-law/1",
        "name": naming.name,
        "description": naming.description,
        "data_unit": naming.data_unit,
        "tokens_per_unit": naming.tokens_per_unit,
        "range": Range(
            sparsity=_ends(runs.sparsity), nonzero_params=_ends(runs.nonzero_params), data_seen=_ends(runs.data_seen)
        ),
        "fit": fit_facts(fit, drawn),
        "provenance": _provenance(fit, naming),
    }
    if not fit.design.families:
        theta = fit.coefficients(None)
        draws = None if drawn is None else _pack_dense(fit.coefficients(None, drawn.theta))
        return DenseLaw(**common, coefficients=ChinchillaBase(**_dense(theta)), draws=draws)
    base = dense_coefficients(fit.base.law) if fit.base is not None else fit.coefficients(fit.design.families[0])
    return SparseLaw(
        **common,
        coefficients=FrantarBase(**{name: float(getattr(base, name)) for name in BASE_COLUMNS}),
        sparsity={
            family: SparsitySet(**{name: float(getattr(fit.coefficients(family), name)) for name in SET_COLUMNS})
            for family in fit.design.families
        },
        schedule=naming.schedule,
        draws=None if drawn is None else _pack_sparse(fit, drawn),
    )


def _dense(theta: Coefficients) -> dict[str, Any]:
    with np.errstate(over="ignore"):
        B = np.exp(theta.b_D * np.log(theta.a_D))
    values = {"E": theta.c, "A": theta.c_S, "B": B, "alpha": theta.b_N, "beta": theta.b_D}
    return {name: float(value) if np.ndim(value) == 0 else value for name, value in values.items()}


def _pack_dense(theta: Coefficients) -> Draws:
    columns = _dense(theta)
    return Draws.pack(list(columns), np.stack(list(columns.values()), axis=1), method=METHOD)


def _pack_sparse(fit: Fit, drawn: Bootstrap) -> Draws:
    columns: dict[str, Any] = {}
    for family in fit.design.families:
        theta = fit.coefficients(family, drawn.theta)
        if fit.base is None or fit.base.law.draws is not None:
            columns |= {name: getattr(theta, name) for name in BASE_COLUMNS}
        columns |= {f"{family}.{name}": getattr(theta, name) for name in SET_COLUMNS}
    return Draws.pack(list(columns), np.stack(list(columns.values()), axis=1), method=METHOD)


def _ends(values: Any) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def fit_facts(fit: Fit, drawn: Bootstrap | None) -> dict[str, Any]:
    """How the law was fitted, for its file."""
    certificate = fit.certificate
    delta = fit.objective.huber_delta
    facts: dict[str, Any] = {
        "loss": fit.objective.loss,
        "residual": fit.objective.residual,
        "huber_delta": None if math.isinf(delta) else delta,
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
        "frozen_dense": None if fit.base is None else fit.base.law.name,
        "draws_converged": None if drawn is None else f"{len(drawn.theta)} of {drawn.asked}",
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
