"""Where text goes: framed and coloured on a terminal, plain where piped."""

from collections.abc import Callable
from dataclasses import replace
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from sparseplan.common.text import shown

# Wider than any table of ours: a narrow terminal wraps a line itself, which is better than a number cut short.
_WIDTH = 10_000
_WIDEST, _PIPED = 100, 80


class PlainConsole(Console):
    """A console that prints text as it stands: no markup, no emoji codes, nothing that a terminal would obey.

    Whatever is printed through it, lines, cells and headings, may hold words of a file.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich does, from the text that may be shown."""
        return super().render_str(shown(text), **options)


class WordConsole(PlainConsole):
    """A console that says names of arguments and functions in the words of who reads it.

    Attributes:
        words: Turns a message of the library, with such names in backticks, into those words.
    """

    words: Callable[[str], str] = staticmethod(lambda text: text.replace("`", ""))


def open_console(words: Callable[[str], str] | None = None) -> Console:
    """A console that colours and frames on a terminal, and neither wraps nor decorates where piped.

    Args:
        words: See `WordConsole`; without it names simply lose their backticks.
    """
    console = WordConsole(width=_WIDTH)
    if words is not None:
        console.words = words
    return console


def open_progress() -> Console:
    """The console of what is said while a command works: standard error, bars as wide as the terminal."""
    return PlainConsole(stderr=True)


def open_table(console: Console, *columns: str, text_columns: int = 1) -> Table:
    """A table whose first columns are text and whose others are numbers."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < text_columns else "right", no_wrap=True)
    return table


def print_table(console: Console, table: Table, *, in_parts: bool = False) -> None:
    """Print a table; where the terminal is narrower, without rules, and then in parts that each begin with its names.

    What is piped stays whole, since whoever reads it knows no width; with `in_parts` it is kept to 80 columns too.
    """
    piped = _PIPED if in_parts else _WIDTH
    width = get_terminal_size().columns if console.is_terminal else piped
    if _width(console, table) > width:
        table = _of_columns(table, table.columns, plain=True)
    parts: list[list[Column]] = [table.columns[:1]]
    for column in table.columns[1:]:
        if len(parts[-1]) > 1 and _width(console, _of_columns(table, [*parts[-1], column])) > width:
            parts.append(table.columns[:1])
        parts[-1].append(column)
    for index, part in enumerate(parts):
        if index:
            say(console)
        console.print(_of_columns(table, part))


def narrowest(console: Console, table: Table) -> int:
    """Columns that a table takes in one part, at the least."""
    return _width(console, _of_columns(table, table.columns, plain=True))


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options, table).maximum


def _of_columns(table: Table, columns: list[Column], *, plain: bool = False) -> Table:
    """The same table with some of its columns only."""
    part = Table(box=None if plain else table.box, pad_edge=table.pad_edge, header_style=table.header_style)
    part.columns = [replace(column, _index=index) for index, column in enumerate(columns)]
    part.rows = table.rows
    return part


def say(console: Console, line: str = "", *, style: str | None = None) -> None:
    """Print one line as it is, however wide the console; control characters from a file don't reach the terminal."""
    text = console.words(line) if isinstance(console, WordConsole) else line
    console.print(shown(text), soft_wrap=True, markup=False, emoji=False, style=style)


def text_width(console: Console) -> int:
    """Columns of text: the terminal's up to 100, 80 where piped."""
    return min(get_terminal_size().columns, _WIDEST) if console.is_terminal else _PIPED


def say_wrapped(console: Console, text: str, *, style: str | None = None, indent: str = "") -> None:
    """Print a paragraph, broken at words: at the terminal's width up to 100 columns, at 80 where piped.

    Args:
        console: Where to.
        text: The paragraph.
        style: As for `say`.
        indent: What further lines begin with.
    """
    width = text_width(console)
    words = console.words(text) if isinstance(console, WordConsole) else text
    for line in wrap(shown(words), width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False):
        say(console, line, style=style)
