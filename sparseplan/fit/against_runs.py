"""Whether a law is the one that was fitted to a table: by the hash that it records, and by its objective there."""

import hashlib
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.files import read_regular
from sparseplan.common.units import format_percent
from sparseplan.errors import RunsError
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import PENALTIES
from sparseplan.fit.read_back import read_back, understood
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.laws.forms.repeated import Repeated
from sparseplan.laws.law import Law, coefficients, main_family
from sparseplan.runs.published import PUBLISHED
from sparseplan.runs.reading import PLAIN, Reading
from sparseplan.runs.table import Runs, of_strategy, read_runs

Outcome = Literal["match", "same numbers", "other numbers", "other table", "unknown"]
_RECOMPUTED = 1e-9
"""How closely an objective comes out again. Rounding moves it by about 1e-14, a change of one coefficient of the T5 law
by 1e-5 of itself by 5e-9 or more."""
_SAME_END = 1e-6


class AgainstRuns(Struct, frozen=True, kw_only=True):
    """A law held against a runs table.

    Attributes:
        outcome: `match` where hash and objective agree; `same numbers` where the objective does and the hash differs or
            is not recorded; `other numbers` where the table is the recorded one, or has as many runs over the same
            range, and the objective differs; `other table` else; `unknown` where the law records too little.
        message: That in a sentence.
        table: The file, and `sha256` its hash.
        recorded_sha256: What the law records, as the next ones; None where it does not.
        runs: Runs that the law speaks of, and `recorded_runs`.
        read: How the table was understood beyond our own column names, in sentences.
        aside: Runs of patterns that the law has no set for, by pattern family.
        objective: Mean penalty over the runs under the law's own objective; None where it does not say which.
        typical_error: Median of |ln(predicted / measured)|, and `rms` the root of the mean square.
    """

    outcome: Outcome
    message: str
    table: str
    sha256: str
    recorded_sha256: str | None
    runs: int
    recorded_runs: int | None
    read: list[str]
    aside: dict[str, int]
    objective: float | None
    recorded_objective: float | None
    typical_error: float
    rms: float

    @property
    def differs(self) -> bool:
        """Whether this is not the law of this table, as far as the law says."""
        return self.outcome in ("other numbers", "other table")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Recorded:
    """What a law says of its fit, as far as it is understood."""

    sha256: str | None
    runs: int | None
    objective: float | None
    measure: Objective | None

    @classmethod
    def of(cls, law: Law) -> "_Recorded":
        sha256, runs, objective = law.provenance.get("runs_sha256"), law.fit.get("runs"), law.fit.get("objective")
        return cls(
            sha256=sha256 if isinstance(sha256, str) else None,
            runs=runs if isinstance(runs, int) and not isinstance(runs, bool) else None,
            objective=float(objective) if isinstance(objective, int | float) and objective > 0 else None,
            measure=_measure(law.fit),
        )


def _measure(fit: dict[str, Any]) -> Objective | None:
    penalty, residual, delta = PENALTIES.get(str(fit.get("loss"))), fit.get("residual"), fit.get("huber_delta")
    if penalty is None or residual not in ("log", "plain"):
        return None
    if not isinstance(delta, int | float):
        return Objective(residual=residual, penalty=penalty.with_delta(1.0)) if penalty.name == "squared" else None
    return Objective(residual=residual, penalty=penalty.with_delta(float(delta)))


def check_runs(law: Law, path: Path, reading: Reading = PLAIN) -> AgainstRuns:
    """Hold a law against the runs table in a file, or against the authors' own file that a built-in law records.

    Of a table with several strategies the runs count that the law says it is of, and the dense ones.
    For a dense law the runs are dense where the table has no column of sparsity.

    Raises:
        RunsError: if the table is broken, or speaks of other runs altogether.
    """
    published = PUBLISHED.get(path.name)
    if published is not None and reading == PLAIN and _sha256(path) == law.provenance.get("runs_sha256"):
        return against_runs(law, published(path.parent))
    known = replace(
        reading,
        dense=not law.sparsity,
        if_dense=PLAIN.if_dense,
        schedule=law.schedule,
        tokens_per_unit=law.tokens_per_unit,
        several_strategies="strategy" in law.provenance,
    )
    runs, strategy = read_runs(path, known), str(law.provenance.get("strategy"))
    if runs.strategies is not None and strategy not in runs.strategies:
        raise RunsError(f"{runs.source}: no run is pruned by {strategy}, as those of the law {law.name!r} are.")
    return against_runs(law, runs if runs.strategies is None else runs.take(of_strategy(runs, strategy)))


def _sha256(path: Path) -> str | None:
    """The hash of a file; None where `read_runs` will say why it can't be read."""
    try:
        return hashlib.sha256(read_regular(path)).hexdigest()
    except OSError:
        return None


@np.errstate(all="ignore")  # a prediction that overflows is one that misses
def against_runs(law: Law, runs: Runs) -> AgainstRuns:
    """Hold a law against a runs table.

    Raises:
        RunsError: if the table counts data in another unit, or none of its runs is one that the law speaks of.
    """
    if runs.data_unit is not None and runs.data_unit != law.data_unit:
        raise RunsError(
            f"{runs.source}: these runs count data in {runs.data_unit}s, the law {law.name!r} in {law.data_unit}s: it "
            "was fitted to another table."
        )
    known = np.array([S == 0 or family in law.sparsity for S, family in zip(runs.sparsity, runs.family, strict=True)])
    left = [family for family, kept in zip(runs.family, known, strict=True) if not kept]
    if not known.any():
        raise RunsError(f"{runs.source}: none of its runs is of a pattern that the law {law.name!r} speaks of.")
    ours = runs.take(known)
    predicted, recorded = _predicted(law, ours), _Recorded.of(law)
    errors = np.nan_to_num(np.abs(np.log(predicted / ours.loss)), nan=np.inf)
    objective = None
    if recorded.measure is not None:
        residuals = recorded.measure.residuals(predicted, ours.loss)
        objective = float(np.mean(recorded.measure.penalty.value(np.asarray(residuals))))
    outcome, words = _judge(law, ours, recorded, objective)
    typical, rms = float(np.median(errors)), float(np.sqrt(np.mean(errors**2)))
    aside = {family: left.count(family) for family in sorted(set(left))}
    rest = "".join(f"; {count} of {family} left aside, for which it has no set" for family, count in aside.items())
    return AgainstRuns(
        outcome=outcome,
        message=f"{words}. The law misses its {len(ours)} runs by {format_percent(typical)} typically, "
        f"{format_percent(rms)} rms{rest}.",
        table=runs.source,
        sha256=runs.sha256,
        recorded_sha256=recorded.sha256,
        runs=len(ours),
        recorded_runs=recorded.runs,
        read=understood(read_back(runs, tuple(law.sparsity), law.data_unit), len(runs)),
        aside=aside,
        objective=objective,
        recorded_objective=recorded.objective,
        typical_error=typical,
        rms=rms,
    )


def _predicted(law: Law, runs: Runs) -> Array:
    """The law's losses of runs whose families it has; repeated data count as its own rates say, where it has them."""
    losses = np.empty(len(runs))
    dense = main_family(law) or ""
    families = np.array([f if S > 0 else dense for S, f in zip(runs.sparsity, runs.family, strict=True)])
    for family in set(families.tolist()):
        rows: NDArray[np.intp] = np.flatnonzero(families == family)
        theta = coefficients(law, family or None)
        if law.repetition is not None and runs.unique_data is not None:
            R_N, R_D = law.repetition.rate("R_N"), law.repetition.rate("R_D")
            theta = Repeated(theta, R_N, R_D, runs.unique_data[rows])
        losses[rows] = theta.loss(runs.sparsity[rows], runs.nonzero_params[rows], runs.data_seen[rows])
    return losses


def _judge(law: Law, runs: Runs, recorded: _Recorded, objective: float | None) -> tuple[Outcome, str]:
    """What hash and objective say together."""
    same_file = None if recorded.sha256 is None else recorded.sha256 == runs.sha256
    own = runs.sha256[:8]
    file = {
        True: f"the table that the law was fitted to (SHA-256 {own})",
        False: f"another file than the law was fitted to (SHA-256 {own}, not {str(recorded.sha256)[:8]})",
        None: "the law records no hash of its runs",
    }[same_file]
    if objective is None or recorded.objective is None:
        how = "the law does not record its objective and how it was measured, so that its numbers can't be checked"
        return "other table" if same_file is False else "unknown", f"{file}; {how}"
    if abs(objective / recorded.objective - 1.0) <= _RECOMPUTED + _rounding(recorded.objective):
        numbers = f"its objective comes out as recorded ({recorded.objective:.6g})"
        return ("match" if same_file else "same numbers"), f"{file}; {numbers}"
    numbers = f"its objective there is {objective:.6g}, recorded is {recorded.objective:.6g}"
    if same_file:
        return "other numbers", f"{file}, but {numbers}: coefficients were changed since, or columns are read otherwise"
    counts = f"{len(runs)} runs" + ("" if recorded.runs in (None, len(runs)) else f", not {recorded.runs}")
    if recorded.runs == len(runs) and _same_range(law, runs):
        return (
            "other numbers",
            f"{file}; as many runs over the same range, but {numbers}: losses or coefficients are others, or rounded",
        )
    return "other table", f"{file}: {counts}; {numbers}"


def _rounding(value: float) -> float:
    """How far, relatively, a number that was written with few digits may be from the one that was meant."""
    sign_digits_exponent = Decimal(repr(value)).normalize().as_tuple()
    return 0.5 * float(10.0 ** int(sign_digits_exponent.exponent)) / value


def _same_range(law: Law, runs: Runs) -> bool:
    """Whether the runs cover exactly what the law says its runs covered, on the axes that it names."""
    ends = ((law.range.nonzero_params, runs.nonzero_params), (law.range.data_seen, runs.data_seen))
    return all(
        stated is None or np.allclose(stated, (column.min(), column.max()), rtol=_SAME_END) for stated, column in ends
    )
