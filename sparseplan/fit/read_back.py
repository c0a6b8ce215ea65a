"""What a fit read: the ends of every column in one line, and what about them looks like a slip."""

import numpy as np
from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import Bounds, ends
from sparseplan.common.units import format_bounds, format_count, format_loss, format_sparsity
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.runs.table import Runs

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
    """

    sparsity: Bounds
    nonzero_params: Bounds
    data_seen: Bounds
    loss: Bounds
    data_unit: str
    dense_runs: int
    families: list[str]


def read_back(runs: Runs, families: tuple[str, ...], data_unit: str) -> ReadBack:
    """The ends of every column."""
    return ReadBack(
        sparsity=ends(runs.sparsity),
        nonzero_params=ends(runs.nonzero_params),
        data_seen=ends(runs.data_seen),
        loss=ends(runs.loss),
        data_unit=data_unit,
        dense_runs=int(np.sum(runs.sparsity == 0)),
        families=list(families),
    )


def in_words(read: ReadBack) -> str:
    """One line: N 1.25M .. 540M, D 2.00B .. 20.0B tokens, loss 1.971 .. 3.174 nats, S 0% .. 93.8%."""
    sparsity = f"S {format_bounds(read.sparsity, format_sparsity)}" if read.families else "all dense"
    return (
        f"N {format_bounds(read.nonzero_params, format_count)}, "
        f"D {format_bounds(read.data_seen, format_count)} {read.data_unit}s, "
        f"loss {format_bounds(read.loss, format_loss)} nats, {sparsity}"
    )


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
