"""Answers as text and in a notebook: what the terminal prints, printed into a string."""

import io
from collections.abc import Callable
from html import escape

from rich.console import Console

from sparseplan.common.console import open_console


def printed(write: Callable[[Console], None]) -> str:
    """What a report prints, as plain text."""
    console = open_console()
    console.file = io.StringIO()
    write(console)
    return console.file.getvalue().rstrip("\n")


def preformatted(text: str) -> str:
    """Text for a notebook, with its columns kept."""
    return f"<pre>{escape(text)}</pre>"
