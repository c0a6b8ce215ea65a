"""Lists and ranges in one word."""

import pytest

from sparseplan.common.several import parse_budgets, split
from sparseplan.errors import QuantityError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1e21..1e22", [1e21, 2e21, 5e21, 1e22]),
        ("3e21..4e21", [3e21, 4e21]),
        ("1.995e21..1e22", [1.995e21, 5e21, 1e22]),  # no second budget within a percent of an end
        ("1T..10T", [1e12, 2e12, 5e12, 1e13]),
        ("1e19,1e21..2e21,7e22", [1e19, 1e21, 2e21, 7e22]),
        ("20,000,000", [2e7]),
        ("1e21", [1e21]),
    ],
)
def test_a_range_is_its_ends_and_one_two_five_between_them(text: str, wanted: list[float]) -> None:
    assert parse_budgets(text) == wanted


def test_a_range_has_three_budgets_a_decade() -> None:
    assert len(parse_budgets("1e18..1e24")) == 3 * 6 + 1


@pytest.mark.parametrize("text", ["1e21,", ",1e21", ",", "1e21,,2e21", "1e21..", "..1e21", "2e21..1e21", "1e21..1e21"])
def test_what_is_missing_or_reversed_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_budgets(text)


def test_words_too_long_for_a_file_name_are_split() -> None:
    assert split("a" * 5000 + ",b") == ["a" * 5000, "b"]
    assert split("a\0,b") == ["a\0", "b"]
