"""The loss of one given run, with its interval and its distance from the law's runs."""

from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import LEVEL, Bounds, bounds
from sparseplan.errors import PlanError
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.law import Law, coefficient_draws, coefficients, form_of, require_sparse
from sparseplan.laws.unique_data import UniqueData, limited, published
from sparseplan.plan.caveats import (
    ROUNDING,
    Distance,
    distances,
    extrapolation_caveats,
    gap_caveats,
    law_caveats,
    require_real,
)
from sparseplan.plan.law_name import LawName, law_name
from sparseplan.plan.repeats import Repetition, passes, repeat_caveats, repeat_distances, repetition
from sparseplan.sparsity.pattern import UNSTRUCTURED, Pattern

_AS_WRITTEN = 0.005


class GivenRun(Struct, frozen=True, kw_only=True):
    """The run that is asked about."""

    nonzero_params: float
    dense_params: float
    data_seen: float
    data_unit: str
    sparsity: float
    pattern: str
    unique_data: float | None = None


class LossUnderRates(Struct, frozen=True, kw_only=True):
    """What the law predicts for the same run under the rates of repetition of another law."""

    law: str
    R_N: float
    R_D: float
    loss: float


class Prediction(Struct, frozen=True, kw_only=True):
    """Everything `predict` says; the JSON of `sparseplan predict --json`, key for key.

    Attributes:
        interval: Percentile interval of the law's mean loss over its draws; None where it has none.
        prediction_interval: Where the loss of one measured run lies: besides, the scatter of runs and the form's error
            beyond the runs; None where the law's file doesn't say how large they are, or has no draws.
        size_multiplier: A dense model this many times N would have the same capacity term; None for dense-only laws.
        epochs: How often each of the unique data is seen; None where the question says nothing of them.
        repetition: How repeats count; likewise.
        repetition_spread: The loss under the other published rates; empty where nothing is repeated.
    """

    format: Literal["sparseplan-prediction/1"] = "sparseplan-prediction/1"
    law: LawName
    given: GivenRun
    loss: float
    interval: Bounds | None
    prediction_interval: Bounds | None
    level: float
    size_multiplier: float | None
    epochs: float | None = None
    repetition: Repetition | None = None
    repetition_spread: list[LossUnderRates] = []
    extrapolation: list[Distance]
    warnings: list[Caveat]


@np.errstate(all="ignore")  # what overflows is refused by name
def predict(
    law: Law,
    *,
    N: float | None = None,
    M: float | None = None,
    D: float,
    S: float,
    pattern: Pattern = UNSTRUCTURED,
    unique_data: float | None = None,
) -> Prediction:
    """Predict the loss of a run with N non-zero of M parameters, one of them given, D data and sparsity S.

    `unique_data` of D may be new.

    Raises:
        LawError: if S > 0 and the law is dense only.
        PlanError: if the pattern doesn't make S, or the numbers lead nowhere.
    """
    S = _made(S, pattern)
    if N is None:
        assert M is not None, "one of the sizes is given"
        N = M * (1.0 - S)
    knows_sparsity = form_of(law).knows_sparsity
    if S > 0.0:
        require_sparse(law)
    dense_only = S == 0.0 and (not knows_sparsity or pattern == UNSTRUCTURED)
    family = None if dense_only else pattern.family
    theta, draws = coefficients(law, family), coefficient_draws(law, family)
    plain, unique, epochs = theta, None, None
    if unique_data is not None:
        unique, epochs = limited(law, unique_data), passes(D, unique_data)
        theta, draws = unique.limit(theta), None if draws is None else unique.limit_draws(draws)
    predicted = float(theta.loss(S, N, D))
    multiplier = float(theta.size_multiplier(S, N)) if knows_sparsity else None
    require_real(N=N, D=D, loss=predicted)
    spread = None if draws is None else draws.loss(S, N, D)
    if spread is not None and not np.all(np.isfinite(spread)):
        spread = None
    outside = distances(law.range, sparsity=S, nonzero_params=N, data_seen=D, data_unit=law.data_unit)
    if unique is not None:
        outside += repeat_distances(unique, data_seen=D, data_unit=law.data_unit)
    return Prediction(
        law=law_name(law),
        given=GivenRun(
            nonzero_params=N,
            dense_params=N / (1.0 - S),
            data_seen=D,
            data_unit=law.data_unit,
            sparsity=S,
            pattern=str(pattern),
            unique_data=unique_data,
        ),
        loss=predicted,
        interval=None if spread is None else bounds(spread),
        prediction_interval=_of_a_run(law, spread, S=S, N=N, D=D),
        level=LEVEL,
        size_multiplier=multiplier,
        epochs=epochs,
        repetition=None if unique is None else repetition(theta, unique, S=S, N=N, D=D),
        repetition_spread=[] if unique is None or epochs is None else _spread(plain, unique, epochs, S=S, N=N, D=D),
        extrapolation=outside,
        warnings=[
            *law_caveats(law, family),
            *(_repeat_caveats(law, unique, epochs, drawn=draws is not None)),
            *extrapolation_caveats(outside),
            *gap_caveats(law, [S]),
        ],
    )


def _of_a_run(law: Law, spread: NDArray[np.float64] | None, *, S: float, N: float, D: float) -> Bounds | None:
    if law.prediction is None or spread is None:
        return None
    return law.prediction.interval(spread, float(law.prediction.distance(law.range, S, N, D)))


def _repeat_caveats(law: Law, unique: UniqueData | None, epochs: float | None, *, drawn: bool) -> list[Caveat]:
    if unique is None or epochs is None:
        return []
    return repeat_caveats(unique, epochs=epochs, data_unit=law.data_unit, drawn=drawn)


def _spread(theta: Theta, unique: UniqueData, epochs: float, *, S: float, N: float, D: float) -> list[LossUnderRates]:
    """The loss of the run under the published rates that did not answer."""
    found = []
    for other in published(unique.amount, but=unique.lender) if epochs > ROUNDING else ():
        loss = float(other.limit(theta).loss(S, N, D))
        rates = {name: float(other.repetition.rate(name).at(S)) for name in ("R_N", "R_D")}
        found.append(LossUnderRates(law=other.lender.name, loss=loss, **rates))
    return found


def _made(S: float, pattern: Pattern) -> float:
    """The sparsity that a pattern makes nearest to S: people write 0.67 for 1:3.

    Raises:
        PlanError: if it makes none within half a percent.
    """
    choices = pattern.sparsities
    if choices is None:
        return S
    nearest = min(choices, key=lambda choice: abs(choice - S))
    if abs(nearest - S) > _AS_WRITTEN:
        makes = ", ".join(f"{choice:.4g}" for choice in choices)
        raise PlanError(f"`sparsity`: expected what the pattern {pattern} makes ({makes}), found {S:g}.")
    return nearest
