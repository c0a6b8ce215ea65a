"""Where text goes: framed and coloured on a terminal, plain where piped."""

from rich import box
from rich.console import Console
from rich.table import Table

NARROWEST = 100  # a narrower terminal wraps our lines itself: better than a number cut short


def open_console(*, stderr: bool = False) -> Console:
    """A console that colours and frames on a terminal, and neither wraps nor decorates where piped."""
    console = Console(stderr=stderr, highlight=False)
    width = max(console.width, NARROWEST) if console.is_terminal else 1000
    return Console(stderr=stderr, highlight=False, width=width)


def open_table(console: Console, *columns: str, text_columns: int = 1) -> Table:
    """A table whose first columns are text and whose others are numbers."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < text_columns else "right", no_wrap=True)
    return table


def say(console: Console, line: str = "", *, style: str | None = None) -> None:
    """Print one line as it is, however wide the console."""
    console.print(line, soft_wrap=True, markup=False, style=style)
