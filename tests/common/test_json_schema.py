"""Schemas read the same on every Python, and carry no code."""

import inspect
import json
import re
from importlib import resources

import msgspec
import pytest

from sparseplan.common.json_schema import json_schema


class Indented(msgspec.Struct):
    """First line.

    Second paragraph,
      indented once more.

    >>> Indented(1).width
    1

    After the example.
    """

    width: int


def test_descriptions_are_docstrings_without_indentation_or_examples() -> None:
    (definition,) = json_schema(Indented, title="t")["$defs"].values()
    assert definition["description"] == "First line.\n\nSecond paragraph,\n  indented once more.\n\nAfter the example."


@pytest.mark.parametrize("name", ["law", "hardware", "recipe"])
def test_shipped_schemas_hold_no_example_and_no_indented_docstring(name: str) -> None:
    text = resources.files("sparseplan").joinpath(f"builtin/schemas/{name}.schema.json").read_text("utf-8")
    descriptions = re.findall(r'"description": (".*")', text)
    assert len(descriptions) > 5
    for description in map(json.loads, descriptions):
        assert ">>>" not in description
        assert description == inspect.cleandoc(description)


def test_an_optional_struct_lists_null_last_whatever_the_version_of_msgspec() -> None:
    class Outer(msgspec.Struct):
        inner: Indented | None

    schema = json_schema(Outer, title="t")
    (outer,) = (entry for name, entry in schema["$defs"].items() if name.endswith("Outer"))
    assert [*outer["properties"]["inner"]["anyOf"][1]] == ["type"]
