"""`sparseplan contour`: optimal sparsity over sizes and budgets, as a picture or a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparseplan.cli import options as o
from sparseplan.cli import table_options as t
from sparseplan.cli.flags import in_flags
from sparseplan.common.units import parse_span
from sparseplan.errors import PlanError
from sparseplan.laws import DEFAULT_LAW

if TYPE_CHECKING:
    from sparseplan.api.maps import SparsityMap

EPILOG = """Examples:

- `sparseplan contour --plan-flops 1e20 --out sparsity.png`
- `sparseplan contour --cost sparse --cost dense --cost h100 --out costs.png`
- `sparseplan contour --law frantar2023-vit-jft --cost dense --params 1M..10B --out grid.csv`"""

_TEXT_POINTS = 9
_MOST_TEXT_POINTS = 30
_CSV_POINTS = 60
_PICTURE_POINTS = 240


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
    pattern: o.PatternOption = None,
    max_sparsity: o.MaxSparsityOption = None,
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
    plan_flops: Annotated[
        float | None,
        typer.Option(
            "--plan-flops",
            parser=o.read_positive,
            metavar="C",
            help="Show the plan for this budget on the map, as a star.",
        ),
    ] = None,
    plan_params: Annotated[
        float | None,
        typer.Option(
            "--plan-params", parser=o.read_positive, metavar="N", help="The plan's non-zero parameters, where decided."
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            "--runs", metavar="RUNS", help="Show the finished runs of this table, which sparseplan fit reads."
        ),
    ] = None,
    column: Annotated[
        list[Any] | None,
        typer.Option(
            "--column",
            parser=o.reader(t.parse_mapping),
            metavar="OURS=THEIRS",
            help="Column of --runs by another name.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="A .png, .svg or .pdf picture, or the grid as .csv. Without it: a table."
        ),
    ] = None,
    width: o.PictureWidthOption = None,
    points: Annotated[
        int | None, typer.Option("--points", min=2, max=2000, help="Grid points per axis.", show_default=False)
    ] = None,
    force: o.ForceOption = False,
    json: o.JsonOption = False,
) -> None:
    """Map the optimal sparsity over non-zero parameters and training FLOPs.

    Every point is what sparseplan optimal plans there, up to the same highest sparsity. Each line joins the sizes and
    budgets that want the same sparsity. A picture is faded, and a number marked ~, where the plan lies outside the span
    of the law's runs; below the line where sparsity begins to pay dense is best.
    """
    from sparseplan.api.maps import sparsity_map
    from sparseplan.plan.sparsity_map import map_caveats

    o.require_new("--out", out, force=force)
    as_csv = out is not None and out.suffix.lower() == ".csv"
    as_table = out is None and not json
    _require_use(width=width is None or (out is not None and not as_csv), columns=not column or runs is not None)
    if as_table and (points or 0) > _MOST_TEXT_POINTS:
        raise PlanError(f"`points`: a table holds at most {_MOST_TEXT_POINTS}, found {points}; use --out grid.csv.")
    if out is not None and as_csv:
        o.require_place("--out", out)
    elif out is not None:
        from sparseplan.cli.pictures import require_picture

        require_picture("--out", out)
    default = _TEXT_POINTS if as_table else _PICTURE_POINTS if out is not None and not as_csv else _CSV_POINTS
    charts = sparsity_map(
        law,
        cost=cost or ["sparse"],
        pattern=pattern,
        max_sparsity=max_sparsity,
        params=params,
        flops=flops,
        points=points or default,
        spread=as_csv or json,
        plan_flops=plan_flops,
        plan_params=plan_params,
        runs=runs,
        columns=dict(column or ()),
    )
    if out is not None and as_csv:
        _write_csv(charts, out)
    elif out is not None:
        from sparseplan.figures.map_figure import draw_sparsity_maps

        draw_sparsity_maps(charts, out, width=width or "page")
    if json:
        from sparseplan.plan.map_answer import to_json

        o.print_json(to_json(charts))
    else:
        if as_table:
            from sparseplan.report.sparsity_map import print_map

            for chart in charts:
                print_map(o.open_console(), chart)
        for caveat in map_caveats(charts[0]):
            o.note(in_flags(f"! {caveat.message}"))
    if out is not None:
        o.note(f"wrote {out}")


def _require_use(*, width: bool, columns: bool) -> None:
    """Refuse options that would do nothing."""
    if not width:
        raise PlanError("`width`: expected a picture to be that wide, as `out`.")
    if not columns:
        raise PlanError("`columns`: expected the table whose columns these are, as `runs`.")


def _write_csv(charts: "list[SparsityMap]", path: Path) -> None:
    import csv

    from sparseplan.common.files import replacing

    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                *("nonzero_params", "train_flops", "sparsity", "sparsity_low", "sparsity_high", "cost"),
                *("data_seen", "loss", "held_at_cap", "extrapolated"),
            ]
        )
        for chart in charts:
            held, beyond = chart.held, chart.extrapolated
            for i, C in enumerate(chart.train_flops):
                for j, N in enumerate(chart.nonzero_params):
                    band = ("", "") if chart.low is None or chart.high is None else (chart.low[i, j], chart.high[i, j])
                    S, D, L = (repr(float(a[i, j])) for a in (chart.sparsity, chart.data_seen, chart.loss))
                    marks = [_word(bool(held[i, j])), "" if beyond is None else _word(bool(beyond[i, j]))]
                    writer.writerow([repr(float(N)), repr(float(C)), S, *band, chart.cost_name, D, L, *marks])


def _word(mark: bool) -> str:
    return "true" if mark else "false"
