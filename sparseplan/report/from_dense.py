"""The answer of `optimal --from-dense` for people: a row for every sparsity, what its columns mean, and warnings."""

from rich.console import Console
from rich.table import Table

from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.units import (
    format_bounds,
    format_count,
    format_loss,
    format_ratio,
    format_scientific,
    format_sparsity,
)
from sparseplan.plan.from_dense import FromDense, Pruned
from sparseplan.report.caveats import print_caveats
from sparseplan.report.plan import SHOWN_CAVEATS, print_law_facts

_MANY = 10.0
_COSTS = {"sparse": "Zeros cost nothing", "dense": "Zeros cost as much as weights"}


def print_from_dense(console: Console, answer: FromDense, *, explain: bool = False) -> None:
    """Print an answer; with `explain` every warning.

    A law whose own fit did not end as `converged` gives numbers, and no sentence that rests on them.
    """
    poor = next((caveat for caveat in answer.warnings if caveat.code == "poor-fit"), None)
    say_wrapped(console, _question(answer) if poor is None else f"Nothing to plan with: {poor.message}.", style="bold")
    say(console)
    print_table(console, _table(console, answer))
    say(console)
    for line in (*_legend(answer), *(() if poor else _with_its_training(answer))):
        say_wrapped(console, line)
    left = [one for one in answer.warnings if one is not poor]
    print_caveats(console, left, most=None if explain else SHOWN_CAVEATS)
    for law in (answer.law, *(() if answer.start_law is None else (answer.start_law,))):
        print_law_facts(console, law)


def _question(answer: FromDense) -> str:
    given = answer.given
    return (
        f"{format_scientific(given.train_flops)} FLOPs for a dense model of {format_count(given.dense_params)} "
        f"parameters that has seen {format_count(given.dense_data_seen)} {answer.data_unit}s: prune it, train it on, "
        "or train from scratch"
    )


def _table(console: Console, answer: FromDense) -> Table:
    counted = any(row.share_counted is not None for row in answer.pruned)
    columns = ["sparsity", "non-zero", f"{answer.data_unit}s", "loss", "from scratch", "in all", "needed"]
    table = open_table(console, *columns, *(["counted"] if counted else []), text_columns=1)
    for row in answer.pruned:
        table.add_row(
            format_sparsity(row.sparsity) if row.sparsity > 0 else "dense",
            format_count(row.nonzero_params),
            format_count(row.data_seen),
            format_loss(row.loss),
            *(_times(ratio) for ratio in (row.flops_ratio, row.flops_ratio_with_dense)),
            _needed(row),
            *([_share(row.share_counted)] if counted else []),
        )
    return table


def _times(ratio: float | None) -> str:
    """How many times as much from scratch costs."""
    return "no budget" if ratio is None else format_ratio(1.0 / ratio)


def _share(share: float | None) -> str:
    """A share of the whole; several times it is as good as none."""
    if share is None:
        return "no share"
    return f"{100 * share:.0f}%" if share < _MANY else f"> {_MANY:.0f}x"


def _needed(row: Pruned) -> str:
    spread = "" if row.share_interval is None else f" ({format_bounds(row.share_interval, _share)})"
    return _share(row.share_needed) + spread


def _legend(answer: FromDense) -> list[str]:
    given, units = answer.given, f"{answer.data_unit}s"
    seen, spent = format_count(given.dense_data_seen), format_scientific(given.train_flops)
    level = f" ({100 * answer.level:.0f}% interval)" if any(row.share_interval for row in answer.pruned) else ""
    counts = (
        f"if all of its {seen} {units} count"
        if answer.start_law is None
        else f"by {answer.start_law.name}; in the dense row all of its {seen} {units} count"
    )
    price = _COSTS.get(answer.cost, f"Zeros cost what they do on {answer.cost}")
    lines = [
        f"{units}: what {spent} FLOPs buy on top, pruned ({answer.ramp}) or, in the dense row, trained on. {price}.",
        f"loss: {counts}.",
        "from scratch: the least FLOPs that reach this loss from scratch with as many non-zero parameters, over "
        f"{spent}; in all: over those and the {format_scientific(given.dense_train_flops)} that the dense model took.",
        f"needed: the share of its {units} that must count for pruning to do as well as {spent} FLOPs from scratch"
        f"{level}; above 100% not even all are enough.",
    ]
    if any(row.share_counted is not None for row in answer.pruned):
        lines.append(f"counted: the share of its {units} that accounts for the loss.")
    return lines


def _with_its_training(answer: FromDense) -> list[str]:
    """What holds for a dense model that has yet to be trained, where it is the same at every sparsity."""
    ratios = [row.flops_ratio_with_dense for row in answer.pruned if row.sparsity > 0]
    if not ratios or any(ratio is None or ratio <= 1.0 for ratio in ratios):
        return []
    even = ", even if all of its data count" if answer.start_law is None else ""
    return [f"With the dense model yet to be trained, training from scratch would be cheaper at every sparsity{even}."]
