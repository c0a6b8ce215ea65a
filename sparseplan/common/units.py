"""Numbers, sparsities and durations as people write them, in and out: `7B`, `1.5T`, `1e23`, `75%`, `3d12h`."""

import math
import re
from collections.abc import Callable

from sparseplan.errors import QuantityError

_LONGEST = 100
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12, "p": 1e15}
_NUMBER = re.compile(r"([+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([kKmMbBgGtTpP]?)", re.ASCII)
_BYTES = re.compile(r"((?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(?:([kKmMgGtTpP])(i?))?[bB]?", re.ASCII)
_LEAST_BYTES = 1e6
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3}){2,}(?:\.\d*)?", re.ASCII)  # one comma might be a decimal one
_CURRENCIES = "$€£¥"
_SECONDS = (86400.0, 3600.0, 60.0, 1.0)


def parse_number(text: str) -> float:
    """Read a finite number with an optional suffix k, M, B (or G), T, P, in either case; 20,000,000 is one too, and so
    is a product such as 8*720.

    Raises:
        QuantityError: if the text is not such a number.

    >>> parse_number("7B"), parse_number("1.5T"), parse_number("1e23"), parse_number("300_000")
    (7000000000.0, 1500000000000.0, 1e+23, 300000.0)
    >>> parse_number("8*720")
    5760.0
    """
    word = text.strip()
    if "*" in word and len(word) <= _LONGEST:
        return _finite(math.prod(parse_number(factor) for factor in word.split("*")), text)
    if _THOUSANDS.fullmatch(word):
        word = word.replace(",", "")
    match = _NUMBER.fullmatch(word) if len(word) <= _LONGEST else None
    if match is None:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise QuantityError(f"expected a number such as 7B, 1.5T, 300M or 1e23, found {shown!r}.")
    return _finite(float(match[1]) * _FACTORS[match[2].lower()], text)


def _finite(value: float, text: str) -> float:
    if not math.isfinite(value):
        raise QuantityError(f"expected a finite number, found {text!r}, which is too large to represent.")
    return value


def parse_positive(text: str) -> float:
    """Read a number as `parse_number` does and require it to be above zero.

    Raises:
        QuantityError: if the text is not a number or is not positive.

    >>> parse_positive("300M")
    300000000.0
    """
    value = parse_number(text)
    if value <= 0:
        raise QuantityError(f"expected a number above 0, found {text!r}.")
    return value


def is_one_number(text: str) -> bool:
    """Whether commas, if there are any, stand between the thousands of one number.

    >>> is_one_number("20,000,000"), is_one_number("1e21,1e22")
    (True, False)
    """
    return ("," not in text and ".." not in text) or _THOUSANDS.fullmatch(text.strip()) is not None


def parse_span(text: str) -> tuple[float, float]:
    """Read two numbers with two dots between them, as in 1M..10B.

    Raises:
        QuantityError: if the text is not such a range, or it doesn't go from small to large.

    >>> parse_span("1M..10B")
    (1000000.0, 10000000000.0)
    """
    parts = re.split(r"\.\.(?!\.)", text)
    if len(parts) != 2:
        raise QuantityError(f"expected a range such as 1M..10B, found {text!r}.")
    low, high = (parse_positive(part) for part in parts)
    if low >= high:
        raise QuantityError(f"expected a range from small to large, found {text!r}.")
    return low, high


def parse_money(text: str) -> float:
    """Read an amount of money above zero, with or without a currency's sign before it, which is dropped.

    Raises:
        QuantityError: if the text is not a number or is not positive.

    >>> parse_money("$2.50"), parse_money("2.5")
    (2.5, 2.5)
    """
    word = text.strip()
    return parse_positive(word[1:] if word[:1] in tuple(_CURRENCIES) else text)


def parse_bytes(text: str) -> float:
    """Read an amount of memory from 1 MB, in bytes or with a unit: decimal as in 80GB, binary as in 80GiB.

    Raises:
        QuantityError: if the text is no such amount.

    >>> parse_bytes("80GB"), parse_bytes("1 MiB"), parse_bytes("8e10")
    (80000000000.0, 1048576.0, 80000000000.0)
    """
    match = _BYTES.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if match is None:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise QuantityError(f"expected an amount of memory such as 80GB or 80GiB, found {shown!r}.")
    base = 1024.0 if match[3] else 1000.0
    value = _finite(float(match[1]) * base ** ("kmgtp".index(match[2].lower()) + 1 if match[2] else 0), text)
    if value < _LEAST_BYTES:  # a unit was forgotten, as in 80
        raise QuantityError(f"expected an amount of memory such as 80GB or 80GiB, found {text!r}, {value:g} bytes.")
    return value


def parse_sparsity(text: str) -> float:
    """Read a sparsity in [0, 1), as a fraction or in percent.

    Raises:
        QuantityError: if the text is not a number or lies outside [0, 1).

    >>> parse_sparsity("0.875"), parse_sparsity("75%")
    (0.875, 0.75)
    """
    percent = text.strip().endswith("%")
    value = parse_number(text.strip().removesuffix("%")) / (100.0 if percent else 1.0)
    if not 0.0 <= value < 1.0:
        hint = f"; for {value:g} percent write {value:g}%" if 1.0 < value < 100.0 and not percent else ""
        raise QuantityError(
            f"expected a sparsity in [0, 1), the fraction of weights that are zero, found {text!r}{hint}."
        )
    return value


def parse_share(text: str) -> float:
    """Read a share in (0, 1], as a fraction or in percent.

    Raises:
        QuantityError: if the text is not a number or lies outside (0, 1].

    >>> parse_share("0.4"), parse_share("100%")
    (0.4, 1.0)
    """
    value = parse_number(text.strip().removesuffix("%")) / (100.0 if text.strip().endswith("%") else 1.0)
    if not 0.0 < value <= 1.0:
        raise QuantityError(f"expected a share above 0 and at most 1, as in 0.4 or 40%, found {text!r}.")
    return value


def format_count(value: float) -> str:
    """Write a count with three significant digits and a suffix; beyond a quadrillion in powers of ten.

    >>> format_count(7e9), format_count(1.234e12), format_count(450), format_count(1e23)
    ('7.00B', '1.23T', '450', '1e23')
    """
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.3g}")
    if abs(rounded) < 1e3:
        return f"{rounded:.3g}"
    if abs(rounded) >= 1e15:
        return format_scientific(value)
    for suffix, factor in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(rounded) >= factor:
            scaled = rounded / factor
            digits = 2 - math.floor(math.log10(abs(scaled)))
            return f"{scaled:.{digits}f}{suffix}"
    raise AssertionError("unreachable: every size has a suffix")


def format_scientific(value: float, *, digits: int = 3) -> str:
    """Write a number as mantissa and power of ten, with at most so many digits and no padding.

    >>> format_scientific(1e23), format_scientific(2.346e19)
    ('1e23', '2.35e19')
    """
    if not math.isfinite(value):
        return str(value)
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def format_bytes(count: float) -> str:
    """Write bytes in decimal units.

    >>> format_bytes(1.5e10), format_bytes(42e6), format_bytes(80)
    ('15.0 GB', '42.0 MB', '80 bytes')
    """
    if count < 1e5:
        return f"{count:,.0f} bytes"
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e6:.1f} MB"


def format_percent(fraction: float) -> str:
    """Write a fraction in percent with at most one decimal.

    >>> format_percent(0.5), format_percent(0.875)
    ('50%', '87.5%')
    """
    return f"{100 * fraction:.1f}".removesuffix(".0") + "%"


def format_sparsity(value: float) -> str:
    """Write a sparsity in percent, never rounding one below 1 to 100 %.

    >>> format_sparsity(0.875), format_sparsity(0.99996)
    ('87.5%', '99.996%')
    """
    return format_percent(value) if value < 0.9995 else f"{100 * value:.12g}%"


def format_duration(seconds: float) -> str:
    """Write a duration in its two largest units.

    >>> format_duration(302400), format_duration(95), format_duration(0.25)
    ('3d12h', '1m35s', '0.2s')
    """
    if not math.isfinite(seconds):
        return str(seconds)
    if seconds < 10:
        return f"{seconds:.1f}s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in zip("dhms", (86400, 3600, 60, 1), strict=True):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == 2:
            break
    return "".join(parts)


def format_loss(value: float) -> str:
    """Write a loss with four decimals."""
    return f"{value:.4f}"


def format_difference(nats: float) -> str:
    """Write a difference of losses with four decimals, or three digits where those would read 0.

    >>> format_difference(0.0096), format_difference(3.2e-6), format_difference(0.0)
    ('0.0096', '3.2e-6', '0.0000')
    """
    return f"{nats:.4f}" if nats == 0 or abs(nats) >= 5e-5 else format_scientific(nats)


def format_regret(nats: float) -> str:
    """Write what a plan loses, to the thousandth of a nat that a law can be held to.

    >>> format_regret(0.0048), format_regret(3.2e-6), format_regret(0.0)
    ('0.005', 'under 0.0005', '0')
    """
    if nats == 0:
        return "0"
    return f"{nats:.3f}" if nats >= 5e-4 else "under 0.0005"


def format_bounds(bounds: tuple[float, float], write: Callable[[float], str]) -> str:
    """Write an interval, or one value where both ends read the same."""
    low, high = (write(value) for value in bounds)
    return low if low == high else f"{low} .. {high}"


def format_ratio(ratio: float) -> str:
    """Write a ratio with three digits.

    >>> format_ratio(1.154), format_ratio(70.16), format_ratio(0.02), format_ratio(999.6), format_ratio(123456.0)
    ('1.15x', '70.2x', '0.02x', '1e3x', '1.23e5x')
    """
    return f"{ratio:.3g}x" if 1e-3 <= ratio < 999.5 else f"{format_scientific(ratio)}x"
