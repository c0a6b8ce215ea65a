"""Read a YAML file into plain data with the line of every key, and refuse what no file of ours needs.

Plain scalars follow YAML 1.2's core schema: 1e23 is a number (YAML 1.1 reads text), 2:4 is text (YAML 1.1 reads 124,
in base sixty) and `no` is a word. Tags, anchors, aliases, duplicate keys, non-finite numbers and files above
`MAX_BYTES` are refused before anything is built from them.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from sparseplan.common.files import open_regular
from sparseplan.errors import SparseplanError

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 32
MAX_VALUES = 100_000
MAX_DIGITS = 300
_MANY_OPENINGS = re.compile(rf"(?:[\[{{]\s*){{{MAX_DEPTH + 1}}}")
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Key = tuple[str | int, ...]


class _Loader(_Base):  # type: ignore[misc]
    """The safe loader with the plain scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


_DIGITS = r"\d+(?:_\d+)*"
_FLOAT = rf"[-+]?(?:{_DIGITS}\.\d*|\.\d+|{_DIGITS}(?=[eE]))(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
for _kind, _plain, _first_letters in (
    ("int", r"[-+]?(?:0|[1-9]\d*(?:_\d+)*)", [*"-+0123456789"]),
    ("float", _FLOAT, [*"-+.0123456789"]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_plain})$"), _first_letters)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What a YAML file holds: plain data, and the line of every key in it."""

    source: str
    data: Any
    lines: dict[Key, int]

    def where(self, key: Key) -> str:
        """`file:line: key:` for the key, or for its nearest ancestor that has a line."""
        known = key
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known, 1)
        return f"{self.source}:{line}: {dotted(key)}: " if key else f"{self.source}:{line}: "


def dotted(key: Key) -> str:
    """Write a key path as people do.

    >>> dotted(("range", "sparsity", 1))
    'range.sparsity[1]'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in key)
    return text.removeprefix(".")


def read_document(path: Path, *, kind: str, error: type[SparseplanError]) -> Document:
    """Read one YAML document without building anything but plain data.

    Raises:
        SparseplanError: of the class `error`, if the file can't be read or holds what is refused here.
    """
    return parse_document(read_yaml_text(path, kind=kind, error=error), source=str(path), kind=kind, error=error)


def read_yaml_text(path: Path, *, kind: str, error: type[SparseplanError]) -> str:
    """The text of a YAML file of a sensible size.

    Raises:
        SparseplanError: of the class `error`, if it can't be read, is too large or is not UTF-8.
    """
    try:
        with open_regular(path) as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise error(f"{path}: expected a {kind} of at most {MAX_BYTES >> 20} MiB, found a larger one.")
        return raw.decode("utf-8")
    except OSError as problem:
        raise error(f"{path}: can't read this {kind}: {problem.strerror or problem}.") from None
    except UnicodeDecodeError as problem:
        raise error(f"{path}: expected a {kind} in UTF-8 text, found bytes that aren't ({problem.reason}).") from None


def parse_document(text: str, *, source: str, kind: str, error: type[SparseplanError]) -> Document:
    """Parse YAML text as `read_document` does."""
    try:
        _refuse_depth_and_aliases(text, source=source, kind=kind, error=error)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise error(f"{source}: expected a {kind}, found an empty file.")
            lines: dict[Key, int] = {}
            _inspect(node, (), lines, source=source, error=error)
            data = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as problem:
        if _MANY_OPENINGS.search(text):  # libyaml looks ahead past our own limit to one of its own
            raise error(f"{source}: {_too_deep(kind)}.") from None
        mark = getattr(problem, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        what = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        raise error(f"{source}{line}: expected a {kind} in YAML, found a syntax error: {what}.") from None
    except (ValueError, RecursionError) as problem:
        raise error(f"{source}: expected a {kind} in YAML, found what can't be read: {problem}.") from None
    return Document(source=source, data=data, lines=lines)


def reads_as_text(word: str) -> bool:
    """Whether YAML takes a bare word for text, by the rules of 1.2 (as we read) and of 1.1 (as others do).

    A name that is a number, a truth value or nothing to one of them would not be found again under that name.

    >>> [reads_as_text(word) for word in ("team", "t5-1e21", "1e5", "1_000", "yes", "null", "2026-11-24")]
    [True, True, False, False, False, False, False]
    """
    text = "tag:yaml.org,2002:str"
    return all(
        loader("").resolve(yaml.ScalarNode, word, (True, False)) == text for loader in (_Loader, yaml.SafeLoader)
    )


def _refuse_depth_and_aliases(text: str, *, source: str, kind: str, error: type[SparseplanError]) -> None:
    """Look through the events, which come one by one, before a composer that recurses sees the text."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if getattr(event, "anchor", None) is not None:  # of an anchor, or of an alias to one
            what = f"expected plain values, found an anchor or alias; write the value out, a {kind} has none"
            raise error(f"{source}:{line}: {what}.")
        tag = getattr(event, "tag", None)
        if tag is not None:  # a tag that is written out, even of a kind of value that is allowed: `!!bool maybe`
            raise error(f"{source}:{line}: expected plain values, found the tag {tag!r}; remove it.")
        if count > MAX_VALUES:
            raise error(f"{source}:{line}: expected a {kind} of at most {MAX_VALUES} values.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise error(f"{source}:{line}: {_too_deep(kind)}.")


def _too_deep(kind: str) -> str:
    return f"expected a {kind} nested at most {MAX_DEPTH} deep"


def _inspect(node: yaml.Node, key: Key, lines: dict[Key, int], *, source: str, error: type[SparseplanError]) -> None:
    """Record the line of every key below `node`, and refuse what no file of ours needs."""
    line = node.start_mark.line + 1

    def refuse(what: str) -> SparseplanError:
        return error(f"{source}:{line}: {dotted(key) or 'the top level'}: {what}.")

    if node.tag not in _PLAIN_TAGS:
        raise refuse(f"expected plain values, found the tag {node.tag!r}; remove it")
    lines.setdefault(key, line)
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                raise refuse("expected keys that are plain words")
            if name_node.value in names:
                raise error(
                    f"{source}:{name_node.start_mark.line + 1}: {dotted((*key, name_node.value))}: "
                    "expected each key once, found it twice; remove one."
                )
            names.add(name_node.value)
            lines[(*key, name_node.value)] = name_node.start_mark.line + 1
            name_node.tag = "tag:yaml.org,2002:str"  # a key is a name, even where it looks like a number
            _inspect(value_node, (*key, name_node.value), lines, source=source, error=error)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _inspect(child, (*key, index), lines, source=source, error=error)
    elif node.tag == "tag:yaml.org,2002:int" and len(node.value) > MAX_DIGITS:
        raise refuse(f"expected a number of at most {MAX_DIGITS} digits")
    elif node.tag == "tag:yaml.org,2002:float" and not _is_finite(node.value):
        raise refuse(f"expected a finite number, found {node.value}")


def _is_finite(text: str) -> bool:
    cleaned = text.replace("_", "").lower().lstrip("+-")
    if cleaned in {".inf", ".nan"}:
        return False
    return math.isfinite(float(cleaned))
