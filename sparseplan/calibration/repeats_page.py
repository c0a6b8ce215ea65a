"""What a calibration found of repeated data, beside the published rates: a section of its page."""

from typing import NamedTuple

import numpy as np

from sparseplan.common.units import format_percent, format_sparsity
from sparseplan.fit.fit_table import FitResult
from sparseplan.fit.repeats import repeats_data
from sparseplan.laws.forms.repeated import Rate, Repeated
from sparseplan.laws.law import coefficients
from sparseplan.laws.unique_data import published

_NEVER = Rate(np.inf)
"""Repeats that count like fresh data for ever."""


class _Row(NamedTuple):
    """Whose rates, what they are, and the interval of R_D where there is one."""

    name: str
    R_N: Rate
    R_D: Rate
    interval: str = ""


def repeats_lines(result: FitResult) -> list[str]:
    """The section; empty where no run repeats data."""
    rates, fit = result.answer.repetition, result.fit
    if rates is None or fit.rates is None:
        return []
    highest = float(fit.runs.sparsity[repeats_data(fit.runs)].max())
    interval = (rates.intervals or {}).get("R_D")
    spread = "" if interval is None else f" ({interval[0]:.3g} .. {interval[1]:.3g})"
    own = _Row("fitted here", fit.rates.R_N, fit.rates.R_D, spread)
    others = [
        _Row(one.lender.name, one.repetition.rate("R_N"), one.repetition.rate("R_D"))
        for one in published(1.0, but=result.law)
    ]
    return [
        "",
        "## Repeated data",
        "",
        f"{rates.runs} of {len(fit.runs)} runs saw their data more than once, up to {rates.epochs:.3g} times. After "
        "R_D passes beyond the first a repeated unit of data is worth 1/e of a new one, and R_N says the same of size "
        "beyond what the unique data are enough for. The error is the root mean square of what these runs miss, with "
        "this law's other coefficients.",
        "",
        f"| rates | R_D, dense | R_D at S = {format_sparsity(highest)} | R_N, dense | error |",
        "| --- | --- | --- | --- | --- |",
        *(_line(row, result, highest) for row in (own, *others)),
        f"| repeats like fresh data | - | - | - | {_error(_Row('', _NEVER, _NEVER), result)} |",
    ]


def _line(row: _Row, result: FitResult, S: float) -> str:
    values = (
        f"{float(row.R_D.at(0.0)):.3g}{row.interval}",
        f"{float(row.R_D.at(S)):.3g}",
        f"{float(row.R_N.at(0.0)):.3g}",
    )
    return f"| {row.name} | {' | '.join(values)} | {_error(row, result)} |"


def _error(row: _Row, result: FitResult) -> str:
    """Root mean square of ln(predicted / measured) over the runs that repeat data, under some rates."""
    runs = result.fit.runs.take(repeats_data(result.fit.runs))
    assert runs.unique_data is not None, "there are rates"
    predicted = np.empty(len(runs))
    for at, family in enumerate(runs.family):
        S, N, D = (float(column[at]) for column in (runs.sparsity, runs.nonzero_params, runs.data_seen))
        theta = coefficients(result.law, family if S > 0 else None)
        if row.R_D is not _NEVER:
            theta = Repeated(theta, row.R_N, row.R_D, float(runs.unique_data[at]))
        predicted[at] = float(theta.loss(S, N, D))
    return format_percent(float(np.sqrt(np.mean(np.log(predicted / runs.loss) ** 2))))
