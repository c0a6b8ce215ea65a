"""Rates of repetition for a page: those that answer for a law, and the published ones that it is held against."""

import numpy as np

from sparseplan.explore.data import LentRates, Rates
from sparseplan.explore.kept import kept
from sparseplan.laws.file import builtin_law
from sparseplan.laws.forms.repeated import Rate, Repeated
from sparseplan.laws.law import Law, coefficients
from sparseplan.laws.unique_data import DENSE_LENDER, SPARSE_LENDER, UniqueData, limited


def published_rates() -> list[LentRates]:
    """The published rates of repetition, which a page holds an answer's against."""
    return [_lent(limited(builtin_law(name), 1.0), None) for name in (SPARSE_LENDER, DENSE_LENDER)]


def law_rates(law: Law) -> LentRates:
    """The law's own rates or those that it borrows, with draws, paired with the law's, where it has some."""
    unique = limited(law, 1.0)
    if not unique.rates_drawn or law.draws is None:
        return _lent(unique, None)
    theta = unique.limit_draws(coefficients(law))
    assert isinstance(theta, Repeated)
    rows = kept(law.draws.count, law.draws.count)
    return _lent(unique, [Rates(R_N=_rate(theta.R_N, i), R_D=_rate(theta.R_D, i)) for i in rows])


def _lent(unique: UniqueData, draws: list[Rates] | None) -> LentRates:
    return LentRates(
        R_N=_rate(unique.repetition.rate("R_N")),
        R_D=_rate(unique.repetition.rate("R_D")),
        lender=unique.lender.name,
        lender_unit=unique.lender.data_unit,
        range=unique.lender.range,
        borrowed=unique.borrowed,
        draws=draws,
    )


def _rate(rate: Rate, row: int = 0) -> tuple[float, float, float]:
    dense, linear, quadratic = (float(np.asarray(value)[row] if np.ndim(value) else value) for value in rate)
    return dense, linear, quadratic
