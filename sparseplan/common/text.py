"""Text that others wrote, on its way to a terminal: what is not a letter, sign or space is written as its escape.

A name in a file may hold control sequences that colour, move, rename or fill in what the reader sees next, or marks
that reverse the direction of reading. Whatever prints passes its text through here, once, at the very end.
"""

import json
import unicodedata


def shown(text: str, *, lines: bool = False) -> str:
    r"""Text without anything that a terminal obeys; `lines` keeps the line ends of our own messages.

    >>> shown("a\x1b[31mred\u202e \u00e9"), shown("two\nlines"), shown("two\nlines", lines=True)
    ('a\\x1b[31mred\\u202e é', 'two\\nlines', 'two\nlines')
    """
    if text.isprintable():
        return text
    return "".join(c if _is_harmless(c) or (lines and c == "\n") else _escape(c) for c in text)


def shown_json(text: str) -> str:
    r"""JSON likewise: the same JSON, where strings have their escapes spelled out.

    >>> shown_json('{"name": "\x9b2J"}')
    '{"name": "\\u009b2J"}'
    """
    if text.isprintable():
        return text
    return "".join(c if _is_harmless(c) or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _is_harmless(c: str) -> bool:
    return c.isprintable() or unicodedata.category(c) == "Zs"  # the spaces of other scripts


def _escape(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")
