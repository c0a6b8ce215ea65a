"""Arguments as people write them, into numbers; a mistake names its argument."""

from collections.abc import Callable, Sequence
from operator import index
from typing import TypeVar

from sparseplan.common.units import parse_bytes, parse_money, parse_positive, parse_sparsity
from sparseplan.errors import PatternError, PlanError, QuantityError, nearest
from sparseplan.sparsity.pattern import Pattern, parse_pattern

FEWEST_PARAMETERS = 100
"""Fewer prunable weights than the smallest model of any law's runs, by far."""
Number = float | int | str
PatternLike = str | Pattern
Read = TypeVar("Read")


def positive(name: str, value: Number | None) -> float | None:
    """A number above 0, 7e9 or "7B"; None stays None.

    Raises:
        QuantityError: naming the argument, for anything else.

    >>> positive("params", "7B"), positive("params", None)
    (7000000000.0, None)
    """
    return None if value is None else _named(name, value, parse_positive)


def count(name: str, value: Number | None) -> float | None:
    """A number of parameters, as `positive`; too few for any model are taken for a forgotten suffix.

    >>> count("params", "7B")
    7000000000.0
    """
    number = positive(name, value)
    if number is not None and number < FEWEST_PARAMETERS:
        raise QuantityError(
            f"`{name}`: expected at least {FEWEST_PARAMETERS:,} parameters, found {number:g}; did you mean {number:g}B?"
        )
    return number


def money(name: str, value: Number | None) -> float | None:
    """An amount of money above 0, 2.5 or "$2.50"; None stays None."""
    return None if value is None else _named(name, value, parse_money)


def memory(name: str, value: Number | None) -> float | None:
    """An amount of memory in bytes above 0, 8e10 or "80GB"; None stays None."""
    return None if value is None else _named(name, value, parse_bytes)


def needed(name: str, value: Number) -> float:
    """A number above 0, as `positive`."""
    return _named(name, value, parse_positive)


def sparsity(name: str, value: Number | None) -> float | None:
    """A sparsity in [0, 1), 0.75 or "75%"; None stays None."""
    return None if value is None else _named(name, value, parse_sparsity)


def share(name: str, value: Number) -> float:
    """A sparsity in [0, 1), as `sparsity`."""
    return _named(name, value, parse_sparsity)


def pattern(name: str, value: PatternLike) -> Pattern:
    """A pattern, "unstructured", "2:4" or "n:4"."""
    try:
        return value if isinstance(value, Pattern) else parse_pattern(str(value))
    except PatternError as problem:
        raise PatternError(f"`{name}`: {problem}") from None


def span(name: str, ends: tuple[Number, Number] | None) -> tuple[float, float] | None:
    """A range of numbers above 0.

    Raises:
        PlanError: if it doesn't go from small to large; it names the argument.
    """
    if ends is None:
        return None
    low, high = (needed(name, end) for end in ends)
    if low >= high:
        raise PlanError(f"`{name}`: expected a range from small to large, found {low:g} .. {high:g}.")
    return low, high


def choice(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a word that is none of those known.

    Raises:
        PlanError: naming the argument.
    """
    if value not in known:
        raise PlanError(f"`{name}`: expected {', '.join(known)}, found {value!r}{nearest(str(value), list(known))}.")


def whole(name: str, value: int, *, least: int, most: int | None = None) -> None:
    """Refuse what isn't a whole number from `least` to `most`.

    Raises:
        QuantityError: naming the argument.
    """
    try:
        fits = least <= index(value) and (most is None or value <= most)
    except TypeError:
        fits = False
    if not fits:
        span = f"from {least} on" if most is None else f"from {least} to {most}"
        raise QuantityError(f"`{name}`: expected a whole number {span}, found {value!r}.")


def _named(name: str, value: Number, parse: Callable[[str], Read]) -> Read:
    try:
        return parse(value if isinstance(value, str) else repr(float(value)))
    except (QuantityError, TypeError, ValueError) as problem:
        message = str(problem) if isinstance(problem, QuantityError) else f"expected a number, found {value!r}."
        raise QuantityError(f"`{name}`: {message}") from None
