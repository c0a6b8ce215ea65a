"""The runs table of a sweep, from its records."""

from collections.abc import Iterable, Iterator, Mapping

from sparseplan.calibration.strategies import name_of
from sparseplan.runs.facts import RunFacts
from sparseplan.runs.job import RunRecord
from sparseplan.runs.pruning import DENSE
from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import Strategy
from sparseplan.runs.written_table import RunRow
from sparseplan.shapes.families import tag_of

_WHERE_KNOWN = ("unique_data", "dense_data_seen", "dense_train_flops")
"""Facts of some runs only."""


def run_rows(
    runs: Iterable[RunSpec],
    records: Mapping[str, RunRecord],
    dense_runs: Mapping[str, RunRecord],
    strategies: Mapping[str, Strategy],
) -> list[RunRow]:
    """The rows of the finished runs, diverged ones included, by size, sparsity, strategy, data and seed.

    Args:
        runs: The runs.
        records: Those of them that are finished, by run id.
        dense_runs: The dense runs that they started from, likewise.
        strategies: The several of the recipe, by the names that the rows get; without any, records say their own.
    """
    finished = [(run, records[run.run_id]) for run in runs if run.run_id in records]
    places = {name: place for place, name in enumerate((DENSE, *strategies))}

    def name(run: RunSpec, record: RunRecord) -> str:
        return name_of(strategies, run.pruning) if strategies else record.strategy

    finished.sort(
        key=lambda pair: (
            pair[1].dense_params,
            pair[1].sparsity,
            pair[1].pattern,
            places.get(name(*pair), 0),
            pair[1].data_seen,
            pair[1].dense_data_seen or 0.0,
            pair[1].seed,
            -pair[0].optimizer.learning_rate,
        )
    )
    return [_row(run, record, dense_runs, name(run, record)) for run, record in finished]


def _row(run: RunSpec, record: RunRecord, dense_runs: Mapping[str, RunRecord], strategy: str) -> RunRow:
    dense = None if run.dense_run is None else dense_runs.get(run.dense_run.run_id)
    facts = {name: getattr(record, name) for name in RunFacts.__struct_fields__ if name not in _WHERE_KNOWN}
    return RunRow(
        **facts | {"strategy": strategy},
        trunk=run.origin_id,  # whether it was shared or not: such runs saw the same data and initialisation
        diverged=record.diverged,
        loss=record.loss,
        extra=(
            ("bits_per_byte", record.bits_per_byte),
            *_known(
                accuracy=record.accuracy,
                **{name: getattr(record, name) for name in _WHERE_KNOWN},
                dense_loss=None if dense is None else dense.loss,
            ),
            ("family", tag_of(type(run.shape))),
            ("layers", run.shape.layers),
            ("width", run.shape.width),
            ("steps", run.steps),
            ("learning_rate", run.optimizer.learning_rate),
            ("trunk_steps", record.trunk_step),
            ("segment_seconds", record.segment_seconds),
            ("tokens_per_second", record.tokens_per_second),
            ("device", record.device),
            ("semi_structured", record.semi_structured_reason),
            ("note", record.reason),
        ),
    )


def _known(**values: float | None) -> Iterator[tuple[str, float | None]]:
    """Columns that only some tasks and recipes have: a table has them where a run of it does."""
    return ((name, value) for name, value in values.items() if value is not None)
