"""Which rows to keep: conditions such as `optimizer=adamw` or `step>=1000` on a table's cells."""

import operator
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sparseplan.errors import QuantityError, RunsError
from sparseplan.runs.cells import Row, number, word

_WRITTEN = re.compile(r"\s*(.+?)\s*(!=|<=|>=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Condition:
    """What a cell must be: equal to a value or not, or a number on one side of it.

    Equal are texts but for upper and lower case, and numbers however they are written: 7B and 7e9.
    """

    column: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.column}{self.operator}{self.value}"

    def holds(self, row: Row, column: str) -> bool:
        """Whether the row's cell is so; of < and > an empty cell is on neither side.

        Raises:
            RunsError: if the condition is of a number, and the cell is none.
        """
        cell = word(row.cells.get(column))
        if self.operator in ("=", "!="):
            return _equal(cell, self.value) is (self.operator == "=")
        if not cell:
            return False
        try:
            return _ORDER[self.operator](number(cell), number(self.value))
        except QuantityError:
            raise RunsError(
                f"{row.where}: {column}: expected a number, as `where` {self} asks, found {cell!r:.60}."
            ) from None


def parse_condition(text: str) -> Condition:
    """Read a condition: a column, one of = != < > <= >=, and a value.

    Raises:
        RunsError: if it is not such a condition.

    >>> parse_condition("optimizer=adamw")
    Condition(column='optimizer', operator='=', value='adamw')
    >>> str(parse_condition("config.lr <= 3e-4"))
    'config.lr<=3e-4'
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise RunsError(
            f"`where`: expected a column, one of = != < > <= >=, and a value, as in optimizer=adamw, found {text!r}."
        )
    sign = "=" if found[2] == "==" else found[2]
    if sign in _ORDER:
        try:
            number(found[3])
        except QuantityError:
            raise RunsError(f"`where` {text}: expected a number behind {sign}, found {found[3]!r}.") from None
    return Condition(found[1], sign, found[3])


def keep(rows: list[Row], condition: Condition, column: str, source: str) -> list[Row]:
    """The rows for which a condition on a column holds.

    Raises:
        RunsError: if it holds for none; it says what the column has.
    """
    kept = [row for row in rows if condition.holds(row, column)]
    if not kept:
        counts = Counter(word(row.cells.get(column)) or "nothing" for row in rows)
        found = ", ".join(f"{value:.40} ({count})" for value, count in counts.most_common(_SHOWN))
        more = ", ..." if len(counts) > _SHOWN else ""
        raise RunsError(f"{source}: `where` {condition} holds for no row; {column} has {found}{more}.")
    return kept


def _equal(cell: str, value: str) -> bool:
    if cell.casefold() == value.casefold():
        return True
    try:
        return number(cell) == number(value)
    except QuantityError:
        return False
