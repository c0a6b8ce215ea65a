"""What a comparison of strategies says: the part `strategies` of a fit's answer, and `strategies.json`."""

from typing import Literal

import msgspec
from msgspec import Struct

from sparseplan.common.intervals import Bounds

Kind = Literal["multiplier", "loss"]


class Valued(Struct, frozen=True, kw_only=True):
    """A value and the central share of its draws; None without draws."""

    value: float
    interval: Bounds | None


class AtSparsity(Struct, frozen=True, kw_only=True):
    """A set of coefficients at one sparsity.

    Attributes:
        multiplier: Size multiplier m.
        cost: c_mul under sparse FLOPs: training FLOPs against a dense model of the same non-zero size and data. Null,
            as what follows from it, where nobody said when the strategy prunes.
        loss: At the table's `train_flops` and `nonzero_params`, nats.
        above_dense: That less the loss of a dense model of the same non-zero size and training FLOPs.
    """

    sparsity: float
    multiplier: Valued
    cost: float | None
    loss: Valued | None
    above_dense: Valued | None


class SetRow(Struct, frozen=True, kw_only=True):
    """What a strategy has in one pattern family.

    Attributes:
        strategy, pattern: Which.
        runs: Sparse runs of it.
        sparsities: Which sparsities they have.
        determined: Whether the runs determine its coefficients; else only what follows at the sparsities that were run.
        coefficients: Its own.
        error: Root mean square of log(measured / predicted) of its runs.
        at: What follows, at each sparsity of the table that its runs reach.
    """

    strategy: str
    pattern: str
    runs: int
    sparsities: list[float]
    determined: bool
    coefficients: dict[str, Valued]
    error: float
    at: list[AtSparsity]


class Difference(Struct, frozen=True, kw_only=True):
    """Two sets at one sparsity: the logarithm of the ratio of the first's value to the second's.

    Attributes:
        of: The size multiplier, or the loss at equal training FLOPs and non-zero size.
        first, second: Names of the sets.
        log_ratio: The value.
        interval: Its own interval.
        simultaneous: The interval that holds together with all others of the same kind.
        real: Whether that one excludes 0.
    """

    of: Kind
    sparsity: float
    first: str
    second: str
    log_ratio: float
    interval: Bounds
    simultaneous: Bounds
    real: bool


class StrategyTable(Struct, frozen=True, kw_only=True):
    """The comparison of strategies on one dense base.

    Attributes:
        base: The coefficients that all have in common.
        nonzero_params, data_unit: Of the losses at equal training FLOPs: non-zero size, and what data counts in.
        train_flops: Of those losses.
        stretch: By how much the simultaneous intervals are wider, for each kind of difference; None without draws.
    """

    form: str
    status: str
    level: float
    base: dict[str, Valued]
    nonzero_params: float
    train_flops: float
    data_unit: str
    sets: list[SetRow]
    differences: list[Difference]
    stretch: dict[str, float] | None
    format: Literal["sparseplan-strategies/1"] = "sparseplan-strategies/1"


def to_json(table: StrategyTable) -> str:
    """The table as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(table), indent=2).decode()
