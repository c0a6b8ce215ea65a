"""`sparseplan bench`: measure this device, dense and 2:4."""

import re
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparseplan.cli import device_options as d
from sparseplan.cli import options as o
from sparseplan.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sparseplan.hardware.bench.protocol import Case

EPILOG = """Examples:

- `sparseplan bench --quick`
- `sparseplan bench --out our-h100.yaml --widths 2048,4096,5120 --figure our-h100.png`"""


def parse_widths(text: str) -> tuple[int, ...]:
    """Read widths with commas between them.

    >>> parse_widths("512, 1024")
    (512, 1024)
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,6}", part) and int(part) >= 8 and int(part) % 8 == 0 for part in parts):
        raise QuantityError(f"expected widths in multiples of 8, as in 1024,4096, found {text!r}.")
    return tuple(int(part) for part in parts)


def bench(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="PROFILE.yaml", help="Profile to write. Default: calibration/hardware/DEVICE.yaml."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A minute's version: fewer widths and repeats.")] = False,
    device: Annotated[
        str | None, typer.Option("--device", metavar="D", help="cpu, cuda or cuda:1. Default: the first GPU, else cpu.")
    ] = None,
    widths: Annotated[
        Any,
        typer.Option("--widths", parser=o.reader(parse_widths), metavar="W,W", help="Widths of models to measure."),
    ] = None,
    peak: d.PeakOption = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Also draw the speed-ups: .png, .svg or .pdf.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a profile or figure that is there.")] = False,
) -> None:
    """Measure how fast this device computes dense and 2:4 layers and transformer blocks, and write a profile.

    Every time is a median with its spread, taken after a check that 2:4 gives the right numbers here. A full
    measurement takes minutes; interrupted, the same command goes on where it stopped. The profile is a cost for
    planning: sparseplan optimal --cost PROFILE.yaml. On a device without sparse tensor cores only dense work is timed.
    """
    from sparseplan.hardware.bench.measure import BenchRequest, measure
    from sparseplan.report.hardware import print_profile

    if figure is not None:
        from sparseplan.cli.pictures import require_picture

        o.require_new("--figure", figure, force=force)
        require_picture("--figure", figure)
    request = BenchRequest(out=out, device=device, widths=widths, quick=quick, peak_flops=peak, force=force)
    try:
        with _progress() as show:
            result = measure(request, progress=show)
    except KeyboardInterrupt:
        o.note("what was measured is kept: the same command goes on from here")
        raise
    for outcome in result.skipped:
        case = outcome.case
        o.note(f"not measured: {case.part} {case.phase}, width {case.width}, {case.tokens} tokens: {outcome.skipped}")
    print_profile(o.open_console(), result.profile)
    o.note(f"wrote {result.path}")
    if figure is not None:
        from sparseplan.figures.speedups import draw_speedups, measured_speedups

        if measured_speedups(result.profile):
            draw_speedups(result.profile, figure)
            o.note(f"wrote {figure}")
        else:
            o.note(f"no figure: there are no times of 2:4 to draw in {figure}")


@contextmanager
def _progress() -> "Iterator[Callable[[int, int, Case | None], None]]":
    """A bar on a terminal, a line a width elsewhere; on stderr."""
    from rich.progress import Progress, SpinnerColumn, TimeRemainingColumn

    from sparseplan.common.console import open_progress

    console = open_progress()
    if console.is_terminal:
        with Progress(
            SpinnerColumn(), *Progress.get_default_columns()[:-1], TimeRemainingColumn(), console=console
        ) as bar:
            task = bar.add_task("measuring", total=None)

            def show(done: int, total: int, case: "Case | None") -> None:
                what = "done" if case is None else f"{case.part} {case.phase}, width {case.width}, {case.tokens} tokens"
                bar.update(task, completed=done, total=total, description=what)

            yield show
    else:
        reported: set[int] = set()

        def tell(done: int, total: int, case: "Case | None") -> None:
            if case is not None and case.width not in reported:
                reported.add(case.width)
                o.note(f"{done} of {total} cases done; width {case.width}")

        yield tell
