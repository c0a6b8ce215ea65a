"""The table of patterns that competed for a plan."""

from collections.abc import Sequence

from rich.console import Console

from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.units import format_count, format_difference, format_scientific, format_sparsity
from sparseplan.plan.contest import Contender


def print_contenders(console: Console, contenders: Sequence[Contender], *, loss_given: bool) -> None:
    """Print what each kind of pattern makes of the question, the best first.

    Args:
        console: Where to.
        contenders: In the order of the contest.
        loss_given: Whether a loss was asked for, so that FLOPs tell them apart.
    """
    if len(contenders) == 1:
        say_wrapped(console, f"The law has coefficients for one kind of pattern: {contenders[0].pattern}.")
        return
    say(console, "Patterns that the law can speak for, the best first:")
    last = ["training FLOPs"] if loss_given else ["loss (nats)", "loss gain"]
    table = open_table(console, "pattern", "makes", "S", "N", "D", *last, text_columns=2)
    for one in contenders:
        tail = (
            [format_scientific(one.train_flops)]
            if loss_given
            else [f"{one.loss:.4f}", "0" if one.loss_gain == 0 else format_difference(one.loss_gain)]
        )
        table.add_row(
            one.pattern,
            one.makes,
            format_sparsity(one.sparsity),
            format_count(one.nonzero_params),
            format_count(one.data_seen),
            *tail,
        )
    print_table(console, table)
    borrowed = [one for one in contenders if one.coefficients != one.pattern]
    if borrowed:
        names, sets = ", ".join(one.pattern for one in borrowed), borrowed[0].coefficients
        say_wrapped(console, f"{names}: by the {sets} coefficients, since the law has none of its own.")
    say(console)
