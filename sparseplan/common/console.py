"""Where text goes: framed and coloured on a terminal, plain where piped."""

from rich import box
from rich.console import Console
from rich.table import Table

# Wider than any table of ours: a narrow terminal wraps a line itself, which is better than a number cut short.
_WIDTH = 10_000


def open_console() -> Console:
    """A console that colours and frames on a terminal, and neither wraps nor decorates where piped."""
    return Console(highlight=False, width=_WIDTH)


def open_table(console: Console, *columns: str, text_columns: int = 1) -> Table:
    """A table whose first columns are text and whose others are numbers."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < text_columns else "right", no_wrap=True)
    return table


def say(console: Console, line: str = "", *, style: str | None = None) -> None:
    """Print one line as it is, however wide the console; control characters from a file don't reach the terminal."""
    console.print("".join(c for c in line if c.isprintable()), soft_wrap=True, markup=False, style=style)
