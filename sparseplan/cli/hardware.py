"""`sparseplan hardware`: list and show hardware profiles."""

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from sparseplan.cli import options as o
from sparseplan.cli.flags import in_flags
from sparseplan.cli.once import OnceTyper

app = OnceTyper(help="List and show hardware profiles: datasheets, and what was measured.", no_args_is_help=True)


@app.command(
    "list",
    epilog="Examples:\n\n- `sparseplan hardware list`\n- `SPARSEPLAN_HARDWARE=~/gpus sparseplan hardware list --json`",
)
def list_profiles(json: o.JsonOption = False) -> None:
    """List every profile that --cost finds by name.

    Looked for in ./calibration/hardware/*.yaml, in $SPARSEPLAN_HARDWARE (files and folders), in
    ~/.config/sparseplan/hardware, and among the built-in datasheets, in this order.
    """
    from sparseplan.common.console import open_console
    from sparseplan.hardware.file import profile_rows
    from sparseplan.report.hardware import print_profile_rows

    rows = profile_rows()
    if json:
        o.print_json(jsonlib.dumps([row._asdict() for row in rows], indent=2))
    else:
        print_profile_rows(open_console(), rows)


@app.command(
    "show",
    epilog="Examples:\n\n- `sparseplan hardware show h100`\n- `sparseplan hardware show mine.yaml --figure mine.png`",
)
def show(
    profile: Annotated[
        str, typer.Argument(metavar="PROFILE", help="A profile's name or path.", autocompletion=o.profile_names)
    ],
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Draw the speed-ups: .png, .svg or .pdf.")
    ] = None,
    json: o.JsonOption = False,
) -> None:
    """Show a profile: the device, its speed, and how much faster than dense it is on 2:4 weights, by width."""
    from sparseplan.common.json_struct import to_json
    from sparseplan.hardware.doubts import doubts
    from sparseplan.hardware.file import load_profile
    from sparseplan.report.hardware import print_profile

    if figure is not None:
        from sparseplan.cli.pictures import require_picture

        require_picture("--figure", figure)
    chosen = load_profile(profile)
    if json:
        o.print_json(to_json(chosen))
        for doubt in doubts(chosen):
            o.note(in_flags(doubt))
    else:
        print_profile(o.open_console(), chosen)
    if figure is not None:
        from sparseplan.figures.speedups import draw_speedups

        draw_speedups(chosen, figure)
        o.note(f"wrote {figure}")


@app.command(
    "engines",
    epilog="Examples:\n\n- `sparseplan hardware engines`\n- `sparseplan hardware engines --json`",
)
def engines(json: o.JsonOption = False) -> None:
    """List what runs sparse models faster, and what no longer does: engine, pattern, state, figure, date and source."""
    from sparseplan.common.json_struct import to_json
    from sparseplan.hardware.engines import engines as found
    from sparseplan.report.engines import print_engines

    if json:
        o.print_json(to_json(found()))
    else:
        print_engines(o.open_console(), found())


@app.command("schema", epilog="Example: `sparseplan hardware schema > hardware.schema.json`")
def schema() -> None:
    """Print the JSON Schema of hardware profiles, so that an editor completes and checks them."""
    from sparseplan.hardware.file import profile_schema

    o.print_schema(profile_schema())
