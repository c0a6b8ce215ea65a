"""What a fit read: the ends of every column in one line, and what about them looks like a slip."""

import numpy as np
from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import Bounds, ends
from sparseplan.common.units import format_bounds, format_count, format_loss, format_sparsity
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.runs.table import Dropped, Runs

_FEWEST = 1e3
_WHOLE = 1e6
"""Below this, counts with decimals are counts of something larger."""
_HIGHEST_LOSS = 12.0
"""The loss of a uniform guess among 163,000 tokens; beyond it a column is rather a perplexity."""


class ReadBack(Struct, frozen=True, kw_only=True):
    """What a runs table holds, as it was understood: [smallest, largest] of every column.

    Attributes:
        data_unit: What data_seen counts.
        dense_runs: Runs with S = 0.
        families: Pattern families of the sparse runs.
        rows: Rows of the table; with the runs `dropped` makes them up, by the rule that dropped each. None for runs
            that come from no table.
        columns: Our column names to the table's, where these differ.
        constants: Columns that the table lacks, with what all runs have there.
        data_from_flops: Runs whose data_seen follows from their train_flops.
    """

    sparsity: Bounds
    nonzero_params: Bounds
    data_seen: Bounds
    loss: Bounds
    data_unit: str
    dense_runs: int
    families: list[str]
    rows: int | None = None
    dropped: list[Dropped] = []
    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    data_from_flops: int = 0


def read_back(runs: Runs, families: tuple[str, ...], data_unit: str) -> ReadBack:
    """The ends of every column, and how the table was understood."""
    known = runs.understood
    return ReadBack(
        sparsity=ends(runs.sparsity),
        nonzero_params=ends(runs.nonzero_params),
        data_seen=ends(runs.data_seen),
        loss=ends(runs.loss),
        data_unit=data_unit,
        dense_runs=int(np.sum(runs.sparsity == 0)),
        families=list(families),
        rows=None if known is None else known.rows,
        dropped=[] if known is None else list(known.dropped),
        columns={} if known is None else dict(known.columns),
        constants={} if known is None else dict(known.constants),
        data_from_flops=0 if known is None else known.data_from_flops,
    )


def in_words(read: ReadBack) -> str:
    """One line: N 1.25M .. 540M, D 2.00B .. 20.0B tokens, loss 1.971 .. 3.174 nats, S 0% .. 93.8%."""
    sparsity = f"S {format_bounds(read.sparsity, format_sparsity)}" if read.families else "all dense"
    return (
        f"N {format_bounds(read.nonzero_params, format_count)}, "
        f"D {format_bounds(read.data_seen, format_count)} {read.data_unit}s, "
        f"loss {format_bounds(read.loss, format_loss)} nats, {sparsity}"
    )


def understood(read: ReadBack, runs: int) -> list[str]:
    """What was made of the table beyond reading it by our own names: rows left out, columns, what it lacks.

    >>> ends = {name: (1.0, 2.0) for name in ("sparsity", "nonzero_params", "data_seen", "loss")}
    >>> read = ReadBack(**ends, data_unit="token", dense_runs=3, families=[], rows=5,
    ...     dropped=[Dropped(rule="State is crashed", rows=2)], columns={"loss": "eval/loss"},
    ...     constants={"sparsity": "0"})
    >>> for line in understood(read, 3): print(line)
    Rows: 3 runs of 5 rows; 2 left out: State is crashed.
    Columns: loss is eval/loss; sparsity = 0 for all runs.
    """
    lines = []
    if read.dropped and read.rows is not None:
        parts = "; ".join(f"{one.rows:,} left out: {one.rule}" for one in read.dropped)
        lines.append(f"Rows: {runs:,} runs of {read.rows:,} rows; {parts}.")
    parts_of = [f"{ours} is {theirs}" for ours, theirs in read.columns.items()]
    words = [", ".join(parts_of)] if parts_of else []
    words += [f"{ours} = {value} for all runs" for ours, value in read.constants.items()]
    if read.data_from_flops:
        words.append(f"data_seen of {read.data_from_flops} runs from their train_flops")
    if words:
        lines.append(f"Columns: {'; '.join(words)}.")
    return lines


def slips(runs: Runs) -> list[Caveat]:
    """Units and columns that look wrong."""
    dense = runs.nonzero_params[runs.sparsity == 0]  # that of a sparse run may be a product, and have decimals
    smallest = float((runs.nonzero_params / (1.0 - runs.sparsity)).min())  # a small model may be left with very few
    found = [
        _unit("N", "nonzero_params", runs.nonzero_params, whole=dense, least=smallest),
        _unit("D", "data_seen", runs.data_seen, whole=runs.data_seen, least=float(runs.data_seen.min())),
        _swapped(runs),
        _perplexity(runs),
    ]
    return [Caveat(code="units", message=message) for message in found if message]


def _unit(letter: str, column: str, values: Array, *, whole: Array, least: float) -> str:
    """Counts that are too small, or aren't whole though they should be."""
    decimals = bool(np.any((whole < _WHOLE) & (np.abs(whole - np.round(whole)) > 1e-6 * whole)))
    if least >= _FEWEST and not decimals:
        return ""
    kind = "has decimals" if decimals else "is small"
    return (
        f"{column} ({values.min():g} .. {values.max():g}) {kind}: is it in thousands, millions or billions? "
        f"{letter} is a plain count, 7e9 or 7B."
    )


def _swapped(runs: Runs) -> str:
    fewer = int(np.sum(runs.data_seen < runs.nonzero_params))
    if 2 * fewer <= len(runs):
        return ""
    return f"{fewer} of {len(runs)} runs saw less data than they have parameters: are the two columns swapped?"


def _perplexity(runs: Runs) -> str:
    high = float(runs.loss.max())
    if high <= _HIGHEST_LOSS:
        return ""
    return (
        f"losses reach {high:.3g}, and a uniform guess among 50,000 tokens has 10.8 nats: is the column a perplexity? "
        "The law is of its logarithm."
    )
