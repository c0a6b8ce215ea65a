"""Numbers as people write them."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.common.units import (
    format_count,
    format_duration,
    format_percent,
    format_scientific,
    format_sparsity,
    parse_money,
    parse_number,
    parse_positive,
    parse_sparsity,
)
from sparseplan.errors import QuantityError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8*720", 5760.0),
        ("2 * 1.5k", 3000.0),
        ("7B", 7e9),
        ("7b", 7e9),
        ("1.5T", 1.5e12),
        ("1e23", 1e23),
        ("300M", 3e8),
        ("85k", 85e3),
        (" 2.5 G ", 2.5e9),
        ("1_000_000", 1e6),
        (".5", 0.5),
        ("-3", -3.0),
        ("2e3M", 2e9),
        ("20,000,000", 2e7),
        ("1,234,567.5", 1234567.5),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, value: float) -> None:
    assert parse_number(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "seven",
        "7BB",
        "1,000",
        "1,00,000",
        "20,000,00",
        "nan",
        "inf",
        "1e999",
        "1e308P",
        "1e",
        "7E",
        "0x10",
        "7 B B",
        "٣",
        "1" * 200,
    ],
)
def test_what_is_no_finite_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(QuantityError, match="expected a"):
        parse_number(text)


@given(st.text(max_size=30))
def test_any_text_is_a_finite_number_or_a_clear_error(text: str) -> None:
    try:
        value = parse_number(text)
    except QuantityError as problem:
        message = str(problem)
    else:
        message = "expected, found" if math.isfinite(value) else ""
    assert "expected" in message
    assert "found" in message


@given(st.floats(min_value=1e-3, max_value=1e30))
def test_a_written_count_reads_back_to_three_digits(value: float) -> None:
    assert parse_number(format_count(value)) == pytest.approx(value, rel=6e-3)
    assert parse_number(format_scientific(value)) == pytest.approx(value, rel=6e-3)


@given(st.floats(min_value=1, max_value=1e8))
def test_a_written_duration_is_right_to_its_second_unit(seconds: float) -> None:
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
    written = sum(
        float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([dhms])", format_duration(seconds))
    )
    assert written == pytest.approx(seconds, rel=0.06, abs=0.06)


def test_counts_never_show_a_four_digit_mantissa() -> None:
    assert format_count(999.6) == "1.00k"
    assert format_count(999_600) == "1.00M"
    assert format_count(84_934_656) == "84.9M"


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("0.875", 0.875), ("75%", 0.75), ("87.5 %", 0.875)])
def test_sparsity_is_a_fraction_or_percent(text: str, value: float) -> None:
    assert parse_sparsity(text) == value


@pytest.mark.parametrize("text", ["1", "100%", "-0.1", "75", "x%"])
def test_sparsity_outside_its_range_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_sparsity(text)


def test_a_sparsity_given_as_75_is_answered_with_75_percent() -> None:
    with pytest.raises(QuantityError, match="write 75%"):
        parse_sparsity("75")


@pytest.mark.parametrize("text", ["0", "-7B", "-0.0"])
def test_sizes_must_be_positive(text: str) -> None:
    with pytest.raises(QuantityError, match="above 0"):
        parse_positive(text)


def test_percentages_keep_one_decimal_and_sparsity_never_rounds_to_all() -> None:
    assert format_percent(0.9375) == "93.8%"
    assert format_sparsity(1 - 1e-7) == "99.99999%"


@pytest.mark.parametrize(("text", "amount"), [("$2.50", 2.5), ("€ 3", 3.0), ("2.50", 2.5)])
def test_money_is_read_with_its_sign(text: str, amount: float) -> None:
    assert parse_money(text) == amount


@pytest.mark.parametrize("text", ["$", "$$2", "-$2", "$0", "8*", "*8", "8**2"])
def test_half_an_amount_or_product_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_money(text)
