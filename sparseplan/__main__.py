"""The command: `sparseplan`, or `python -m sparseplan`. Ctrl-C ends it in one word even while it is still importing."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        from sparseplan.cli import run  # noqa: PLC0415  half of the run time: an interrupt is likely to fall here

        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
