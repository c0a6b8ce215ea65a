"""The map of `contour` on a terminal: coloured cells, plain numbers where piped."""

import numpy as np
from rich.console import Console
from rich.text import Text

from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.units import format_count, format_scientific, format_sparsity
from sparseplan.figures import map_words
from sparseplan.figures.palette import faded, ink_on, sparsity_color
from sparseplan.plan.caveats import sparsity_cap
from sparseplan.plan.sparsity_map import SparsityMap

OUTSIDE = "~"
"""Before a number that is extrapolated."""


def print_map(console: Console, chart: SparsityMap) -> None:
    """Print a map: budgets down, from large to small, sizes across."""
    say(console, map_words.title([chart]), style="bold")
    say(console, "Training FLOPs down, non-zero parameters across.")
    beyond = np.zeros(chart.sparsity.shape, dtype=np.bool_) if chart.extrapolated is None else chart.extrapolated
    words = [
        [f"{OUTSIDE if out else ''}{format_sparsity(S)}" for S, out in zip(*row, strict=True)]
        for row in zip(chart.sparsity, beyond, strict=True)
    ]
    wide = max(len(word) for row in words for word in row)
    table = open_table(console, "", *(format_count(N) for N in chart.nonzero_params))
    for i in reversed(range(len(chart.train_flops))):
        cells = [
            Text(word.rjust(wide), style=_style(float(S), faint=bool(out)))
            for word, S, out in zip(words[i], chart.sparsity[i], beyond[i], strict=True)
        ]
        table.add_row(format_scientific(chart.train_flops[i]), *cells)
    print_table(console, table)
    if chart.plan is not None:
        plan = f"Plan for {format_scientific(chart.plan.train_flops)} FLOPs: {map_words.plan_words(chart.plan)}."
        say_wrapped(console, plan)
    lift = " Lift the cap with `max_sparsity`." if _lifts(chart) else ""
    say_wrapped(console, f"{map_words.caption([chart], OUTSIDE)}{lift}")


def _lifts(chart: SparsityMap) -> bool:
    return bool(np.any(chart.held)) and chart.max_sparsity == sparsity_cap(chart.law)


def _style(sparsity: float, *, faint: bool) -> str:
    color = sparsity_color(sparsity)
    color = faded(color) if faint else color
    return f"{ink_on(color)} on {color}"
