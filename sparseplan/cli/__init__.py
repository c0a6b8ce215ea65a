"""The command line: the app, and the boundary where errors become exit codes.

Exit codes: 0 answered, 1 our fault, 2 bad input, 130 interrupted.
"""

import os
import sys
from typing import NoReturn

import typer

from sparseplan import __version__
from sparseplan.cli import contour, fit, laws, optimal, predict
from sparseplan.errors import SparseplanError

# Base class of the usage errors of whichever click is underneath: typer's own since 0.26, the package before.
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="sparseplan",
    help="Plan sparse pretraining: which sparsity, how much data, what loss, and does it pay.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (optimal, predict, contour, fit):
    _name = _command.__name__.rsplit(".", 1)[1]
    app.command(_name, epilog=_command.EPILOG)(getattr(_command, _name))
app.add_typer(laws.app, name="laws")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sparseplan {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code. Errors that the user can mend are one message on stderr."""
    try:
        status = app(arguments, prog_name="sparseplan", standalone_mode=False)
        sys.stdout.flush()
    except SparseplanError as problem:
        return _complain(str(problem))
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return 130
    except (BrokenPipeError, SystemExit):  # the second is what typer makes of the first
        # The reader went away (as `| head` does); point stdout elsewhere so that the interpreter's own flush succeeds.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _ClickError as problem:
        return _usage_error(problem)
    return status if isinstance(status, int) else 0


def _usage_error(problem: BaseException) -> int:
    message = problem.format_message()  # type: ignore[attr-defined]
    context = getattr(problem, "ctx", None)
    if type(problem).__name__ == "NoArgsIsHelpError":
        print(message)
        return 2
    path = context.command_path if context is not None else "sparseplan"
    return _complain(f"{message} See {path} --help.")


def _complain(message: str) -> int:
    print(f"sparseplan: error: {message}", file=sys.stderr)
    return 2
