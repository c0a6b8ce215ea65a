"""Every warning has a registered code, and every code its line in the documentation."""

import re
from pathlib import Path

import pytest

from sparseplan.common.caveat import CODES, Caveat

ROOT = Path(__file__).parents[2]
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "sparseplan").rglob("*.py"))
REGISTRY = (ROOT / "sparseplan" / "common" / "caveat.py").read_text(encoding="utf-8")


def test_the_documentation_lists_every_code_with_what_it_says() -> None:
    page = (ROOT / "docs" / "warnings.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \|$", page, re.MULTILINE)) == CODES


@pytest.mark.parametrize("code", CODES)
def test_no_code_is_registered_that_nothing_says(code: str) -> None:
    assert re.search(rf'(?:code=|warn\(\s*)"{code}"|"{code}":', SOURCES.replace(REGISTRY, "")), code


def test_a_code_that_is_not_registered_is_refused() -> None:
    with pytest.raises(AssertionError, match="not among the registered codes"):
        Caveat(code="surprise", message="boo")
