"""Two computations of one thing give the same answer, numbers to rounding."""

import pytest


def assert_same(found: object, expected: object) -> None:
    """The same JSON or YAML.

    Numbers may differ by rounding: one sum can end on another digit where its memory lies differently, and an iteration
    then stops an ulp apart.
    """
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
    else:
        assert found == expected
