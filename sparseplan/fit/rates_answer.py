"""What a fit says of repeated data: the rates, their intervals, and which of them the runs leave open."""

import numpy as np
from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import Bounds, bounds
from sparseplan.fit.bootstrap import Bootstrap
from sparseplan.fit.fitting import Fit
from sparseplan.fit.repeats import repeats_data

_WIDE = 10.0


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


def fitted_repetition(fit: Fit, drawn: Bootstrap | None) -> FittedRepetition | None:
    """The rates of a fit to runs that repeat data; None where none does."""
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


def rates_caveats(rates: FittedRepetition | None) -> list[Caveat]:
    """Which rates the runs leave open: at the edge of what is searched, or with a wide interval."""
    if rates is None:
        return []
    found = dict.fromkeys(rates.bounds_hit, "at the edge of what is searched")
    for name, (low, high) in (rates.intervals or {}).items():
        if high > _WIDE * low:
            found[name] = f"{low:.3g} .. {high:.3g}"
    if not found:
        return []
    what = " and ".join({"R_N": "size", "R_D": "data"}[name] for name in found)
    listed = ", ".join(f"{name} {words}" for name, words in found.items())
    message = f"these runs don't pin down what {what} beyond what is unique counts for: {listed}."
    return [Caveat(code="repetition-open", message=message)]
