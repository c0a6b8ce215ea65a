"""`sparseplan contour`: optimal sparsity over sizes and budgets, as a picture or a table."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparseplan.cli import options as o
from sparseplan.errors import QuantityError
from sparseplan.pattern import UNSTRUCTURED
from sparseplan.units import parse_positive

if TYPE_CHECKING:
    from sparseplan.plan.contour import SparsityMap

EPILOG = """Examples:

- `sparseplan contour --out sparsity.png`
- `sparseplan contour --law frantar2023-vit-jft --cost dense --params 1M..10B --out grid.csv`"""

_TEXT_POINTS = 9
_PICTURE_POINTS = 240


def parse_span(text: str) -> tuple[float, float]:
    """Read two numbers with two dots between them, as in 1M..10B.

    >>> parse_span("1M..10B")
    (1000000.0, 10000000000.0)
    """
    parts = re.split(r"\.\.(?!\.)", text)
    if len(parts) != 2:
        raise QuantityError(f"expected a range such as 1M..10B, found {text!r}.")
    low, high = (parse_positive(part) for part in parts)
    if low >= high:
        raise QuantityError(f"expected a range from small to large, found {text!r}.")
    return low, high


def contour(
    law: o.LawOption = "frantar2023-t5-c4",
    cost: o.CostOption = "sparse",
    params: Annotated[
        Any,
        typer.Option(
            "--params", parser=o.reader(parse_span), metavar="A..B", help="Non-zero parameters, as in 1M..10B."
        ),
    ] = None,
    flops: Annotated[
        Any,
        typer.Option("--flops", parser=o.reader(parse_span), metavar="A..B", help="Training FLOPs, as in 1e18..1e24."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="A .png, .svg or .pdf picture, or the grid as .csv. Without it: a table."
        ),
    ] = None,
    points: Annotated[
        int | None, typer.Option("--points", min=2, max=2000, help="Grid points per axis.", show_default=False)
    ] = None,
) -> None:
    """Map the optimal sparsity over non-zero parameters and training FLOPs.

    Below the dense compute-optimal line a model is too large for its budget; above it training is long and sparsity
    begins to pay. Each contour joins the sizes and budgets that want the same sparsity.
    """
    from sparseplan.lawfile import load_law
    from sparseplan.plan.contour import sparsity_map

    chosen = load_law(law)
    count = points or (_TEXT_POINTS if out is None else _PICTURE_POINTS)
    chart = sparsity_map(
        chosen, o.load_cost(cost, chosen), family=UNSTRUCTURED.family, points=count, sizes=params, flops=flops
    )
    if out is None:
        _print_table(chart)
    elif out.suffix.lower() == ".csv":
        _write_csv(chart, out)
    else:
        from sparseplan.plots import draw_sparsity_map

        draw_sparsity_map(chart, out)
    if out is not None:
        typer.echo(f"wrote {out}", err=True)


def _print_table(chart: "SparsityMap") -> None:
    from sparseplan.report import open_console, open_table, say
    from sparseplan.units import format_count, format_scientific, format_sparsity

    console = open_console()
    say(console, f"Optimal sparsity by training FLOPs (down) and non-zero parameters (across); law {chart.law_name}")
    table = open_table(console, "", *(format_count(N) for N in chart.nonzero_params))
    for C, row in zip(chart.train_flops[::-1], chart.sparsity[::-1], strict=True):
        table.add_row(format_scientific(C), *(format_sparsity(S) for S in row))
    console.print(table)


def _write_csv(chart: "SparsityMap", path: Path) -> None:
    import csv

    from sparseplan.files import replacing

    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["nonzero_params", "train_flops", "sparsity", "sparsity_low", "sparsity_high"])
        for i, C in enumerate(chart.train_flops):
            for j, N in enumerate(chart.nonzero_params):
                band = ("", "") if chart.low is None or chart.high is None else (chart.low[i, j], chart.high[i, j])
                writer.writerow([repr(float(N)), repr(float(C)), repr(float(chart.sparsity[i, j])), *band])
