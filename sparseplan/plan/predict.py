"""The loss of one given run, with its interval and its distance from the law's runs."""

from typing import Literal

import numpy as np
from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import LEVEL, Bounds, bounds
from sparseplan.errors import PlanError
from sparseplan.laws.law import Law, coefficient_draws, coefficients, form_of, require_sparse
from sparseplan.plan.answer import LawName
from sparseplan.plan.caveats import Distance, distances, extrapolation_caveats, law_caveats, require_real
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
    warnings: list[Caveat]


@np.errstate(all="ignore")  # what overflows is refused by name
def predict(law: Law, *, N: float, D: float, S: float, pattern: Pattern = UNSTRUCTURED) -> Prediction:
    """Predict the loss of a run with N non-zero parameters, D data and sparsity S.

    Raises:
        LawError: if S > 0 and the law is dense only.
        PlanError: if the pattern doesn't make S, or the numbers lead nowhere.
    """
    S = _made(S, pattern)
    knows_sparsity = form_of(law).knows_sparsity
    if S > 0.0:
        require_sparse(law)
    dense_only = S == 0.0 and (not knows_sparsity or pattern == UNSTRUCTURED)
    family = None if dense_only else pattern.family
    theta, draws = coefficients(law, family), coefficient_draws(law, family)
    predicted = float(theta.loss(S, N, D))
    multiplier = float(theta.size_multiplier(S, N)) if knows_sparsity else None
    require_real(N=N, D=D, loss=predicted)
    spread = None if draws is None else draws.loss(S, N, D)
    outside = distances(law.range, sparsity=S, nonzero_params=N, data_seen=D, data_unit=law.data_unit)
    return Prediction(
        law=LawName(name=law.name, form=law.form, loss=law.loss),
        given=GivenRun(
            nonzero_params=N,
            dense_params=N / (1.0 - S),
            data_seen=D,
            data_unit=law.data_unit,
            sparsity=S,
            pattern=str(pattern),
        ),
        loss=predicted,
        interval=None if spread is None or not np.all(np.isfinite(spread)) else bounds(spread),
        level=LEVEL,
        size_multiplier=multiplier,
        extrapolation=outside,
        warnings=[
            *law_caveats(law, family),
            *extrapolation_caveats(outside),
        ],
    )


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
