"""Several values in one word: a list such as 1e21,1e22 and a range of budgets such as 1e21..1e24."""

import math
from pathlib import Path

from sparseplan.common.units import is_one_number, parse_positive, parse_span
from sparseplan.errors import QuantityError

_STEPS = (1, 2, 5)  # of each power of ten: three a decade, and each can be typed again
_NEAR = 1.01


def split(text: str) -> list[str]:
    """Read words between commas; a file whose name has a comma is one word.

    Raises:
        QuantityError: if nothing stands between two commas, or before or after one.

    >>> split("sparse, dense"), split("2:4")
    (['sparse', 'dense'], ['2:4'])
    """
    if "," not in text or _is_file(text):
        return [text]
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise QuantityError(f"expected a value on both sides of every comma, found {text!r}.")
    return parts


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def parse_budgets(text: str) -> list[float]:
    """Read one number, a list of them, or a range: its ends, and 1, 2 and 5 of each power of ten between them.

    Raises:
        QuantityError: naming what is no number above 0, or a range that doesn't go from small to large.

    >>> parse_budgets("1e21,3e21")
    [1e+21, 3e+21]
    >>> parse_budgets("3e20..1e22")
    [3e+20, 5e+20, 1e+21, 2e+21, 5e+21, 1e+22]
    """
    if is_one_number(text):
        return [parse_positive(text)]
    found: list[float] = []
    for part in split(text):
        found += _range(*parse_span(part)) if ".." in part else [parse_positive(part)]
    return found


def _range(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inner = (float(f"{step}e{power}") for power in powers for step in _STEPS)
    return [low, *(value for value in inner if _NEAR * low < value < high / _NEAR), high]
