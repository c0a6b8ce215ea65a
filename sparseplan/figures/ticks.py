"""Logarithmic axes with a few plain labels, 2.5 and 85M rather than powers with superscripts."""

from typing import TYPE_CHECKING

import numpy as np

from sparseplan.common.units import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DIGITS = (
    *((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)),
    *(
        tuple(np.arange(1, 10)),
        tuple(np.arange(2, 20) / 2),
        tuple(np.arange(5, 50) / 5),
        tuple(np.arange(10, 100) / 10),
    ),
)
_DECADES = 3


def log_axis(axes: "Axes", which: str, *, most: int) -> None:
    """Make "x", "y" or both ("xy") logarithmic, with at most so many labels each."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    for name in which:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        low, high = getattr(axes, f"get_{name}lim")()
        axis.set_major_locator(FixedLocator(round_numbers(low, high, most)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axis.set_minor_formatter(NullFormatter())


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers between two positive ends, as many as there are.

    >>> round_numbers(1.1e10, 9e10, 3)
    [20000000000.0, 50000000000.0]
    >>> round_numbers(1.5, 3.2, 6)
    [1.5, 2.0, 2.5, 3.0]
    """
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    best: list[float] = []
    for step in range(_DECADES, 0, -1):
        for digits in _DIGITS if step == 1 else _DIGITS[:1]:
            powers = [k for k in range(first, last + 1) if k % step == 0]
            found = [float(f"{digit * 10.0**k:.3g}") for k in powers for digit in digits]
            found = [value for value in found if low <= value <= high]
            if len(best) < len(found) <= most:
                best = found
    return best


def short(value: float) -> str:
    """A tick label without trailing zeros.

    >>> short(3e7), short(1.5e10), short(2.5)
    ('30M', '15B', '2.5')
    """
    text = format_count(value)
    number, suffix = (text[:-1], text[-1]) if text[-1].isalpha() else (text, "")
    return f"{float(number):g}{suffix}" if "e" not in number else text
