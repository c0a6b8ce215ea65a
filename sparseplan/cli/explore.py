"""`sparseplan explore`: a page with sliders that answers what `sparseplan optimal` answers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sparseplan.cli import options as o
from sparseplan.cli.flags import in_flags
from sparseplan.errors import SparseplanError

EPILOG = """Examples:

- `sparseplan explore`
- `sparseplan explore --law team.yaml --law frantar2023-t5-c4-refit --cost sparse,h100 --out team.html`"""

DEFAULT_PAGE = Path("sparseplan-explore.html")


def explore(
    law: Annotated[
        list[Any] | None,
        typer.Option(
            "--law",
            parser=o.reader(o.split),
            metavar="LAW",
            autocompletion=o.law_names,
            help="Law by name (sparseplan laws list) or by path; repeated, or several with commas. "
            "Default: the built-in laws that know sparsity.",
        ),
    ] = None,
    cost: Annotated[
        list[Any] | None,
        typer.Option(
            "--cost",
            parser=o.reader(o.split),
            metavar="sparse|dense|PROFILE",
            autocompletion=o.cost_names,
            help="As for sparseplan optimal; repeated, or several with commas. Default: sparse, dense and the built-in "
            "hardware profiles.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="PAGE.html", help="The page to write.")] = DEFAULT_PAGE,
    force: o.ForceOption = False,
) -> None:
    """Write a page with sliders: the plan, its map, its loss over sparsity, and sparse beside dense.

    One file of less than a megabyte that a browser opens by a double click; it needs no network. Budget, size, unique
    data, inference, law, cost and pattern are its controls. Every answer comes with its warnings, a sentence to paste,
    a link to that answer and the command that gives it.
    """
    from sparseplan.api.explore import explore as make_page
    from sparseplan.common.files import write_text

    o.require_new("--out", out, force=force)
    if out.suffix.lower() not in (".html", ".htm"):
        raise SparseplanError(f"--out: expected a file ending in .html, found {out}.")
    o.require_place("--out", out)
    page = make_page(o.flat(law), cost=o.flat(cost))
    write_text(out, page.html(in_flags))
    o.note(f"wrote {out}")
