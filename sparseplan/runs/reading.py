"""How a table of runs is to be read: which of its columns is which of ours, which rows count, what it does not say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparseplan.runs.where import Condition
from sparseplan.sparsity.schedule import Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Options of a reading.

    Attributes:
        columns: our column names to the table's: `{"nonzero_params": "N"}`.
        group: the table's column that names the runs that share a trunk or seed; by default `trunk`, which
            `sparseplan calibrate` writes, where there is one. A column that happens to be called `group` is only used
            when asked for. `none` says that no runs share anything.
        preset: names of an exporter, see `runs.presets`.
        where: conditions, all of which a row must meet.
        constants: our columns that the table lacks, with the value that all its runs have.
        last_per: the column that names the run, of a table with many rows for each, of which the last counts.
        dense: whether runs are dense where the table has no column of sparsity.
        if_dense: for the error where it has none, and must: what to do about dense runs.
        schedule, tokens_per_unit: how the runs were pruned, and tokens per data unit: what D = C / (6 N c_mul(S)) takes
            where there are train_flops in place of data_seen.
        several_strategies: whether sparse runs may be of several strategies; each has a law of its own.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    preset: str | None = None
    where: tuple[Condition, ...] = ()
    constants: Mapping[str, str] = field(default_factory=dict)
    last_per: str | None = None
    dense: bool = False
    if_dense: str = "`constants` sparsity=0"
    schedule: Schedule | None = None
    tokens_per_unit: float = 1.0
    several_strategies: bool = False


PLAIN = Reading()
"""By our own column names, every row."""
