"""One row of a runs table as a run: every cell checked, what follows from other cells computed."""

import math
from dataclasses import dataclass

from sparseplan.common.units import parse_positive, parse_sparsity
from sparseplan.errors import PatternError, QuantityError, RunsError
from sparseplan.runs.cells import Row, word
from sparseplan.runs.column_names import GROUP, SEED, TRUNK, ColumnNames
from sparseplan.runs.reading import Reading
from sparseplan.runs.strategies import schedule_of
from sparseplan.sparsity.pattern import Pattern, parse_pattern

COUNT_TOLERANCE = 0.02  # rounding to whole n:m groups moves a count by less
_FLOPS_PER_PARAMETER_AND_TOKEN = 6.0
_MISSING_WORDS = {"", "nan", "none", "null", "na", "n/a", "inf", "-inf", "+inf", "infinity", "-infinity", "diverged"}
_TRUE_WORDS = {"true", "1", "1.0", "yes", "y"}
_FALSE_WORDS = {"false", "0", "0.0", "no", "n", "", "none", "null", "nan"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A row that a rule leaves out of the table: where it is, and which rule."""

    where: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RowValues:
    """A run as its row gives it; `from_flops` where its data follows from its training FLOPs."""

    where: str
    sparsity: float
    nonzero_params: float
    data_seen: float
    loss: float
    family: str
    run_id: str | None
    group: str | None
    labels: dict[str, str]
    strategy: str | None
    data_unit: str | None
    unique_data: float | None
    from_flops: bool


def row_values(row: Row, columns: ColumnNames, reading: Reading) -> RowValues | LeftOut:
    """Read a row.

    Raises:
        RunsError: naming the column, what was expected there and what was found; the caller adds the row's place.
    """
    names = columns.names
    cells = {ours: word(row.cells.get(theirs)) for ours, theirs in names.items()} | dict(columns.constants)
    cell = _Cells(cells, columns)
    if _truth(cells.get("diverged", "")):
        return LeftOut(where=row.where, reason="marked as diverged")
    if cells["loss"].lower() in _MISSING_WORDS:
        return LeftOut(where=row.where, reason=f"no finite loss ({cells['loss'] or 'empty'})")
    pattern = _pattern(cell)
    sparsity = _sparsity(cell, pattern)
    nonzero = _nonzero_params(cell, sparsity)
    from_flops = not cell["data_seen"] and bool(cell["train_flops"])
    return RowValues(
        where=row.where,
        sparsity=sparsity,
        nonzero_params=nonzero,
        data_seen=_data_from_flops(cell, sparsity, nonzero, reading) if from_flops else cell.positive("data_seen"),
        loss=cell.positive("loss"),
        family=pattern.family if pattern is not None else "unstructured",
        run_id=cell["run_id"] or None,
        group=cell[GROUP if GROUP in names else TRUNK] or None,
        labels={name: cells[name] for name in (TRUNK, SEED) if cells.get(name)},
        strategy=cell["strategy"] or None,
        data_unit=cell["data_unit"] or None,
        unique_data=cell.positive("unique_data") if cell["unique_data"] else None,
        from_flops=from_flops,
    )


@dataclass(frozen=True, slots=True)
class _Cells:
    """A row's cells by our names, empty where there is none."""

    words: dict[str, str]
    columns: ColumnNames

    def __getitem__(self, ours: str) -> str:
        return self.words.get(ours, "")

    def positive(self, ours: str) -> float:
        try:
            return parse_positive(self[ours]) * self.columns.scale(ours)
        except QuantityError as problem:
            raise RunsError(f"{self.columns.called(ours)}: {problem}") from None


def _truth(text: str) -> bool:
    if text.lower() in _TRUE_WORDS:
        return True
    if text.lower() in _FALSE_WORDS:
        return False
    raise RunsError(f"diverged: expected true or false, found {text!r}.")


def _pattern(cell: _Cells) -> Pattern | None:
    if cell["pattern"].lower() in {"", "dense", "none"}:
        return None
    try:
        return parse_pattern(cell["pattern"])
    except PatternError as problem:
        raise RunsError(f"{cell.columns.called('pattern')}: {problem}") from None


def _sparsity(cell: _Cells, pattern: Pattern | None) -> float:
    made = pattern.sparsity if pattern is not None else None
    if not cell["sparsity"] and made is not None:
        return made
    called = cell.columns.called("sparsity")
    try:
        sparsity = parse_sparsity(cell["sparsity"])
    except QuantityError as problem:
        raise RunsError(f"{called}: {problem}") from None
    if made is not None and sparsity > 0 and not math.isclose(sparsity, made, abs_tol=COUNT_TOLERANCE):
        raise RunsError(f"{called}: expected {made:g}, which the pattern {pattern} makes, found {cell['sparsity']}.")
    return sparsity


def _nonzero_params(cell: _Cells, sparsity: float) -> float:
    if not cell["dense_params"]:
        return cell.positive("nonzero_params")
    dense = cell.positive("dense_params")
    if not cell["nonzero_params"]:
        return dense * (1.0 - sparsity)
    nonzero = cell.positive("nonzero_params")
    expected = dense * (1.0 - sparsity)
    if not math.isclose(nonzero, expected, rel_tol=COUNT_TOLERANCE):
        raise RunsError(
            f"{cell.columns.called('nonzero_params')}: expected about {expected:.6g}, which is "
            f"dense_params x (1 - sparsity), found {nonzero:.6g}. The law's N counts the weights that are left."
        )
    return nonzero


def _data_from_flops(cell: _Cells, sparsity: float, nonzero: float, reading: Reading) -> float:
    """D = C / (6 N c_mul(S) tokens per unit), with c_mul(S) = rho(S) / (1 - S), 1 for dense runs."""
    schedule = reading.schedule
    if schedule is None and sparsity > 0 and cell["strategy"]:
        try:
            schedule = schedule_of(cell["strategy"])
        except ValueError:  # one that cuts at a moment of its own choosing
            schedule = None
    if sparsity > 0 and schedule is None:
        raise RunsError(
            f"{cell.columns.called('data_seen')}: expected a number, found none; it follows from the train_flops of a "
            "sparse run only with what pruned it: give `schedule`, as in cubic:25%..75%."
        )
    per_dense = 1.0 if schedule is None else float(schedule.mean_density(sparsity)) / (1.0 - sparsity)
    per_unit = _FLOPS_PER_PARAMETER_AND_TOKEN * nonzero * per_dense * reading.tokens_per_unit
    return cell.positive("train_flops") / per_unit
