"""The JSON Schema of a file format, from the struct that reads it."""

import inspect
import re
from typing import Any

import msgspec

_NULL = {"type": "null"}
_EXAMPLE = re.compile(r"^ *>>> .*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


def json_schema(into: Any, *, title: str) -> dict[str, Any]:
    """Describe the files that `into` reads, for editors and other programs.

    Descriptions are the structs' docstrings as a person reads them: without their indentation, which Python 3.13 drops
    and earlier versions keep, and without examples in Python.
    """
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **msgspec.json.schema(into)}
    described: dict[str, Any] = _described(schema)
    return described


def _described(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _plain(value) if key == "description" and isinstance(value, str) else _described(value)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):  # null last, which msgspec puts first or last by its version
        return sorted((_described(entry) for entry in node), key=lambda entry: bool(entry == _NULL))
    return node


def _plain(docstring: str) -> str:
    """A docstring's prose.

    >>> _plain("A ramp.\\n\\n    Its end.\\n\\n    >>> 1 + 1\\n    2\\n    ")
    'A ramp.\\n\\nIts end.'
    """
    return re.sub(r"\n{3,}", "\n\n", _EXAMPLE.sub("", inspect.cleandoc(docstring))).strip()
