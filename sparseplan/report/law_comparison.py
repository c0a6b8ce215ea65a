"""Size multipliers of several laws side by side, and whether they agree."""

from sparseplan.common.console import open_console, open_table, print_table, say_wrapped
from sparseplan.common.units import format_bounds, format_percent, format_sparsity
from sparseplan.laws.multipliers import SHOWN_SPARSITIES, Agreement, Comparison, LawMultipliers


def print_comparison(comparison: Comparison) -> None:
    """Print m(S) of every law, its interval below, and a sentence for each sparsity."""
    console = open_console()
    say_wrapped(console, "A sparse model is as capable as a dense one of this many times its non-zero parameters:")
    table = open_table(console, "law", *(format_sparsity(S) for S in SHOWN_SPARSITIES))
    for row in comparison.laws:
        table.add_row(row.law, *(f"{format_multiplier(one.value)}x" for one in row.multipliers))
        if any(one.interval is not None for one in row.multipliers):
            table.add_row("", *("" if one.interval is None else _bounds(one.interval) for one in row.multipliers))
    print_table(console, table)
    for note in _notes(comparison.laws):
        say_wrapped(console, note)
    for agreement in comparison.agreement:
        say_wrapped(console, _sentence(agreement), indent="  ")


def format_multiplier(value: float) -> str:
    """m as people read it, without the x."""
    return f"{value:.2f}" if value < 1000 else f"{value:.3g}"


def _bounds(interval: tuple[float, float]) -> str:
    return format_bounds(interval, format_multiplier)


def _notes(rows: list[LawMultipliers]) -> list[str]:
    notes = []
    first = {row.setup: row.law for row in reversed(rows)}
    shared = [f"{row.law} (as {first[row.setup]})" for row in rows if first[row.setup] != row.law]
    if shared:
        notes.append(f"Fits of the same runs count once: {', '.join(shared)}.")
    if borrowed := [row.law for row in rows if row.borrowed]:
        notes.append(f"Borrowed from another law, so not counted: {', '.join(borrowed)}.")
    if others := [f"{row.law} ({row.family})" for row in rows if row.family != "unstructured"]:
        notes.append(f"Of a pattern family: {', '.join(others)}.")
    return notes


def _sentence(found: Agreement) -> str:
    low, high = found.span
    span = f"{format_sparsity(found.sparsity)}: {format_multiplier(low)}x .. {format_multiplier(high)}x."
    if found.chance is None:
        return f"{span} Fewer than two setups here have draws, so nothing says how sure the difference is."
    chance = "under 0.1%" if found.chance < 1e-3 else format_percent(found.chance)
    alone = f"Their draws alone would make the {found.setups} setups with draws differ as much in {chance} of cases"
    if found.spread is None:
        return f"{span} {alone}."
    beyond = f"about {format_percent(found.spread)} in m" if found.spread > 0 else "nothing"
    return f"{span} {alone}; beyond them they differ by {beyond}."
