"""`sparseplan contour`: optimal sparsity over sizes and budgets, as a picture or a table."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparseplan.cli import options as o
from sparseplan.cli.flags import in_flags
from sparseplan.common.units import parse_positive
from sparseplan.errors import PlanError, QuantityError
from sparseplan.laws import DEFAULT_LAW

if TYPE_CHECKING:
    from sparseplan.api.maps import SparsityMap

EPILOG = """Examples:

- `sparseplan contour --out sparsity.png`
- `sparseplan contour --cost sparse --cost dense --cost h100 --out costs.png`
- `sparseplan contour --law frantar2023-vit-jft --cost dense --params 1M..10B --out grid.csv`"""

_TEXT_POINTS = 9
_MOST_TEXT_POINTS = 30
_CSV_POINTS = 60
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
    law: o.LawOption = DEFAULT_LAW,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            "--cost",
            metavar="sparse|dense|PROFILE",
            autocompletion=o.cost_names,
            help="As for sparseplan optimal; repeated, the maps stand side by side. Default: sparse.",
        ),
    ] = None,
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
    force: o.ForceOption = False,
) -> None:
    """Map the optimal sparsity over non-zero parameters and training FLOPs.

    Each contour joins the sizes and budgets that want the same sparsity. Below the dotted line sparsity does not pay;
    the dashed line is where a dense model of that size is compute-optimal, and above it training is longer than that.
    """
    from sparseplan.api.maps import sparsity_map
    from sparseplan.api.planning import load_law
    from sparseplan.plan.caveats import fit_caveats

    o.require_new("--out", out, force=force)
    as_csv = out is not None and out.suffix.lower() == ".csv"
    if out is None and (points or 0) > _MOST_TEXT_POINTS:
        raise PlanError(f"`points`: a table holds at most {_MOST_TEXT_POINTS}, found {points}; use --out grid.csv.")
    if out is not None and as_csv:
        o.require_place("--out", out)
    elif out is not None:
        from sparseplan.cli.pictures import require_picture

        require_picture("--out", out)
    count = points or (_TEXT_POINTS if out is None else _CSV_POINTS if as_csv else _PICTURE_POINTS)
    chosen = load_law(law)
    charts = sparsity_map(chosen, cost=cost or ["sparse"], params=params, flops=flops, points=count, spread=as_csv)
    if out is None:
        for chart in charts:
            _print_table(chart)
    elif as_csv:
        _write_csv(charts, out)
    else:
        from sparseplan.figures.sparsity_map import draw_sparsity_maps

        draw_sparsity_maps(charts, out)
    for caveat in fit_caveats(chosen):
        text = in_flags(f"! {caveat.message}")
        typer.echo("".join(c for c in text if c.isprintable()), err=True)  # it comes from the law's file
    if out is not None:
        o.note(f"wrote {out}")


def _print_table(chart: "SparsityMap") -> None:
    from sparseplan.common.console import open_table, say
    from sparseplan.common.units import format_count, format_scientific, format_sparsity

    console = o.open_console()
    across = "by training FLOPs (down) and non-zero parameters (across)"
    say(console, f"Optimal sparsity {across}; {chart.cost_name} cost, law {chart.law_name}")
    table = open_table(console, "", *(format_count(N) for N in chart.nonzero_params))
    for C, row in zip(chart.train_flops[::-1], chart.sparsity[::-1], strict=True):
        table.add_row(format_scientific(C), *(format_sparsity(S) for S in row))
    console.print(table)


def _write_csv(charts: "list[SparsityMap]", path: Path) -> None:
    import csv

    from sparseplan.common.files import replacing

    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["nonzero_params", "train_flops", "sparsity", "sparsity_low", "sparsity_high", "cost"])
        for chart in charts:
            for i, C in enumerate(chart.train_flops):
                for j, N in enumerate(chart.nonzero_params):
                    band = ("", "") if chart.low is None or chart.high is None else (chart.low[i, j], chart.high[i, j])
                    S = repr(float(chart.sparsity[i, j]))
                    writer.writerow([repr(float(N)), repr(float(C)), S, *band, chart.cost_name])
