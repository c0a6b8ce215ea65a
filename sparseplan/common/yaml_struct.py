"""Turn a YAML file into a typed struct, or say in one line what is wrong, at which key and line."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from sparseplan.common.yaml_document import Document, Key, dotted, parse_document, read_document
from sparseplan.errors import SparseplanError, nearest

__all__ = ["Document", "convert", "dotted", "parse_document", "read_document"]

_ERROR_PATH = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)")
_TYPE_WORDS = {
    "`float`": "a number",
    "`int`": "a whole number",
    "`str`": "text",
    "`bool`": "true or false",
    "`object`": "a mapping",
    "`array`": "a list",
    "`null`": "nothing",
}


def convert(
    document: Document, into: Any, *, error: type[SparseplanError], reasons: Mapping[str, str] | None = None
) -> Any:
    """Turn a document into the struct `into` (a msgspec type), with every mistake named by key and line.

    `reasons` says, for the last word of a key, why a value out of its range makes no sense.

    Raises:
        SparseplanError: of the class `error`, for a missing, unknown or mistyped key or a value out of range.
    """
    try:
        return msgspec.convert(document.data, into)
    except msgspec.ValidationError as problem:
        raise error(_explain(document, into, str(problem), reasons or {})) from None


def _explain(document: Document, into: Any, message: str, reasons: Mapping[str, str]) -> str:
    match = _ERROR_PATH.fullmatch(message)
    assert match is not None
    what, key = match["what"], _locate(document.data, into, message, match["path"] or "")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        name = unknown[1]
        known = _known_fields(into, document.data, key)
        close = nearest(name, known) or (f"; known here: {', '.join(known)}" if known else "")
        return f"{document.where((*key, name))}unknown key{close}."
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what, re.DOTALL):
        return f"{document.where(key)}the key {missing[1]!r} is missing; add it."
    found = document.data
    for step in key:
        found = found[step]
    if wanted := re.fullmatch(r"Expected (.*?)(?:, got (.*))?", what, re.DOTALL):
        if "at `key` in" in message:
            bad = next((name for name in found if _same_failure(document.data, into, message, key, name)), None)
            where = document.where((*key, bad) if bad is not None else key)
            return f"{where}expected a key of the form {wanted[1].removeprefix('`str` matching regex ')}."
        expected = wanted[1]
        for word, plain in _TYPE_WORDS.items():
            expected = expected.replace(word, plain).replace(word.strip("`"), plain.replace("nothing", "null"))
        expected = expected.replace(" | ", " or ").replace("`", "")
        reason = reasons.get(str(key[-1]), "") if key and isinstance(found, float | int) else ""
        return f"{document.where(key)}expected {expected}, found {_shown(found)}. {reason}".rstrip()
    if what.startswith("Invalid"):
        choices = _known_choices(into, document.data, key)
        hint = f"expected one of {', '.join(choices)}, " if choices else "expected a known value, "
        return f"{document.where(key)}{hint}found {_shown(found)}{nearest(str(found), choices)}."
    return f"{document.where(key)}{what}."


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _locate(data: Any, into: Any, message: str, path: str) -> Key:
    """Find the key that a validation message means; it writes `[...]` for an entry of a mapping."""
    key: list[str | int] = []
    here = data
    for index, name in _STEP.findall(path):
        if index == "...":
            culprit = next((entry for entry in here if _same_failure(data, into, message, tuple(key), entry)), None)
            if culprit is None:
                break
            step: str | int = culprit
        else:
            step = int(index) if index else name
        key.append(step)
        here = here[step]
    return tuple(key)


def _same_failure(data: Any, into: Any, message: str, key: Key, entry: str) -> bool:
    """Whether the mapping at `key`, reduced to one entry, still fails with the same message."""

    def reduced(here: Any, rest: Key) -> Any:
        if not rest:
            return {entry: here[entry]}
        copy = here.copy()
        copy[rest[0]] = reduced(here[rest[0]], rest[1:])
        return copy

    try:
        msgspec.convert(reduced(data, key), into)
    except msgspec.ValidationError as problem:
        return str(problem) == message
    return False


def _schema_at(into: Any, data: Any, key: Key) -> dict[str, Any]:
    """The JSON Schema of the value at `key`; of a union, the member that the data's tag names."""
    schema = msgspec.json.schema(into)
    definitions = schema.get("$defs", {})

    def resolve(node: dict[str, Any], value: Any) -> dict[str, Any]:
        if "$ref" in node:
            return resolve(definitions[node["$ref"].rsplit("/", 1)[1]], value)
        options = node.get("anyOf", ())
        if "discriminator" in node and isinstance(value, dict):
            tag = value.get(node["discriminator"]["propertyName"])
            chosen = node["discriminator"]["mapping"].get(tag)
            return resolve({"$ref": chosen}, value) if chosen else node
        real = [option for option in options if option.get("type") != "null"]
        if isinstance(value, dict):  # of a number or a mapping, the mapping
            real = [option for option in real if "$ref" in option] or real
        return resolve(real[0], value) if len(real) == 1 else node

    node, value = resolve(schema, data), data
    for step in key:
        value = value[step]
        if isinstance(step, int):
            items = node.get("prefixItems")
            child = items[step] if items and step < len(items) else node.get("items", {})
        else:
            extra = node.get("additionalProperties")
            child = node.get("properties", {}).get(step) or (extra if isinstance(extra, dict) else {})
        node = resolve(child, value)
    return node


def _known_fields(into: Any, data: Any, key: Key) -> list[str]:
    return list(_schema_at(into, data, key).get("properties", {}))


def _known_choices(into: Any, data: Any, key: Key) -> list[str]:
    if not key:
        return []
    parent = _schema_at(into, data, key[:-1])
    if "discriminator" in parent:
        return list(parent["discriminator"]["mapping"])
    return [str(choice) for choice in _schema_at(into, data, key).get("enum", [])]
