"""`sparseplan laws`: list, show, check, diff, compare and compose law files."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sparseplan.cli import options as o
from sparseplan.cli import table_options as t
from sparseplan.cli.once import OnceTyper
from sparseplan.sparsity.pattern import parse_pattern

app = OnceTyper(help="List, show, check, compare and compose scaling laws.", no_args_is_help=True)

LawArgument = Annotated[str, typer.Argument(metavar="LAW", help="A law's name or path.", autocompletion=o.law_names)]


def _print_json(data: object) -> None:
    import json

    o.print_json(json.dumps(data, indent=2))


def _epilog(*examples: str) -> str:
    return "Examples:\n\n" + "\n".join(f"- `{example}`" for example in examples)


@app.command("list", epilog=_epilog("sparseplan laws list", "SPARSEPLAN_LAWS=~/laws sparseplan laws list --json"))
def list_laws(json: o.JsonOption = False) -> None:
    """List every law that --law finds by name, with what it covers and whether it carries draws.

    Looked for in ./calibration/*/law.yaml, in $SPARSEPLAN_LAWS (files and folders), in ~/.config/sparseplan/laws, and
    among the built-ins, in this order.
    """
    from sparseplan.report.law_list import law_rows, print_law_rows

    rows = law_rows()
    if json:
        _print_json(rows)
    else:
        print_law_rows(rows)


@app.command("show", epilog=_epilog("sparseplan laws show frantar2023-t5-c4", "sparseplan laws show team.yaml --json"))
def show(law: LawArgument, json: o.JsonOption = False) -> None:
    """Show a law: formula, coefficients and units, what it was measured on, its sources, and what follows from it."""
    from sparseplan.laws.file import load_law
    from sparseplan.report.laws import law_facts, print_law

    chosen = load_law(law)
    if json:
        _print_json(law_facts(chosen))
    else:
        print_law(chosen)


@app.command(
    "check", epilog=_epilog("sparseplan laws check team.yaml", "sparseplan laws check team.yaml --runs runs.csv")
)
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A law file, or a law's name.")],
    runs: Annotated[
        Path | None,
        typer.Option("--runs", metavar="TABLE", help="Also hold the law against the runs table it was fitted to."),
    ] = None,
    column: t.ColumnOption = None,
    preset: t.PresetOption = None,
    where: t.WhereOption = None,
    constants: t.SetOption = None,
    last_per: t.LastPerOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 2 if anything is doubtful; a note is not.")
    ] = False,
    json: o.JsonOption = False,
) -> None:
    """Check a law file: its schema, and whether signs, exponents, ranges, units and draws are plausible.

    A file that is not a valid law is an error (exit code 2). What is valid but doubtful is listed. With --runs the
    recorded hash of the table is compared, and the objective is computed again from its rows.
    """
    from sparseplan.errors import LawError
    from sparseplan.laws.check import check_law
    from sparseplan.laws.file import load_law
    from sparseplan.report.law_check import check_facts, print_check

    read = {"--column": column, "--preset": preset, "--where": where, "--set": constants, "--last-per": last_per}
    given = [option for option, value in read.items() if value]
    if given and runs is None:
        raise LawError(f"{given[0]} says how to read a table, and there is none; give it with --runs.")
    chosen = load_law(file)
    findings = check_law(chosen)
    against = None
    if runs is not None:
        from sparseplan.api.reading import reading_of
        from sparseplan.fit.against_runs import check_runs

        reading = reading_of(
            columns=dict(column or ()), preset=preset, where=where, constants=dict(constants or ()), last_per=last_per
        )
        against = check_runs(chosen, runs, reading)
    if json:
        _print_json(check_facts(chosen, findings, against))
    else:
        print_check(chosen, findings, against)
    if strict and (any(finding.doubtful for finding in findings) or (against is not None and against.differs)):
        raise typer.Exit(2)


@app.command(
    "diff",
    epilog=_epilog(
        "sparseplan laws diff hoffmann2022-chinchilla besiroglu2024-chinchilla",
        "sparseplan laws diff a.yaml b.yaml --json",
    ),
)
def diff(
    first: LawArgument,
    second: LawArgument,
    pattern: Annotated[
        Any,
        typer.Option(
            "--pattern",
            parser=o.reader(parse_pattern),
            metavar="P",
            help="Compare the coefficients of this pattern's family. Default: unstructured, else what a law has.",
        ),
    ] = None,
    json: o.JsonOption = False,
) -> None:
    """Compare two laws: their coefficients, and what they change in predictions over the range both cover."""
    from sparseplan.common.json_struct import to_json
    from sparseplan.laws.diff import diff_laws
    from sparseplan.laws.file import load_law
    from sparseplan.report.laws import print_diff

    result = diff_laws(load_law(first), load_law(second), family=None if pattern is None else pattern.family)
    if json:
        o.print_json(to_json(result))
    else:
        print_diff(result)


@app.command(
    "compare",
    epilog=_epilog(
        "sparseplan laws compare",
        "sparseplan laws compare frantar2023-t5-c4-refit wu2026-llama-c4 calibration/gpt-stdlib-cpu/law.yaml",
        "sparseplan laws compare --json",
    ),
)
def compare(
    laws: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LAW ...]",
            help="Names or paths. Default: all sparse laws that --law finds, but those that borrow.",
            autocompletion=o.law_names,
        ),
    ] = None,
    pattern: Annotated[
        Any,
        typer.Option(
            "--pattern", parser=o.reader(parse_pattern), metavar="P", help="Pattern family. Default: unstructured."
        ),
    ] = None,
    json: o.JsonOption = False,
) -> None:
    """Compare what sparsity is worth in several setups: size multipliers side by side, and whether they agree."""
    from sparseplan.common.json_struct import to_json
    from sparseplan.laws.file import load_law, sparse_laws
    from sparseplan.laws.multipliers import compare_laws
    from sparseplan.report.law_comparison import print_comparison

    chosen = [load_law(law) for law in laws] if laws else sparse_laws()
    result = compare_laws(chosen, "unstructured" if pattern is None else pattern.family)
    if json:
        o.print_json(to_json(result))
    else:
        print_comparison(result)


@app.command(
    "compose",
    epilog=_epilog(
        "sparseplan laws compose --dense besiroglu2024-chinchilla --sparsity frantar2023-t5-c4 --out mixed.yaml",
        "sparseplan optimal --flops 1e23 --law mixed.yaml",
    ),
)
def compose(
    dense: Annotated[
        str, typer.Option("--dense", metavar="LAW", help="Law whose dense base is kept.", autocompletion=o.law_names)
    ],
    sparsity: Annotated[
        str,
        typer.Option(
            "--sparsity", metavar="LAW", help="Law whose sparsity term is borrowed.", autocompletion=o.law_names
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Law file to write, ending in .yaml.")],
    carry: Annotated[
        Literal["multiplier", "ratio"],
        typer.Option("--carry", help="What is lent: the size multiplier m(S), which transfers best, or f(S)/f(0)."),
    ] = "multiplier",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the pairing of the two laws' draws.")] = 0,
    force: o.ForceOption = False,
) -> None:
    """Lend a dense law the effect of sparsity of another: its size multiplier m(S).

    The intervals of the result hold both laws' draws and how much m(S) differs between setups. It is marked as
    transferred, not measured, and every plan made from it says so.
    """
    import re

    from sparseplan.common.yaml_document import reads_as_text
    from sparseplan.errors import LawError
    from sparseplan.laws.compose import compose as compose_laws
    from sparseplan.laws.file import load_law, write_law
    from sparseplan.laws.law import LAW_NAME
    from sparseplan.report.laws import composed_lines

    o.require_yaml(out)
    o.require_new("--out", out, force=force)
    if not re.fullmatch(LAW_NAME, out.stem) or not reads_as_text(out.stem):
        raise LawError(
            f"{out}: the file's name becomes the law's: expected letters, digits, '.', '_' and '-' only, "
            "and no number, date or the like."
        )
    composed = compose_laws(load_law(dense), load_law(sparsity), name=out.stem, carry=carry, seed=seed)
    write_law(composed.law, out)
    for line in (f"wrote {out}: transferred, not measured", *composed_lines(composed)):
        o.note(line)


@app.command("schema", epilog=_epilog("sparseplan laws schema > law.schema.json"))
def schema() -> None:
    """Print the JSON Schema of law files, so that an editor completes and checks them."""
    from sparseplan.laws.file import law_schema

    o.print_schema(law_schema())
