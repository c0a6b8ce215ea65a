"""Change plain data and bytes at random: what people mistype, what tools write, and what somebody means badly."""

import copy
from random import Random
from typing import Any

NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 64, 0.5, 0.999999, 1e-9, -0.0, 1e-300, 1e300, 1e308, 5e-324, 2**31, 2**53, 2**64, 10**40, -(10**20)),
    *(7, 100, 1e3, 1e6, 1e9, 1e12, 1e18, 1e23),
)
WORDS = (
    *(
        "",
        " ",
        "~",
        "null",
        "true",
        "nan",
        "inf",
        "-inf",
        "1e5",
        "1__0",
        "75%",
        "2:4",
        "n:4",
        "7B",
        "0x10",
        "1:30",
        "=1+1",
    ),
    *(
        "[/]",
        "[red]x",
        "[link=http://evil.example]x[/link]",
        ":smile:",
        "$\\frac{$",
        "{unit}",
        "%s",
        "`law`",
        "../../etc",
    ),
    *(
        "\x1b[31m",
        "\x1b]8;;http://evil.example\x07x",
        "\x9b2J",
        "\r",
        "\x07",
        "\u202eabc",
        "\u2028",
        "\x00",
        "\ud7ff",
        "é漢🎉",
    ),
    *("/dev/zero", "/proc/self/mem", "a/b", "unstructured", "cubic", "token", "x" * 5000),
)
BYTES = (
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    b"[" * 50,
    b"{",
    b"}",
    b'"',
    b"'",
    b",",
    b":",
    b"\n",
    b"\r",
    b"\t",
    b"- ",
    b"&a ",
    b"*a",
    b"!!int ",
    b"<<: ",
    b"9" * 400,
    b"1e999",
    b"#",
    b"%YAML 9",
    b"---\n",
)


def value(random: Random) -> Any:
    """Some value that is seldom right."""
    kind = random.random()
    if kind < 0.45:
        return random.choice(NUMBERS)
    if kind < 0.8:
        return random.choice(WORDS)
    return random.choice((None, True, False, [], {}, [1, 2], [[1]], {"a": 1}, [None], random.uniform(-10, 10)))


def tree(random: Random, data: Any) -> Any:
    """A copy of plain data with one to four of its places changed, taken out, doubled or added."""
    changed = copy.deepcopy(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        place = random.choice(list(_places(changed)))
        _change(random, *place)
    return changed


def _places(node: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in steps:
        found.append((node, step))
        found += _places(child)
    return found or [(node, None)]


def _change(random: Random, parent: Any, step: Any) -> None:
    if step is None:
        return
    here, kind = parent[step], random.random()
    if kind < 0.12:
        del parent[step]
    elif kind < 0.2:
        if isinstance(parent, dict):
            parent[random.choice(WORDS)] = value(random)
        else:
            parent.insert(step, value(random))
    elif kind < 0.28 and isinstance(parent, list):
        parent.extend([here] * random.choice((1, 3, 50)))
    elif kind < 0.6 and isinstance(here, int | float) and not isinstance(here, bool):
        parent[step] = here * random.choice((0.1, 10, -1, 1e3, 1e-3, 1e30, 0.9, 1.1))
    elif kind < 0.7 and isinstance(here, str):
        parent[step] = here + random.choice(WORDS)
    else:
        parent[step] = value(random)


def raw(random: Random, content: bytes) -> bytes:
    """Bytes with some cut, doubled, changed or put in."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(changed) + 1)
        kind = random.random()
        if kind < 0.2:
            del changed[at : at + random.choice((1, 4, 50))]
        elif kind < 0.3:
            del changed[at:]
        elif kind < 0.6 and at < len(changed):
            changed[at] = random.randrange(256)
        elif kind < 0.7:
            changed[at:at] = changed[at : at + 40]
        else:
            changed[at:at] = random.choice(BYTES)
    return bytes(changed)
