"""The rows of a table as they stand in it, before anything is made of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sparseplan.common.units import parse_number
from sparseplan.errors import RunsError, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row as it stands in its file: cells by column name, and where it is (`runs.csv:7`)."""

    where: str
    cells: dict[str, Any]


def word(value: Any) -> str:
    """A cell as text, empty where there is none."""
    return "" if value is None else (repr(value) if isinstance(value, float) else str(value)).strip()


def number(text: str) -> float:
    """A number as tables write it: of either sign, with a unit, or in percent.

    Raises:
        QuantityError: if the text is no number.

    >>> number("7B"), number("-0.1"), number("75%")
    (7000000000.0, -0.1, 0.75)
    """
    return parse_number(text[:-1]) / 100.0 if text.endswith("%") else parse_number(text)


def column_of(asked: str, columns: Collection[str], names: Mapping[str, str], argument: str) -> str:
    """The table's column that a user names: by its own name, or by ours where that is mapped to it.

    Args:
        asked: what the user wrote.
        columns: the table's columns.
        names: our names to the table's.
        argument: where it was written, for the error.

    Raises:
        RunsError: if the table has no such column.
    """
    if asked in columns:
        return asked
    if asked in names:
        return names[asked]
    raise RunsError(
        f"{argument}: there is no column {asked!r}{nearest(asked, [*columns, *names])}; "
        f"the table has {', '.join(columns)}."
    )
