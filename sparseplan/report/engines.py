"""What people read of the list of engines."""

from rich.console import Console

from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.hardware.engines import Engine, Engines


def print_engines(console: Console, found: Engines) -> None:
    """Print the list: a table of what is there for which pattern, and below it a paragraph for each with its source."""
    table = open_table(console, "", "engine", "pattern", "for", "state", "since", text_columns=6)
    for number, one in enumerate(found.engines, 1):
        table.add_row(str(number), one.engine, one.pattern, one.work, one.state, one.date)
    print_table(console, table)
    say_wrapped(
        console,
        f"As of {found.looked_up}. Prototype: may change; research: the code of a paper. Speed-ups over dense weights:",
    )
    say(console)
    for number, one in enumerate(found.engines, 1):
        say_wrapped(console, f"{number:>2}  {_facts(one)}", indent="    ")


def _facts(one: Engine) -> str:
    name = " ".join(part for part in (one.engine, one.version, one.how and f"({one.how})") if part)
    said = f"{name} on {one.device}: {_figure(one)}" if one.speedup else f"{name} on {one.device}."
    return f"{said} Source: {one.source}."


def _figure(one: Engine) -> str:
    on = f", {one.batch}" if one.batch else ""
    return f"{one.speedup}{on} ({one.evidence})."
