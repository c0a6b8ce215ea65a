"""The page as one HTML file: markup, style, code and data, with a policy under which nothing else can run or load.

What a law's file says is data: it stands in a block of JSON in which no markup can begin, and the page shows it as text
alone. The policy names the one script by its hash, so a slip in either would still run nothing.
"""

import base64
import hashlib
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from sparseplan.common.text import shown
from sparseplan.explore.data import PageData

_HERE = Path(__file__).parent
_PACKED = "data"
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def page_html(data: PageData, words: Callable[[str], str] = str) -> str:
    """The page.

    Args:
        data: What it holds.
        words: What its messages, which name arguments and functions in backticks, are passed through.
    """
    script = _read("built", "explore.js")
    parts = {
        "policy": _policy(script),
        "version": html.escape(data.version),
        "style": _read("page.css"),
        "licences": html.escape(_read("built", "LICENSES.txt")),
        "data": json_block(_in_words(msgspec.to_builtins(data), words)),
        "script": script,
    }
    return _PLACE.sub(lambda place: parts[place[1]], _read("page.html"))


def json_block(value: Any) -> str:
    r"""Plain data as JSON that can stand in a script element: none of its characters begins markup or ends a line.

    >>> json_block({"name": "</script><!--"})
    '{"name":"\\u003c/script\\u003e\\u003c!--"}'
    """
    text = msgspec.json.encode(value).decode()
    return "".join(f"\\u{ord(c):04x}" if c in "<>&\u2028\u2029" else c for c in text)


def _in_words(value: Any, words: Callable[[str], str]) -> Any:
    """The same data in which every text is fit to be shown; packed draws are none."""
    if isinstance(value, dict):
        return {key: one if key == _PACKED else _in_words(one, words) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_in_words(one, words) for one in value]
    return shown(words(value)) if isinstance(value, str) else value


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _read(*names: str) -> str:
    return _HERE.joinpath(*names).read_text(encoding="utf-8")
