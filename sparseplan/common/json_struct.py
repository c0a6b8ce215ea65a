"""Typed structs from JSON, with one kind of error for whatever is wrong with the bytes, and to JSON."""

from typing import Any

import msgspec


def decode(raw: bytes, into: Any) -> Any:
    """Decode JSON bytes into a msgspec type.

    Raises:
        msgspec.DecodeError: if they aren't UTF-8, aren't JSON, nest too deep, or don't fit the type.
    """
    try:
        return msgspec.json.decode(raw, type=into)
    except UnicodeDecodeError as problem:
        raise msgspec.DecodeError(f"bytes that are not UTF-8 text ({problem.reason})") from None
    except RecursionError:
        raise msgspec.DecodeError("values that nest too deep") from None


def to_json(struct: msgspec.Struct) -> str:
    """A struct as indented JSON; what is not finite is null."""
    return msgspec.json.format(msgspec.json.encode(struct), indent=2).decode()
