"""How strategies that were fitted together compare, for the terminal."""

from rich.console import Console

from sparseplan.common.console import open_table, print_table, say_wrapped
from sparseplan.common.units import format_count, format_scientific, format_sparsity
from sparseplan.fit.strategy_answer import StrategyTable, Valued
from sparseplan.runs.table import set_name


def print_strategies(console: Console, table: StrategyTable) -> None:
    """Print size multipliers, losses at equal training FLOPs, and how many differences are real."""
    levels = sorted({at.sparsity for row in table.sets for at in row.at})
    for words, of in (("m", "multiplier"), ("loss", "above_dense")):
        shown = open_table(console, "strategy", *(f"{words} at {format_sparsity(S)}" for S in levels))
        for row in table.sets:
            at = {one.sparsity: getattr(one, of) for one in row.at}
            cells = [_cell(at.get(S), signed=of == "above_dense") for S in levels]
            shown.add_row(set_name(row.strategy, row.pattern), *cells)
        print_table(console, shown)
    place = f"{format_count(table.nonzero_params)} non-zero weights and {format_scientific(table.train_flops)}"
    say_wrapped(
        console,
        "m: on equal data a sparse model does as well as a dense one of m times its non-zero weights. loss: above that "
        f"of a dense model of {place} training FLOPs, nats; zeros free.",
    )
    if table.stretch is None:
        return
    for of, named in (("multiplier", "size multipliers"), ("loss", "losses at equal training FLOPs")):
        some = [one for one in table.differences if one.of == of]
        real = sum(one.real for one in some)
        say_wrapped(
            console,
            f"{real} of {len(some)} differences between {named} are real: their {100 * table.level:.0f}% intervals, "
            "stretched to hold together, exclude 0.",
        )


def _cell(one: Valued | None, *, signed: bool) -> str:
    if one is None:
        return "-"
    sign = "+" if signed else ""
    return f"{one.value:{sign}.3g}"
