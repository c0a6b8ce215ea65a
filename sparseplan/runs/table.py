"""Runs tables: finished training runs as columns of numbers, checked row by row.

Needed columns: `sparsity`, `nonzero_params`, `data_seen`, `loss`. `nonzero_params` may instead follow from
`dense_params`, `sparsity` from an n:m `pattern`, and `data_seen` from `train_flops`. Also read where present:
`pattern`, `strategy`, `run_id`, `data_unit`, `unique_data`, `dense_data_seen`, `diverged`, and `trunk`, which names the
runs that share a part of their training. Numbers may carry units (`7B`, `75%`). Sparse runs of one table are pruned by
one strategy, since a law holds for one, unless several are asked for.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseplan.errors import RunsError
from sparseplan.runs.cells import Row, column_of, word
from sparseplan.runs.column_names import GROUP, SEED, TRUNK, ColumnNames, column_names
from sparseplan.runs.last_rows import last_rows, order_of
from sparseplan.runs.pretrained import dense_data_range
from sparseplan.runs.reader import Table, read_table
from sparseplan.runs.reading import PLAIN, Reading
from sparseplan.runs.row_values import LeftOut, RowValues, row_values
from sparseplan.runs.run_states import state_column
from sparseplan.runs.where import keep
from sparseplan.sparsity.pattern import UNSTRUCTURED

Array = NDArray[np.float64]
MAX_NAMED_ROWS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """A rule by which rows of a table are no runs, and how many."""

    rule: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Understood:
    """How a table was understood.

    Attributes:
        rows: rows that it has.
        dropped: rows that are no runs, by rule, in the order of the rules; with the runs they make up `rows`.
        columns: our names to the table's where these differ.
        constants: our columns that all runs have one value of.
        data_from_flops: runs whose data follows from their training FLOPs.
    """

    rows: int
    dropped: tuple[Dropped, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    data_from_flops: int = 0


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
        dense_data_seen: smallest and largest data that their dense starts had seen; None for runs from scratch.
        left_out: rows that are no results, by the place of each.
        understood: how the table was understood; None for runs that come from none.
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
    dense_data_seen: tuple[float, float] | None = None
    left_out: tuple[LeftOut, ...] = ()
    understood: Understood | None = None
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


def read_runs(path: Path, reading: Reading = PLAIN) -> Runs:
    """Read and check a runs table.

    Args:
        path: a file as `read_table` takes it, or `-` for standard input.
        reading: which of its columns is which of ours, and which rows count.

    Raises:
        RunsError: naming the first bad rows by file and line, and how many more there are.
    """
    return runs_from(read_table(path), reading)


def runs_from(table: Table, reading: Reading = PLAIN) -> Runs:
    """Check a table's rows, from a file or from memory; as `read_runs`.

    Rows are chosen first: those that meet every condition, of these the last of each run. Rules then leave out what is
    no result.

    Raises:
        RunsError: naming the first bad rows by their place, and how many more there are.
    """
    columns = column_names(table, reading)
    rows, rules = _chosen_rows(table, reading, columns)
    names = columns.names
    parsed, left_out, bad = [], [], []
    seen: dict[tuple[str, ...], str] = {}
    by_id: dict[str, str] = {}
    state = state_column(table.columns, rows, names.values(), columns.preset)

    def leave_out(where: str, reason: str, rule: str) -> None:
        left_out.append(LeftOut(where=where, reason=reason))
        rules[rule] += 1

    for row in rows:
        unfinished = None if state is None else state.unfinished(row)
        if state is not None and unfinished is not None:
            leave_out(row.where, f"{state.name} is {unfinished}", f"{state.name} is {unfinished}")
            continue
        try:
            run = row_values(row, columns, reading)
        except RunsError as problem:
            bad.append(f"{row.where}: {problem}")
            continue
        if isinstance(run, LeftOut):
            leave_out(run.where, run.reason, run.reason.partition(" (")[0])
            continue
        key = tuple(word(row.cells.get(name)) for name in table.columns)
        if key in seen:
            leave_out(row.where, f"repeats {seen[key]} in every column", "repeats another row in every column")
            continue
        if run.run_id is not None and run.run_id in by_id:
            bad.append(
                f"{row.where}: expected each run_id once, found {run.run_id!r} again with other values. If a run has "
                "a row for each evaluation, `last_per` run_id takes the last."
            )
            continue
        seen[key] = row.where
        if run.run_id is not None:
            by_id[run.run_id] = row.where
        parsed.append(run)
    strategies = sorted({run.strategy for run in parsed if run.strategy and run.sparsity > 0})
    if len(strategies) > 1:
        bad += _mixed(table.source, parsed, strategies, allowed=reading.several_strategies)
    units = sorted({run.data_unit for run in parsed if run.data_unit})
    if len(units) > 1:
        bad.append(f"{table.source}: expected one data_unit for all runs, found {', '.join(units)}.")
    if bad:
        left = len(bad) - MAX_NAMED_ROWS
        more = f"\n... and {left} more bad row{'s' if left > 1 else ''}." if len(bad) > MAX_NAMED_ROWS else ""
        raise RunsError("\n".join(bad[:MAX_NAMED_ROWS]) + more)
    if not parsed:
        raise RunsError(f"{table.source}: no run is left: {left_out[0].where}: {left_out[0].reason}.")
    numbers = None if columns.independent else _group_numbers([run.group for run in parsed])
    kept = {run.where for run in parsed}
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
        independent=columns.independent,
        data_unit=units[0] if units else None,
        strategy=strategies[0] if len(strategies) == 1 else None,
        strategies=tuple(run.strategy or "" for run in parsed) if len(strategies) > 1 else None,
        unique_data=_unique_data([run.unique_data for run in parsed]),
        dense_data_seen=dense_data_range(row for row in rows if row.where in kept),
        left_out=tuple(left_out),
        understood=Understood(
            rows=len(table.rows),
            dropped=tuple(Dropped(rule=rule, rows=count) for rule, count in rules.items()),
            columns={ours: theirs for ours, theirs in names.items() if ours != theirs},
            constants=dict(columns.constants),
            data_from_flops=sum(run.from_flops for run in parsed),
        ),
        remarks=_remarks(table, names),
        source=table.source,
        sha256=table.sha256,
    )


def _chosen_rows(table: Table, reading: Reading, columns: ColumnNames) -> tuple[list[Row], Counter[str]]:
    """The rows that meet every condition, of these the last of each run; and how many each rule dropped."""
    rows, dropped = list(table.rows), Counter[str]()
    for condition in reading.where:
        argument = f"{table.source}: `where` {condition}"
        column = column_of(condition.column, table.columns, columns.names, argument)
        kept = keep(rows, condition, column, table.source)
        dropped[f"not {condition}"] += len(rows) - len(kept)
        rows = kept
    if columns.last_per is not None:
        order = order_of(table.columns, columns.names.get("data_seen"))
        kept = last_rows(rows, columns.last_per, order, columns.names["loss"])
        by = f" (by {', then '.join(order)})" if order else " (by order of rows)"
        dropped[f"not the last of its {columns.last_per}{by}"] += len(rows) - len(kept)
        rows = kept
    return rows, dropped


def _mixed(source: str, runs: list[RowValues], strategies: list[str], *, allowed: bool) -> list[str]:
    """What is wrong with sparse runs of several strategies."""
    if allowed:
        unsaid = [run.where for run in runs if run.sparsity > 0 and not run.strategy]
        return [
            f"{where}: expected the strategy of a sparse run, as other rows have it, found none." for where in unsaid
        ]
    return [
        f"{source}: expected sparse runs of one strategy, since each has a law of its own, found "
        f"{', '.join(strategies)}; keep one of them and the dense runs, as with `where` strategy!={strategies[-1]}, or "
        "fit all on one dense base and take the law of one: `fit` with `strategy`."
    ]


def _remarks(table: Table, names: Mapping[str, str]) -> tuple[str, ...]:
    if GROUP not in table.columns or GROUP in names.values():
        return ()
    return (f"the column {GROUP!r} isn't used; `group` takes it if it names runs that share a trunk or seed.",)


def _unique_data(values: list[float | None]) -> Array | None:
    if all(value is None for value in values):
        return None
    return np.array([np.inf if value is None else value for value in values])


def _labels(runs: list[RowValues], names: Mapping[str, str]) -> tuple[tuple[str, NDArray[np.int64]], ...]:
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
