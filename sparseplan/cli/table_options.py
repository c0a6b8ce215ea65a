"""Options of commands that read a table of runs: which of its columns is which of ours, and which rows count."""

from typing import Annotated, Any, Literal

import typer

from sparseplan.cli.options import reader
from sparseplan.errors import FitError, RunsError


def parse_mapping(text: str) -> tuple[str, str]:
    """Read our column name and the file's.

    >>> parse_mapping("nonzero_params=config.N")
    ('nonzero_params', 'config.N')
    """
    ours, found, theirs = text.partition("=")
    if not found or not ours.strip() or not theirs.strip():
        raise FitError(f"expected our column and the file's, as in nonzero_params=N, found {text!r}.")
    return ours.strip(), theirs.strip()


def parse_constant(text: str) -> tuple[str, str]:
    """Read one of our columns and what all runs have there.

    >>> parse_constant("sparsity=0")
    ('sparsity', '0')
    """
    ours, found, value = text.partition("=")
    if not found or not ours.strip() or not value.strip():
        raise RunsError(f"expected a column and what all runs have there, as in sparsity=0, found {text!r}.")
    return ours.strip(), value.strip()


ColumnOption = Annotated[
    list[Any] | None,
    typer.Option("--column", parser=reader(parse_mapping), metavar="OURS=THEIRS", help="Column under another name."),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUE",
        help="Rows to keep, with = != < > <= >=, as in optimizer=adamw; several must all hold.",
    ),
]
SetOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--set",
        parser=reader(parse_constant),
        metavar="COLUMN=VALUE",
        help="A column of ours that the table lacks, the same for all runs, as in sparsity=0.",
    ),
]
LastPerOption = Annotated[
    str | None,
    typer.Option(
        "--last-per",
        metavar="COLUMN",
        help="Keep the last row of each run, which this column names: by data seen, then step, then order of rows.",
    ),
]
PresetOption = Annotated[
    Literal["wandb", "mlflow", "olmo"] | None,
    typer.Option("--preset", help="Names of columns and states as this tracker exports them."),
]
