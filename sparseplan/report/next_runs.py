"""The answer of `next` for people: whether the decision is made, the runs, and what they are expected to tell."""

from rich.console import Console
from rich.table import Table

from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.intervals import Bounds
from sparseplan.common.units import (
    format_bounds,
    format_count,
    format_difference,
    format_loss,
    format_percent,
    format_scientific,
    format_sparsity,
)
from sparseplan.plan.next_runs import NextRuns
from sparseplan.report.caveats import print_caveats


def print_next_runs(console: Console, answer: NextRuns) -> None:
    """Print the state of the decision, the runs with what they cost, and the intervals before and after."""
    say_wrapped(console, _state(answer), style="bold")
    say(console)
    if answer.runs:
        print_table(console, _runs_table(console, answer))
        say(console)
    say_wrapped(console, _cost(answer))
    say(console)
    print_table(console, _targets_table(console, answer))
    say(console)
    for line in _how(answer):
        say_wrapped(console, line)
    print_caveats(console, answer.warnings)


def _state(answer: NextRuns) -> str:
    """What the law's draws agree on today, in sentences that are true as they stand."""
    target, draws = f"{format_scientific(answer.plan.train_flops)} FLOPs", f"{answer.decision.draws} draws"
    loses = f"the plan loses at most {format_difference(answer.regret.p95)} nats in 95% of them"
    scatter = f"{format_difference(answer.decision.scatter)} nats by which single runs scatter"
    law = f"law {answer.law.name}"
    if answer.p_sparse_better is None:
        side = f"{target}: the law's {draws} are of dense models"
    elif answer.decision.choice is None:
        share = format_percent(answer.p_sparse_better)
        side = f"{target}: sparse or dense is open: sparse is better in {share} of the law's {draws}"
    else:
        side = f"{target}: {answer.decision.choice} is better in all of the law's {draws}"
    if answer.decision.settled:
        return f"{side}. The decision is made as far as the draws know: {loses}, less than the {scatter} ({law})."
    if answer.regret.p95 < answer.decision.scatter:
        return f"{side}; {loses}, less than the {scatter} ({law})."
    free = answer.given.nonzero_params is None and answer.given.dense_params is None
    what = "The size is open" if free else "What is best is open"
    return f"{side}. {what}: {loses}, more than the {scatter} ({law})."


def _runs_table(console: Console, answer: NextRuns) -> Table:
    unit = f"{answer.runs[0].data_unit}s"
    patterns = any(run.pattern != "unstructured" for run in answer.runs)
    size = "dense size" if answer.runs[0].layers is None else "blocks x width"
    headings = ["run", *(["pattern"] if patterns else []), "sparsity", "non-zero", size, unit, "FLOPs", "gain"]
    table = open_table(console, *headings)
    for number, run in enumerate(answer.runs, start=1):
        pattern = [run.pattern if run.pattern != "unstructured" else "-"] if patterns else []
        table.add_row(
            str(number),
            *pattern,
            format_sparsity(run.sparsity),
            format_count(run.nonzero_params),
            format_count(run.dense_params) if run.layers is None else f"{run.layers}x{run.width}",
            format_count(run.data_seen),
            format_scientific(run.train_flops),
            format_percent(run.gain),
        )
    return table


def _cost(answer: NextRuns) -> str:
    budget = f"{format_scientific(answer.budget)} FLOPs"
    if not answer.runs:
        return f"None of {answer.candidates} runs that {budget} pay for would tell anything worth its cost."
    count = len(answer.runs)
    cost = f"{count} run{'s' if count > 1 else ''} for {format_scientific(answer.cost_of_runs)} FLOPs of the {budget}"
    return (
        f"{cost} allowed, chosen from {answer.candidates}. Gain: share of the targets' variance that a run takes off."
    )


def _targets_table(console: Console, answer: NextRuns) -> Table:
    table = open_table(console, f"{100 * answer.level:.0f}% interval at the target", "today", "expected after")
    gap = f"loss, {format_sparsity(answer.against or 0.0)} sparse less dense"
    for key, noun in (
        ("loss_gap", gap),
        ("sparsity", "best sparsity"),
        ("nonzero_params", "best non-zero parameters"),
        ("loss", "the plan's loss"),
    ):
        today, after = getattr(answer.before, key), getattr(answer.after, key)
        if today is not None:
            table.add_row(noun, _written(key, today), _written(key, after))
    return table


def _written(key: str, interval: Bounds) -> str:
    write = {"sparsity": format_sparsity, "nonzero_params": format_count, "loss": format_loss}.get(
        key, lambda value: f"{value:+.4f}"
    )
    return format_bounds(interval, write)


def _how(answer: NextRuns) -> list[str]:
    one = answer.scatter
    value = format_percent(one.value) if one.relative and one.value >= 0.001 else f"{one.value:.2g}"
    of = "of the loss" if one.relative else "nats"
    source = {"fit": "from the law's fit", "given": "as given", "assumed": "assumed, since the law doesn't say"}
    said = f"Scatter of a run about the law: {value} {of}, {source[one.source]}."
    return [
        "Expected after: if the runs come out as the law predicts. Intervals are of the law's draws, which take its "
        "form for granted.",
        said,
    ]
