"""What the dense weights that runs of a table started from had been trained on: the column `dense_data_seen`."""

from collections.abc import Iterable

from sparseplan.common.units import parse_positive
from sparseplan.errors import QuantityError, RunsError
from sparseplan.runs.cells import Row

COLUMN = "dense_data_seen"


def dense_data_range(rows: Iterable[Row]) -> tuple[float, float] | None:
    """Smallest and largest value of the column among some rows; None where all started from scratch.

    Raises:
        RunsError: if a value is no number above 0, or only some rows have one: a law holds for one kind of start.
    """
    said = {row.where: str(row.cells.get(COLUMN) or "").strip() for row in rows}
    without = [where for where, word in said.items() if not word]
    if len(without) == len(said):
        return None
    if without:
        raise RunsError(
            f"{without[0]}: {COLUMN}: expected what its dense weights had been trained on, as other runs of the table "
            "say, found nothing. Runs from scratch have a law of their own: fit them from a table of theirs."
        )
    values = []
    for where, word in said.items():
        try:
            values.append(parse_positive(word))
        except QuantityError as problem:
            raise RunsError(f"{where}: {COLUMN}: {problem}") from None
    return min(values), max(values)
