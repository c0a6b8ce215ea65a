"""The loss of one given run, with its interval and its distance from the law's runs."""

from typing import Literal

from msgspec import Struct

from sparseplan.law import Law, coefficient_draws, coefficients, dense_coefficients, form
from sparseplan.laws.frantar2023 import loss, size_multiplier
from sparseplan.pattern import Pattern
from sparseplan.plan.answer import LEVEL, Bounds, LawName, bounds
from sparseplan.plan.caveats import NO_DRAWS, Distance, Warning, distances, law_caveats


class GivenRun(Struct, frozen=True, kw_only=True):
    """The run that is asked about."""

    nonzero_params: float
    dense_params: float
    data_seen: float
    data_unit: str
    sparsity: float
    pattern: str


class Prediction(Struct, frozen=True, kw_only=True):
    """Everything `predict` says; the JSON of `sparseplan predict --json`, key for key.

    Attributes:
        interval: Percentile interval of the loss over the law's draws; None where it has none.
        size_multiplier: A dense model this many times N would have the same capacity term; None for dense-only laws.
    """

    format: Literal["sparseplan-prediction/1"] = "sparseplan-prediction/1"
    law: LawName
    given: GivenRun
    loss: float
    interval: Bounds | None
    level: float
    size_multiplier: float | None
    extrapolation: list[Distance]
    warnings: list[Warning]


def predict(law: Law, *, N: float, D: float, S: float, pattern: Pattern) -> Prediction:
    """Predict the loss of a run with N non-zero parameters, D data and sparsity S.

    Raises:
        LawError: if S > 0 and the law is dense only.
    """
    if S == 0.0:
        theta, draws = dense_coefficients(law), coefficient_draws(law, None)
        caveats = [] if draws is not None else [Warning(code="no-draws", message=NO_DRAWS)]
        multiplier = None
    else:
        theta, draws = coefficients(law, pattern.family), coefficient_draws(law, pattern.family)
        caveats = law_caveats(law, pattern.family)
        multiplier = float(size_multiplier(theta, S))
    outside = distances(law.range, sparsity=S, nonzero_params=N, data_seen=D, data_unit=law.data_unit)
    return Prediction(
        law=LawName(name=law.name, form=form(law)),
        given=GivenRun(
            nonzero_params=N,
            dense_params=N / (1.0 - S),
            data_seen=D,
            data_unit=law.data_unit,
            sparsity=S,
            pattern=str(pattern),
        ),
        loss=float(loss(theta, S, N, D)),
        interval=None if draws is None else bounds(loss(draws, S, N, D)),
        level=LEVEL,
        size_multiplier=multiplier,
        extrapolation=outside,
        warnings=[*caveats, *(Warning(code="extrapolation", message=distance.message) for distance in outside)],
    )
