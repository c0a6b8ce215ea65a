"""`sparseplan fit`: the law from a table of finished runs."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sparseplan.cli import options as o
from sparseplan.cli import table_options as t
from sparseplan.common.units import parse_positive
from sparseplan.errors import SparseplanError
from sparseplan.sparsity.schedule import parse_schedule

EPILOG = """Examples:

- `sparseplan fit runs.csv --out team.yaml`
- `sparseplan fit wandb.csv --preset wandb --column nonzero_params=config.N --where optimizer=adamw --out team.yaml`"""


def fit(
    runs: Annotated[
        Path,
        typer.Argument(
            metavar="RUNS",
            help="Table of finished runs: .csv, .tsv, .jsonl, .json, also with .gz, .parquet; - is standard input.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="LAW.yaml", help="Law file to write; without it only the report.")
    ] = None,
    column: t.ColumnOption = None,
    preset: t.PresetOption = None,
    where: t.WhereOption = None,
    constants: t.SetOption = None,
    last_per: t.LastPerOption = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="COLUMN",
            help="Column of what runs share, a trunk or seed; none: they share nothing. Default: trunk, and what the "
            "residuals show.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--form",
            metavar="FORM",
            help="Form of the law. auto takes what predicts larger and longer runs best: one form, or an average of "
            "close ones; average keeps all, weighted by how well they predict. Or frantar2023, for dense runs "
            "chinchilla; coupled, for dense runs coupled-dense, with one exponent over the sum of size and data term; "
            "varying-exponents, which depend on sparsity. Default: auto.",
        ),
    ] = None,
    prior: Annotated[
        Literal["none", "weak"] | None,
        typer.Option(
            "--prior",
            help="Pull exponents and floor of a named form, by default frantar2023, to those of other setups.",
        ),
    ] = None,
    residual: Annotated[
        Literal["log", "plain"], typer.Option("--residual", help="Residuals of log loss, or of the loss itself.")
    ] = "log",
    loss: Annotated[
        Literal["huber", "squared"], typer.Option("--loss", help="Penalty of a residual: Huber, or squared.")
    ] = "huber",
    huber_delta: Annotated[
        float,
        typer.Option(
            "--huber-delta",
            parser=o.reader(parse_positive),
            metavar="X",
            help="Where Huber turns from square to linear.",
        ),
    ] = 1e-3,
    freeze_dense: Annotated[
        str | None,
        typer.Option(
            "--freeze-dense",
            metavar="LAW",
            help="Keep this law's dense base; fit only each pattern's own set.",
        ),
    ] = None,
    tie_dense: Annotated[
        bool, typer.Option("--tie-dense", help="With --freeze-dense: keep f(0), the size term at S = 0, too.")
    ] = False,
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", min=0, max=100_000, metavar="K", help="Draws for intervals; 0 for none.")
    ] = 1000,
    holdout: Annotated[
        Literal["largest-n", "largest-dense", "largest-d", "highest-s", "rolling"] | None,
        typer.Option("--holdout", help="Also fit without these runs, and predict them; largest-dense: by dense size."),
    ] = None,
    starts: Annotated[int, typer.Option("--starts", min=1, max=100_000, help="Random starting points.")] = 64,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of starts and draws.")] = 0,
    name: Annotated[str | None, typer.Option("--name", help="The law's name. Default: its file's.")] = None,
    description: Annotated[str | None, typer.Option("--description", help="What was trained on what.")] = None,
    data_unit: Annotated[
        str | None, typer.Option("--data-unit", help="What data_seen counts. Default: the table's, else token.")
    ] = None,
    tokens_per_unit: Annotated[
        float | None,
        typer.Option(
            "--tokens-per-unit",
            parser=o.reader(parse_positive),
            metavar="X",
            help="Tokens a data unit; 196 for ViT/16.",
        ),
    ] = None,
    schedule: Annotated[
        Any,
        typer.Option(
            "--schedule",
            parser=o.reader(parse_schedule),
            metavar="KIND:A..B",
            help="How the runs were pruned: cubic:25%..75%, linear:0..50%, straight-through:0; shares of training. "
            "Default: the frozen law's, else cubic:25%..75%, named as assumed.",
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            metavar="STRATEGY",
            help="Of several strategies in the table: fit all on one dense base, compare them, take this one's law.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Figure page: .png, .svg or .pdf.")
    ] = None,
    force: o.ForceOption = False,
    json: o.JsonOption = False,
) -> None:
    """Fit a law to your own runs and say how far it can be trusted.

    Sparse runs give the sparse law, runs that are all dense the dense law. The answer is the lowest of many minima,
    with a certificate, 90% intervals from refits under random weights, the runs that stand out, and tests of the law
    itself. With --out the law is written with its draws, so that every plan made with it carries an interval.
    """
    from sparseplan.api.fitting import fit as fit_law

    o.require_yaml(out)
    o.require_new("--out", out, force=force)
    o.require_new("--report", report, force=force)
    if out is not None:
        o.require_place("--out", out)
    if report is not None:
        from sparseplan.cli.pictures import require_picture

        require_picture("--report", report)
    result = fit_law(
        runs,
        columns=dict(column or ()),
        preset=preset,
        where=where,
        constants=dict(constants or ()),
        last_per=last_per,
        group=group,
        form=form,
        prior=prior,
        residual=residual,
        loss=loss,
        huber_delta=huber_delta,
        freeze_dense=freeze_dense,
        tie_dense=tie_dense,
        draws=bootstrap,
        holdout=holdout,
        starts=starts,
        seed=seed,
        name=name or (out.stem if out is not None else None),
        description=description,
        data_unit=data_unit,
        tokens_per_unit=tokens_per_unit,
        schedule=schedule,
        strategy=strategy,
    )
    failure = None
    try:
        if report is not None:
            result.draw(report)
        if out is not None:
            result.save(out)
    except SparseplanError as problem:  # a disk that filled up meanwhile: the numbers are worth as much without a file
        failure = problem
    if json:
        o.print_json(result.to_json())
    else:
        from sparseplan.report.fit import print_fit

        print_fit(o.open_console(), result.result, written=out if failure is None else None)
    if failure is not None:
        raise failure
