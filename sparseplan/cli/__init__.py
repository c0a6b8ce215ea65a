"""The command line: the app, and the boundary where errors become exit codes.

Exit codes: 0 answered, 1 our fault, 2 bad input, 130 interrupted.
"""

import os
import sys
from shutil import get_terminal_size
from textwrap import wrap

import typer

from sparseplan.cli import (
    bench,
    calibrate,
    contour,
    explore,
    fit,
    hardware,
    laws,
    models,
    next_runs,
    optimal,
    predict,
)
from sparseplan.cli.flags import in_flags
from sparseplan.cli.once import OnceTyper
from sparseplan.common.text import shown
from sparseplan.errors import SparseplanError
from sparseplan.version import __version__

MAX_MESSAGE = 2000  # what a person reads; a mistyped argument may be longer

# Base class of the usage errors of whichever click is underneath: typer's own since 0.26, the package before.
_ClickError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = OnceTyper(
    name="sparseplan",
    help="Plan sparse pretraining: which sparsity, how much data, what loss, and does it pay.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_NAMES = {"next_runs": "next"}  # `next` is a function of Python's own
for _command in (optimal, predict, contour, explore, fit, next_runs, calibrate, bench):
    _name = _command.__name__.rsplit(".", 1)[1]
    app.command(_NAMES.get(_name, _name), epilog=_command.EPILOG)(getattr(_command, _name))
app.add_typer(laws.app, name="laws")
app.add_typer(hardware.app, name="hardware")
app.add_typer(models.app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sparseplan {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code. Errors that the user can mend are one message on stderr."""
    try:
        _prepare_streams()
        _refuse_zero_bytes(arguments)
        status = app(arguments, prog_name="sparseplan", standalone_mode=False)
        sys.stdout.flush()
    except SparseplanError as problem:
        return _complain(in_flags(str(problem)))
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return 130
    except (BrokenPipeError, SystemExit):  # the second is what typer makes of the first
        # The reader went away (as `| head` does); point stdout elsewhere so that the interpreter's own flush succeeds.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as problem:
        return _no_output(problem)
    except _ClickError as problem:
        return _usage_error(problem)
    return status if isinstance(status, int) else 0


def _prepare_streams() -> None:
    """Make what is printed printable everywhere.

    Raises:
        SparseplanError: if there is nowhere to print to.
    """
    if sys.stderr is None:  # closed: nobody is there to read it
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  it lives as long as the process
    if sys.stdout is None:
        raise SparseplanError("standard output is closed: there is nowhere to print the answer to.")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name with an umlaut is no reason to fail


def _refuse_zero_bytes(arguments: list[str]) -> None:
    """No shell can pass one; a program that calls `run` might.

    Raises:
        SparseplanError: naming the argument.
    """
    for argument in arguments:
        if "\0" in argument:
            raise SparseplanError(f"{argument}: expected arguments without zero bytes.")


def _usage_error(problem: BaseException) -> int:
    message = problem.format_message()  # type: ignore[attr-defined]
    context = getattr(problem, "ctx", None)
    if type(problem).__name__ == "NoArgsIsHelpError":
        print(message, file=sys.stderr)
        return 2
    path = context.command_path if context is not None else "sparseplan"
    return _complain(f"{message} See {path} --help.")


def _no_output(problem: OSError) -> int:
    """A full disk behind a pipe or a redirection: say so, and keep the interpreter from failing at its own flush."""
    where = problem.filename or "standard output"
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return _complain(f"{where}: {problem.strerror or problem}.")


def _complain(message: str) -> int:
    text = shown(message, lines=True)
    text = text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 3] + "..."
    print(_to_width(f"sparseplan: error: {text}"), file=sys.stderr)
    return 2


def _to_width(text: str) -> str:
    """Lines broken at words where a terminal reads them, as they stand where a program does."""
    if not sys.stderr.isatty():
        return text
    width = get_terminal_size().columns
    lines = (wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""] for line in text.split("\n"))
    return "\n".join(part for line in lines for part in line)
