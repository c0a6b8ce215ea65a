"""Patterns as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.errors import PatternError
from sparseplan.sparsity.pattern import parse_pattern


@pytest.mark.parametrize(("text", "sparsity"), [("2:4", 0.5), ("1:4", 0.75), ("4:8", 0.5), ("2:8", 0.75), ("4:4", 0.0)])
def test_n_of_n_m_counts_the_weights_that_are_kept(text: str, sparsity: float) -> None:
    assert parse_pattern(text).sparsity == sparsity


@pytest.mark.parametrize("text", ["5:4", "0:4", "1:1", "1:65", "n:1", "2:", "a:b", "", "2:4:8", "-1:4", "unstructurd"])
def test_impossible_patterns_are_refused(text: str) -> None:
    with pytest.raises(PatternError, match="expected"):
        parse_pattern(text)


@given(st.text(max_size=12))
def test_any_text_is_a_pattern_that_reads_back_or_an_error(text: str) -> None:
    try:
        pattern = parse_pattern(text)
    except PatternError:
        return
    assert parse_pattern(str(pattern)) == pattern
