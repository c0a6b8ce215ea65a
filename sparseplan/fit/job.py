"""What is asked of a fit."""

from dataclasses import dataclass

from sparseplan.fit.bootstrap import DEFAULT_DRAWS
from sparseplan.fit.fitting import DEFAULT_STARTS
from sparseplan.fit.holdout import Split
from sparseplan.fit.objective import Residual
from sparseplan.sparsity.schedule import Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class FitJob:
    """How to fit, how to judge it and what to call the law; see the options of `sparseplan fit`.

    `form` None is the first of the forms, the paper's. `prior` None leaves the prior to `form` auto or average, and
    out of a named form.
    """

    form: str | None = None
    prior: bool | None = None
    residual: Residual = "log"
    loss: str = "huber"
    huber_delta: float = 1e-3
    freeze_dense: str | None = None
    tie_dense: bool = False
    draws: int = DEFAULT_DRAWS
    holdout: Split | None = None
    starts: int = DEFAULT_STARTS
    seed: int = 0
    name: str = "fitted"
    description: str | None = None
    data_unit: str | None = None
    tokens_per_unit: float | None = None
    schedule: Schedule | None = None
    date: str | None = None
