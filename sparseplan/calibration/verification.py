"""What came of putting a law to the test: predicted against measured losses of plans of one budget, as verify.json.

A planner lives by the order of plans that cost the same. So beside the error of the losses stand the rank correlation
of predicted and measured, and the regret: what the recommended plan's measured loss lies above the best measured one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.calibration.rivals import Contest, Kind
from sparseplan.common.files import read_regular
from sparseplan.common.intervals import LEVEL, Bounds
from sparseplan.common.json_struct import decode
from sparseplan.errors import SweepError
from sparseplan.laws.law import Law
from sparseplan.plan.law_name import LawName, law_name
from sparseplan.plan.predict import predict
from sparseplan.runs.job import RunRecord
from sparseplan.runs.spec import RunSpec
from sparseplan.sparsity.pattern import UNSTRUCTURED

_FEWEST_RANKED = 3


class VerifiedRun(Struct, frozen=True, kw_only=True):
    """A training outside the fit.

    Attributes:
        kind: The law's `plan`, its best `dense` plan, or a `rival`.
        S, N, D, train_flops: The run in the law's terms; `dense_params`, `layers` and `width` of its model.
        predicted: The law's loss, nats.
        interval: Where the law says that a measured run lies; None where it doesn't say.
        measured: The run's loss; None where it diverged.
        unique_data: Where the run saw data again, how much of it is different.
    """

    kind: Kind
    pattern: str
    S: float
    N: float
    D: float
    train_flops: float
    predicted: float
    interval: Bounds | None
    measured: float | None
    dense_params: float
    layers: int
    width: int
    unique_data: float | None
    seed: int
    run_id: str


class Verification(Struct, frozen=True, kw_only=True):
    """How a law did.

    Attributes:
        times, train_flops: The budget of each plan, over that of the grid's dearest run and in FLOPs.
        data_limited: Whether the law would have its plans see more data than there are; then all were planned within.
        level: Of the intervals.
        rms: Root mean square of ln(predicted / measured); None where no run was measured.
        inside: Share of the measured runs that lie in their intervals; None where the law gives none.
        spearman: Rank correlation of predicted and measured losses of the plans, each the mean over its seeds; None for
            fewer than three.
        regret: Measured loss of the plan over the best measured loss, less 1; None where the plan diverged.
    """

    format: Literal["sparseplan-verify/1"] = "sparseplan-verify/1"
    law: LawName
    times: float
    train_flops: float
    data_limited: bool
    data_unit: str
    level: float
    runs: tuple[VerifiedRun, ...]
    rms: float | None
    inside: float | None
    spearman: float | None
    regret: float | None


class VerifiedPlan(NamedTuple):
    """A plan of the contest: its first run, and mean losses over its seeds; `measured` is NaN where a seed diverged."""

    run: VerifiedRun
    predicted: float
    measured: float

    @property
    def finished(self) -> bool:
        """Whether none of its runs diverged."""
        return bool(np.isfinite(self.measured))


def judge(
    law: Law, chosen: Contest, times: float, runs: Sequence[tuple[Kind, RunSpec]], records: dict[str, RunRecord]
) -> Verification:
    """Compare what a law predicts of finished runs with their records."""
    rows = tuple(_row(law, kind, run, records[run.run_id]) for kind, run in runs)
    return Verification(
        law=law_name(law),
        times=times,
        train_flops=chosen.train_flops,
        data_limited=chosen.limited,
        data_unit=law.data_unit,
        level=LEVEL,
        runs=rows,
        rms=rms(rows),
        inside=inside(rows),
        spearman=rank_correlation(rows),
        regret=regret(rows),
    )


def _row(law: Law, kind: Kind, run: RunSpec, record: RunRecord) -> VerifiedRun:
    pruning = run.pruning
    unique = float(run.unique_data) if run.epochs > 1 else None
    prediction = predict(
        law,
        N=float(record.nonzero_params),
        D=float(run.data_seen),
        S=pruning.sparsity,
        pattern=pruning.parsed if pruning.sparsity else UNSTRUCTURED,
        unique_data=unique if law.repetition is not None else None,
    )
    return VerifiedRun(
        kind=kind,
        pattern=pruning.pattern,
        S=pruning.sparsity,
        N=float(record.nonzero_params),
        D=float(run.data_seen),
        train_flops=record.train_flops,
        predicted=prediction.loss,
        interval=prediction.prediction_interval,
        measured=record.loss,
        dense_params=float(run.shape.dense_params),
        layers=run.shape.layers,
        width=run.shape.width,
        unique_data=unique,
        seed=run.seed,
        run_id=run.run_id,
    )


def rms(runs: Sequence[VerifiedRun]) -> float | None:
    """Root mean square of ln(predicted / measured) over the measured runs; None without one."""
    errors = [np.log(run.predicted / run.measured) for run in runs if run.measured is not None]
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else None


def inside(runs: Sequence[VerifiedRun]) -> float | None:
    """Share of the measured runs in their intervals; None where there are none."""
    known = [(run.interval, run.measured) for run in runs if run.interval is not None and run.measured is not None]
    return sum(low <= loss <= high for (low, high), loss in known) / len(known) if known else None


def plans(runs: Sequence[VerifiedRun]) -> list[VerifiedPlan]:
    """The plans, in the order of their first runs."""
    by_place: dict[tuple[str, float, float, float], list[VerifiedRun]] = {}
    for run in runs:
        by_place.setdefault((run.pattern, run.S, run.dense_params, run.D), []).append(run)
    return [
        VerifiedPlan(
            run=own[0],
            predicted=float(np.mean([run.predicted for run in own])),
            measured=float(np.mean([np.nan if run.measured is None else run.measured for run in own])),
        )
        for own in by_place.values()
    ]


def rank_correlation(runs: Sequence[VerifiedRun]) -> float | None:
    """Spearman's: Pearson's correlation of the ranks of predicted and measured, equal ones at their mean rank."""
    known = [plan for plan in plans(runs) if plan.finished]
    if len(known) < _FEWEST_RANKED:
        return None
    predicted, measured = (_ranks(np.array(each)) for each in zip(*(plan[1:] for plan in known), strict=True))
    if np.ptp(predicted) == 0.0 or np.ptp(measured) == 0.0:  # no order to compare
        return None
    return float(np.corrcoef(predicted, measured)[0, 1])


def regret(runs: Sequence[VerifiedRun]) -> float | None:
    """Measured loss of the recommended plan over the best measured one, less 1; None where it diverged."""
    known = [plan for plan in plans(runs) if plan.finished]
    own = [plan.measured for plan in known if plan.run.kind == "plan"]
    return own[0] / min(plan.measured for plan in known) - 1.0 if own else None


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([np.mean(np.flatnonzero(np.sort(values) == value)) for value in values])


def read_verification(path: Path) -> Verification | None:
    """A verify.json; None where there is none.

    Raises:
        SweepError: if it isn't one.
    """
    try:
        found: Verification = decode(read_regular(path), Verification)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as problem:
        raise SweepError(f"{path}: expected what `calibrate --verify` wrote, found: {problem}.") from None
    return found


def to_json(verification: Verification) -> str:
    """As verify.json has it."""
    return msgspec.json.format(msgspec.json.encode(verification), indent=2).decode() + "\n"
