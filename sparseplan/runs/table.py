"""Runs tables: finished training runs as columns of numbers, checked row by row.

Needed columns: `sparsity`, `nonzero_params`, `data_seen`, `loss`. `nonzero_params` may instead follow from
`dense_params`, and `sparsity` from an n:m `pattern`. Also read where present: `pattern`, `strategy`, `run_id`,
`data_unit`, `unique_data`, `diverged`, and `trunk`, which names the runs that share a part of their training. Numbers
may carry units (`7B`, `75%`). Sparse runs of one table are pruned by one strategy, since a law holds for one, unless
several are asked for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseplan.common.units import parse_positive, parse_sparsity
from sparseplan.errors import PatternError, QuantityError, RunsError, nearest
from sparseplan.runs.column_advice import advice
from sparseplan.runs.reader import Row, Table, read_table
from sparseplan.runs.run_states import is_unfinished, state_column, state_of
from sparseplan.sparsity.pattern import UNSTRUCTURED, Pattern, parse_pattern

Array = NDArray[np.float64]
NEEDED = ("sparsity", "nonzero_params", "data_seen", "loss")
GROUP, TRUNK, SEED = "group", "trunk", "seed"
NO_GROUPS = "none"
KNOWN = (
    *NEEDED,
    "pattern",
    "strategy",
    "dense_params",
    "data_unit",
    "unique_data",
    "train_flops",
    "seed",
    "run_id",
    "diverged",
    GROUP,
    TRUNK,
)
MAX_NAMED_ROWS = 3
COUNT_TOLERANCE = 0.02  # rounding to whole n:m groups moves a count by less
_MISSING_WORDS = {"", "nan", "none", "null", "na", "n/a", "inf", "-inf", "+inf", "infinity", "-infinity", "diverged"}
_TRUE_WORDS = {"true", "1", "1.0", "yes", "y"}
_FALSE_WORDS = {"false", "0", "0.0", "no", "n", "", "none", "null", "nan"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A row that a rule leaves out of the table: where it is, and which rule."""

    where: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Runs:
    """Finished runs as columns; every array has shape (n,).

    Attributes:
        sparsity: S in [0, 1).
        nonzero_params: N, prunable weights left at the end, > 0.
        data_seen: D in `data_unit`, repeats counted, > 0.
        loss: validation loss in nats, > 0.
        family: pattern family of each run, `unstructured`, `n:4`, ...; meaningless where S = 0.
        run_id: a name for each run, its place in the file where the table has none.
        where: its place in the file, `runs.csv:7`; empty for runs that come from no table.
        group: number of the run's group, equal for runs that share a trunk or seed; None where all are separate.
        grouped_by: the file's column that says so; None as `group`.
        labels: further columns of what runs may share, `trunk` and `seed`, by the file's name with numbers as `group`.
        independent: whether the user said that no runs share anything.
        data_unit: what D counts; None where the table doesn't say.
        strategy: the one strategy of the sparse runs; None where the table doesn't say, or has several.
        strategies: of each run, where there are several; what it says of a dense run means nothing.
        unique_data: the unique data that each run drew on, shape (n,), infinite where the table doesn't say; None where
            it says so of no run.
        left_out: rows that rules left out.
        remarks: what a reader of the table may have expected and doesn't hold, in sentences.
        source: where they come from, and `sha256` the file's hash, empty for runs in memory.
    """

    sparsity: Array
    nonzero_params: Array
    data_seen: Array
    loss: Array
    family: tuple[str, ...]
    run_id: tuple[str, ...]
    where: tuple[str, ...] = ()
    group: NDArray[np.int64] | None = None
    grouped_by: str | None = None
    labels: tuple[tuple[str, NDArray[np.int64]], ...] = ()
    independent: bool = False
    data_unit: str | None = None
    strategy: str | None = None
    strategies: tuple[str, ...] | None = None
    unique_data: Array | None = None
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()
    source: str = ""
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def groups(self) -> int:
        """Number of independent units: groups, or runs where all are separate."""
        return len(self) if self.group is None else len(np.unique(self.group))

    def name(self, row: int) -> str:
        """A run by its place in the file and its own name, as far as it has them."""
        place, own = (self.where[row] if self.where else ""), self.run_id[row]
        return own if place in ("", own) else f"{place} ({own})"

    def take(self, rows: NDArray[Any]) -> "Runs":
        """The chosen runs, by index or mask, in that order."""
        index = np.arange(len(self))[rows]
        return replace(
            self,
            sparsity=self.sparsity[index],
            nonzero_params=self.nonzero_params[index],
            data_seen=self.data_seen[index],
            loss=self.loss[index],
            family=tuple(self.family[i] for i in index),
            run_id=tuple(self.run_id[i] for i in index),
            where=tuple(self.where[i] for i in index) if self.where else (),
            strategies=None if self.strategies is None else tuple(self.strategies[i] for i in index),
            group=None if self.group is None else self.group[index],
            labels=tuple((name, numbers[index]) for name, numbers in self.labels),
            unique_data=None if self.unique_data is None else self.unique_data[index],
        )


def of_strategy(runs: Runs, strategy: str) -> NDArray[np.bool_]:
    """Which runs are dense or of one of several strategies, shape (n,)."""
    names = runs.strategies or (runs.strategy,) * len(runs)
    return np.array([S == 0 or one == strategy for S, one in zip(runs.sparsity, names, strict=True)])


def set_name(strategy: str | None, family: str) -> str:
    """What a set of sparsity coefficients is called: its pattern family, under a strategy where there are several.

    >>> set_name(None, "n:4"), set_name("rigl", "unstructured"), set_name("ste", "n:4")
    ('n:4', 'rigl', 'ste/n:4')
    """
    if strategy is None:
        return family
    return strategy if family == str(UNSTRUCTURED) else f"{strategy}/{family}"


def read_runs(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    several_strategies: bool = False,
) -> Runs:
    """Read and check a runs table.

    Args:
        path: a .csv, .tsv, .jsonl, .json or .parquet file.
        columns: our column names to the table's: `{"nonzero_params": "N"}`.
        group: the table's column that names the runs that share a trunk or seed; by default `trunk`, which
            `sparseplan calibrate` writes, where there is one. A column that happens to be called `group` is only used
            when asked for. `none` says that no runs share anything.
        several_strategies: whether sparse runs may be of several strategies; each has a law of its own.

    Raises:
        RunsError: naming the first bad rows by file and line, and how many more there are.
    """
    return runs_from(read_table(path), columns=columns, group=group, several_strategies=several_strategies)


def runs_from(
    table: Table,
    *,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    several_strategies: bool = False,
) -> Runs:
    """Check a table's rows, from a file or from memory; as `read_runs`.

    Raises:
        RunsError: naming the first bad rows by their place, and how many more there are.
    """
    independent = group == NO_GROUPS and NO_GROUPS not in table.columns
    names = _column_names(table, dict(columns or {}), None if independent else group)
    parsed, left_out, bad = [], [], []
    seen: dict[tuple[str, ...], str] = {}
    by_id: dict[str, str] = {}
    state = state_column(table, names.values())
    for row in table.rows:
        if state is not None and is_unfinished(state_of(row, state)):
            left_out.append(LeftOut(where=row.where, reason=f"{state} is {state_of(row, state)}"))
            continue
        try:
            run = _parse_row(row, names)
        except (QuantityError, PatternError, RunsError) as problem:
            bad.append(f"{row.where}: {problem}")
            continue
        if isinstance(run, LeftOut):
            left_out.append(run)
            continue
        key = tuple(_word(row.cells.get(name)) for name in table.columns)
        if key in seen:
            left_out.append(LeftOut(where=row.where, reason=f"repeats {seen[key]} in every column"))
            continue
        if run.run_id is not None and run.run_id in by_id:
            bad.append(f"{row.where}: expected each run_id once, found {run.run_id!r} again with other values.")
            continue
        seen[key] = row.where
        if run.run_id is not None:
            by_id[run.run_id] = row.where
        parsed.append(run)
    strategies = sorted({run.strategy for run in parsed if run.strategy and run.sparsity > 0})
    if len(strategies) > 1 and several_strategies:
        unsaid = [run.where for run in parsed if run.sparsity > 0 and not run.strategy]
        bad += [
            f"{where}: expected the strategy of a sparse run, as other rows have it, found none." for where in unsaid
        ]
    elif len(strategies) > 1:
        bad.append(
            f"{table.source}: expected sparse runs of one strategy, since each has a law of its own, "
            f"found {', '.join(strategies)}; keep one of them and the dense runs, or fit all on one dense base and "
            "take the law of one: `fit` with `strategy`."
        )
    units = sorted({run.data_unit for run in parsed if run.data_unit})
    if len(units) > 1:
        bad.append(f"{table.source}: expected one data_unit for all runs, found {', '.join(units)}.")
    if bad:
        left = len(bad) - MAX_NAMED_ROWS
        more = f"\n... and {left} more bad row{'s' if left > 1 else ''}." if len(bad) > MAX_NAMED_ROWS else ""
        raise RunsError("\n".join(bad[:MAX_NAMED_ROWS]) + more)
    if not parsed:
        raise RunsError(f"{table.source}: no run is left: {left_out[0].where}: {left_out[0].reason}.")
    numbers = None if independent else _group_numbers([run.group for run in parsed])
    return Runs(
        sparsity=np.array([run.sparsity for run in parsed]),
        nonzero_params=np.array([run.nonzero_params for run in parsed]),
        data_seen=np.array([run.data_seen for run in parsed]),
        loss=np.array([run.loss for run in parsed]),
        family=tuple(run.family for run in parsed),
        run_id=tuple(run.run_id or run.where for run in parsed),
        where=tuple(run.where for run in parsed),
        group=numbers,
        grouped_by=None if numbers is None else names.get(GROUP, names.get(TRUNK)),
        labels=_labels(parsed, names),
        independent=independent,
        data_unit=units[0] if units else None,
        strategy=strategies[0] if len(strategies) == 1 else None,
        strategies=tuple(run.strategy or "" for run in parsed) if len(strategies) > 1 else None,
        unique_data=_unique_data([run.unique_data for run in parsed]),
        left_out=tuple(left_out),
        remarks=_remarks(table, names),
        source=table.source,
        sha256=table.sha256,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
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


def _column_names(table: Table, columns: dict[str, str], group: str | None) -> dict[str, str]:
    """Our name to the file's, for every column that is there."""
    for ours, theirs in columns.items():
        if ours not in KNOWN:
            raise RunsError(f"`columns` {ours}={theirs}: expected one of {', '.join(KNOWN)}{nearest(ours, KNOWN)}.")
        if theirs not in table.columns:
            raise RunsError(
                f"{table.source}: `columns` {ours}={theirs}: there is no column {theirs!r}"
                f"{nearest(theirs, table.columns)}; the table has {', '.join(table.columns)}."
            )
    if group is not None:
        if group not in table.columns:
            known = ", ".join(table.columns)
            raise RunsError(f"{table.source}: `group` {group}: there is no such column; the table has {known}.")
        columns = columns | {GROUP: group}
    names = {name: name for name in KNOWN if name in table.columns and name != GROUP} | columns
    missing = [name for name in NEEDED if name not in names]
    if "nonzero_params" in missing and "dense_params" in names:
        missing.remove("nonzero_params")
    if "sparsity" in missing and "pattern" in names:
        missing.remove("sparsity")
    if missing:
        columns_are = f"column {missing[0]} is" if len(missing) == 1 else f"columns {', '.join(missing)} are"
        unread = [name for name in table.columns if name not in names.values()]
        known = advice(missing, unread) or "Say which column is which with `columns`, as in nonzero_params=N."
        raise RunsError(f"{table.source}: the {columns_are} missing; the table has {', '.join(table.columns)}. {known}")
    return names


def _remarks(table: Table, names: dict[str, str]) -> tuple[str, ...]:
    if GROUP not in table.columns or GROUP in names.values():
        return ()
    return (f"the column {GROUP!r} isn't used; `group` takes it if it names runs that share a trunk or seed.",)


def _parse_row(row: Row, names: dict[str, str]) -> "_Run | LeftOut":
    cells = {name: _word(row.cells.get(theirs)) for name, theirs in names.items()}
    if _truth(cells.get("diverged", "")):
        return LeftOut(where=row.where, reason="marked as diverged")
    if cells["loss"].lower() in _MISSING_WORDS:
        return LeftOut(where=row.where, reason=f"no finite loss ({cells['loss'] or 'empty'})")
    pattern = _pattern(cells.get("pattern", ""))
    sparsity = _sparsity(cells.get("sparsity", ""), pattern)
    return _Run(
        where=row.where,
        sparsity=sparsity,
        nonzero_params=_nonzero_params(cells, sparsity),
        data_seen=_positive("data_seen", cells["data_seen"]),
        loss=_positive("loss", cells["loss"]),
        family=pattern.family if pattern is not None else "unstructured",
        run_id=cells.get("run_id") or None,
        group=cells.get(GROUP if GROUP in names else TRUNK) or None,
        labels={name: cells[name] for name in (TRUNK, SEED) if cells.get(name)},
        strategy=cells.get("strategy") or None,
        data_unit=cells.get("data_unit") or None,
        unique_data=_positive("unique_data", cells["unique_data"]) if cells.get("unique_data") else None,
    )


def _word(value: Any) -> str:
    return "" if value is None else (repr(value) if isinstance(value, float) else str(value)).strip()


def _truth(word: str) -> bool:
    if word.lower() in _TRUE_WORDS:
        return True
    if word.lower() in _FALSE_WORDS:
        return False
    raise RunsError(f"diverged: expected true or false, found {word!r}.")


def _positive(name: str, word: str) -> float:
    try:
        return parse_positive(word)
    except QuantityError as problem:
        raise QuantityError(f"{name}: {problem}") from None


def _pattern(word: str) -> Pattern | None:
    if word.lower() in {"", "dense", "none"}:
        return None
    try:
        return parse_pattern(word)
    except PatternError as problem:
        raise PatternError(f"pattern: {problem}") from None


def _sparsity(word: str, pattern: Pattern | None) -> float:
    made = pattern.sparsity if pattern is not None else None
    if not word and made is not None:
        return made
    try:
        sparsity = parse_sparsity(word)
    except QuantityError as problem:
        raise QuantityError(f"sparsity: {problem}") from None
    if made is not None and sparsity > 0 and not math.isclose(sparsity, made, abs_tol=COUNT_TOLERANCE):
        raise RunsError(f"sparsity: expected {made:g}, which the pattern {pattern} makes, found {word}.")
    return sparsity


def _nonzero_params(cells: dict[str, str], sparsity: float) -> float:
    if not cells.get("dense_params"):
        return _positive("nonzero_params", cells.get("nonzero_params", ""))
    dense = _positive("dense_params", cells["dense_params"])
    if not cells.get("nonzero_params"):
        return dense * (1.0 - sparsity)
    nonzero = _positive("nonzero_params", cells["nonzero_params"])
    expected = dense * (1.0 - sparsity)
    if not math.isclose(nonzero, expected, rel_tol=COUNT_TOLERANCE):
        raise RunsError(
            f"nonzero_params: expected about {expected:.6g}, which is dense_params x (1 - sparsity), "
            f"found {nonzero:.6g}. The law's N counts the weights that are left."
        )
    return nonzero


def _unique_data(values: list[float | None]) -> Array | None:
    if all(value is None for value in values):
        return None
    return np.array([np.inf if value is None else value for value in values])


def _labels(runs: list[_Run], names: dict[str, str]) -> tuple[tuple[str, NDArray[np.int64]], ...]:
    """What runs may share besides their group, by the table's name; nothing where no two runs share one."""
    numbered = (
        (names[name], _group_numbers([run.labels.get(name) for run in runs])) for name in (TRUNK, SEED) if name in names
    )
    return tuple((name, numbers) for name, numbers in numbered if numbers is not None)


def _group_numbers(groups: list[str | None]) -> NDArray[np.int64] | None:
    """Number the groups; a run without one is a group of its own; None where no two runs share one."""
    labels = [("run", str(i)) if name is None else ("group", name) for i, name in enumerate(groups)]
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return None if len(numbers) == len(labels) else np.array([numbers[label] for label in labels], dtype=np.int64)
