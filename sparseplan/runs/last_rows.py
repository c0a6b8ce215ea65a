"""The last row of each run, of a table that has one row for each evaluation.

What comes last is decided by the data seen where the table has it, then by a step, then by the order of the rows. Rows
without a loss in them are passed over, since trackers log other metrics at other steps; a loss that is not a number is
a result, that of a run that diverged.
"""

from collections.abc import Sequence

from sparseplan.errors import QuantityError, RunsError
from sparseplan.runs.cells import Row, number, word

STEPS = ("_step", "step", "steps", "global_step", "train/global_step", "trainer/global_step", "iteration", "iter")
"""What W&B, Hugging Face's Trainer, Lightning and others call the step."""


def last_rows(rows: Sequence[Row], run: str, order: Sequence[str], loss: str) -> list[Row]:
    """One row for each value of the column `run`, in the order of the table.

    Args:
        rows: all rows.
        run: the column that names the run.
        order: the columns that say what comes last, the most important first.
        loss: the column of the loss.

    Raises:
        RunsError: for a row that names no run, or whose place is no number.
    """
    last: dict[str, tuple[tuple[bool, list[float]], int]] = {}
    for index, row in enumerate(rows):
        name = word(row.cells.get(run))
        if not name:
            raise RunsError(
                f"{row.where}: {run}: expected the run's name, by which `last_per` tells runs apart, found none."
            )
        place = bool(word(row.cells.get(loss))), [_place(row, column) for column in order]
        if name not in last or place >= last[name][0]:
            last[name] = place, index
    return [rows[index] for index in sorted(index for _, index in last.values())]


def order_of(columns: Sequence[str], data: str | None) -> list[str]:
    """The columns that say what comes last: the data seen, then the step, as far as the table has them."""
    steps = [name for name in STEPS if name in columns][:1]
    return ([] if data is None else [data]) + steps


def _place(row: Row, column: str) -> float:
    cell = word(row.cells.get(column))
    try:
        return number(cell) if cell else float("-inf")
    except QuantityError:
        raise RunsError(
            f"{row.where}: {column}: expected a number, by which `last_per` finds the last row, found {cell!r:.60}."
        ) from None
