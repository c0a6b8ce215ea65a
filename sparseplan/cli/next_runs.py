"""`sparseplan next`: which runs to train next for a target."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sparseplan.cli import options as o
from sparseplan.cli import table_options as t
from sparseplan.cli.calibrate import recipe_names
from sparseplan.cli.flags import in_flags
from sparseplan.common.units import parse_share, parse_span

EPILOG = """Examples:

- `sparseplan next --law team.yaml --flops 1e21`
- `sparseplan next --runs runs.csv --flops 1e21 --budget 5e18 --sizes 1M..100M --out next.csv`
- `sparseplan next --recipe gpt-stdlib-cpu --flops 1e16 --budget 1e14 --out next.yaml`"""


def next_runs(
    flops: Annotated[
        float,
        typer.Option(
            "--flops",
            parser=o.read_positive,
            metavar="TARGET",
            help="Budget to plan for, as in 1e23.",
            show_default=False,
        ),
    ],
    runs: Annotated[
        Path | None,
        typer.Option("--runs", metavar="RUNS", help="Table of finished runs, which is fitted first; or else --law."),
    ] = None,
    law: Annotated[
        str | None,
        typer.Option(
            "--law",
            metavar="LAW",
            autocompletion=o.law_names,
            help="Law with draws, by name or path. Default: that of optimal.",
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            parser=o.read_positive,
            metavar="C",
            help="FLOPs of all runs together. Default: 1% of the target.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="NEXT.csv: a runs table to write, its losses empty. NEXT.yaml: --recipe with the new runs.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="RECIPE",
            autocompletion=recipe_names,
            help="Recipe of the runs so far: new runs have shapes and lengths that it can train. Its law, by name, "
            "answers unless --law or --runs is given.",
        ),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=1000, metavar="K", help="How many runs at most.")] = 24,
    sizes: Annotated[
        Any,
        typer.Option(
            "--sizes",
            parser=o.reader(parse_span),
            metavar="A..B",
            help="Non-zero parameters of new runs, as in 1M..100M. Default: from the smallest of the law's runs to 16 "
            "times the largest.",
        ),
    ] = None,
    data: Annotated[
        Any, typer.Option("--data", parser=o.reader(parse_span), metavar="A..B", help="Data of new runs, likewise.")
    ] = None,
    params: o.ParamsOption = None,
    dense_params: o.DenseParamsOption = None,
    pattern: o.PatternOption = None,
    cost: o.CostOption = "sparse",
    max_sparsity: o.MaxSparsityOption = None,
    noise: Annotated[
        float | None,
        typer.Option(
            "--noise",
            parser=o.reader(parse_share),
            metavar="X",
            help="Scatter of a run's loss about the law, as in 0.3%. Default: from the law's fit.",
        ),
    ] = None,
    column: t.ColumnOption = None,
    preset: t.PresetOption = None,
    where: t.WhereOption = None,
    constants: t.SetOption = None,
    last_per: t.LastPerOption = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="COLUMN", help="Column of what runs share, a trunk or seed. Default: trunk."),
    ] = None,
    form: Annotated[str | None, typer.Option("--form", metavar="FORM", help="Form to fit, as for fit.")] = None,
    force: o.ForceOption = False,
    json: o.JsonOption = False,
) -> None:
    """Choose the runs that say most, for their cost, about the plan for a budget.

    A law's draws say what is uncertain: whether sparsity pays at the target, the best sparsity and the best size. Each
    run is the one that takes most off that, for its cost, after the runs above it; the intervals of today stand beside
    those to be expected. Train them, fill in their losses and fit the law again.
    """
    from sparseplan.api.next_runs import next_runs as choose
    from sparseplan.api.next_runs import require_name

    if out is not None:
        require_name(out, recipe)
        o.require_new("--out", out, force=force)
        o.require_place("--out", out)
    answer = choose(
        flops,
        law=law,
        runs=runs,
        columns=dict(column or ()),
        preset=preset,
        where=where,
        constants=dict(constants or ()),
        last_per=last_per,
        group=group,
        form=form,
        budget=budget,
        params=params,
        dense_params=dense_params,
        pattern=pattern,
        cost=cost,
        max_sparsity=max_sparsity,
        sizes=sizes,
        data=data,
        most=most,
        noise=noise,
        recipe=recipe,
    )
    if out is not None and out.suffix.lower() == ".csv":
        answer.save(out)
    elif out is not None and recipe is not None:
        answer.save_recipe(out, recipe)
    if json:
        o.print_json(in_flags(answer.to_json()))
    else:
        from sparseplan.report.next_runs import print_next_runs

        print_next_runs(o.open_console(), answer)
    if out is not None:
        o.note(f"wrote {out}")
