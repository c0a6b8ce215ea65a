"""Claims about tables on a terminal: nothing is broken inside a word or a number, however narrow it is."""

import io
import os

import pytest
from rich.console import Console

from sparseplan.common import console as ours
from sparseplan.common.console import open_table, print_table

ROWS = (("unstructured", "98.3k .. 1.02M", "47.8% .. 67.8%", "1.6268"), ("2:4", "1.20B", "50%", "2.3623"))
HEADINGS = ("pattern", "non-zero parameters", "best sparsity", "loss")


def printed(width: int, monkeypatch: pytest.MonkeyPatch, *, terminal: bool = True) -> str:
    monkeypatch.setattr(ours, "get_terminal_size", lambda: os.terminal_size((width, 24)))
    console = Console(file=io.StringIO(), width=10_000, force_terminal=terminal, color_system=None)
    table = open_table(console, *HEADINGS)
    for row in ROWS:
        table.add_row(*row)
    print_table(console, table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [36, 45, 60, 62, 80])
def test_a_table_is_never_wider_than_the_terminal_and_loses_no_cell(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(width, monkeypatch)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for word in (*HEADINGS, *(cell for row in ROWS for cell in row)):
        assert word in text
    blocks = [block for block in text.split("\n\n") if block.strip()]
    assert all("unstructured" in block for block in blocks) or len(blocks) == 1


def test_what_is_piped_is_one_table_at_any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(30, monkeypatch, terminal=False) == printed(200, monkeypatch, terminal=False)
    assert len(printed(30, monkeypatch, terminal=False).splitlines()) == 1 + len(ROWS)
