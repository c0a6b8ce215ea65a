"""What people read: tables and sentences, framed on a terminal, plain text where piped."""

from rich.console import Console
from rich.table import Table

from sparseplan.common.caveat import Caveat
from sparseplan.common.console import open_table, say
from sparseplan.common.units import (
    format_bounds,
    format_count,
    format_loss,
    format_percent,
    format_scientific,
    format_sparsity,
)
from sparseplan.plan.answer import Answer
from sparseplan.plan.predict import Prediction

COST_NAMES = {"sparse": "sparse FLOPs (zeros cost nothing)", "dense": "dense FLOPs (zeros cost like weights)"}


def print_answer(console: Console, answer: Answer) -> None:
    """Print the answer of `optimal`: a table, the gain, the caveats, and one line to paste into a chat."""
    say(console, _question(answer))
    say(console)
    console.print(_plan_table(console, answer))
    say(console)
    for line in _gain(answer):
        say(console, line)
    if answer.device is not None or answer.verdict is not None:
        from sparseplan.report import hardware as hardware_report  # noqa: PLC0415  only where a device is named

        if answer.device is not None:
            hardware_report.print_device(console, answer.device, sparse=answer.plan.sparsity > 0)
        if answer.verdict is not None:
            say(console)
            hardware_report.print_verdict(console, answer.cost, answer.verdict)
    print_caveats(console, answer.warnings)
    if answer.robust and answer.extrapolation:
        say(console, f"  What holds anyway: {answer.robust.message}.")
    say(console)
    say(console, summary(answer), style="bold")


def _plan_table(console: Console, answer: Answer) -> Table:
    plan, dense, intervals = answer.plan, answer.dense, answer.intervals
    columns = ["", _plan_name(answer)]
    if intervals is not None:
        columns.append(f"{100 * intervals.level:.0f}% interval")
    if not _dense_only(answer):
        columns.append("dense plan")
    table = open_table(console, *columns)
    for key, noun, write in (
        ("sparsity", "sparsity", format_sparsity),
        ("nonzero_params", "non-zero parameters", format_count),
        ("dense_params", "dense parameters", format_count),
        ("data_seen", f"data ({plan.data_unit}s)", format_count),
        ("loss", "loss (nats)", format_loss),
    ):
        cells = [write(getattr(plan, key))]
        if intervals is not None:
            cells.append(format_bounds(getattr(intervals, key), write))
        if not _dense_only(answer):
            cells.append(write(getattr(dense, key)))
        table.add_row(noun, *cells)
    return table


def _dense_only(answer: Answer) -> bool:
    """Whether the law knows nothing of sparsity, so that there is one plan and nothing to compare."""
    return any(caveat.code == "dense-only" for caveat in answer.warnings)


def _plan_name(answer: Answer) -> str:
    if _dense_only(answer):
        return "dense plan"
    if answer.plan.sparsity == 0:
        return "plan (dense)"
    return "sparse plan" if answer.comparison.loss_gain >= 0 else f"{answer.pattern} plan"


def _question(answer: Answer) -> str:
    given = answer.given
    size = "size free"
    if given.nonzero_params is not None:
        size = f"{format_count(given.nonzero_params)} non-zero parameters"
    elif given.dense_params is not None:
        size = f"{format_count(given.dense_params)} dense parameters"
    cost = COST_NAMES.get(answer.cost, f"cost on {answer.cost}")
    budget = format_scientific(given.train_flops)
    return f"{budget} training FLOPs, {size}, {answer.pattern}; {cost}; law {answer.law.name}"


def _gain(answer: Answer) -> list[str]:
    comparison, plan = answer.comparison, answer.plan
    lines: list[str] = []
    if _dense_only(answer):
        lines.append(f"The law {answer.law.name} knows nothing of sparsity: this is its dense plan.")
    elif plan.sparsity == 0 and comparison.uncapped_sparsity:
        lines.append("No sparsity is allowed here, though the law would take some: see below.")
    elif plan.sparsity == 0:
        lines.append("Sparsity does not pay here: no allowed sparsity reaches a lower loss than the dense plan.")
    elif comparison.loss_gain < 0:
        lines.append(f"This pattern loses {-comparison.loss_gain:.4f} nats; {_equal_loss(answer)}.")
    else:
        lines.append(f"Sparsity gains {comparison.loss_gain:.4f} nats; {_equal_loss(answer)}.")
    if answer.intervals and not _dense_only(answer):
        share = format_percent(answer.intervals.p_sparse_better)
        what = "some sparsity beats" if plan.sparsity == 0 else "the sparse plan beats"
        lines.append(f"In {share} of the law's {answer.intervals.draws} draws {what} the dense plan.")
    if answer.given.nonzero_params is not None or answer.given.dense_params is not None:
        lines.append(
            f"The budget is {_times(comparison.overtraining)} the one for which the dense size is compute-optimal."
        )
    return lines


def _equal_loss(answer: Answer) -> str:
    needed = answer.comparison.dense_flops_for_equal_loss
    if needed is None:
        return "a dense model of this size can't reach the sparse plan's loss at any budget"
    ratio = needed / answer.plan.train_flops
    spread = ""
    if answer.intervals and answer.intervals.compute_ratio[0] > 0:
        low, high = answer.intervals.compute_ratio
        spread = f" ({format_bounds((1 / high, 1 / low), _times)})"
    return (
        f"a dense model needs {format_scientific(needed)} FLOPs for the same loss, {_times(ratio)} the budget{spread}"
    )


def _times(ratio: float) -> str:
    """Write a ratio with three digits; infinite where there is none.

    >>> _times(1.154), _times(70.16), _times(0.02), _times(123456.0)
    ('1.15x', '70.2x', '0.02x', '1.23e5x')
    """
    return f"{ratio:.3g}x" if 1e-3 <= ratio < 1000 else f"{format_scientific(ratio)}x"


def summary(answer: Answer) -> str:
    """The answer in one line that can be pasted into a chat."""
    plan, dense = answer.plan, answer.dense
    budget = f"{format_scientific(plan.train_flops)} FLOPs"
    run = f"{format_count(plan.data_seen)} {plan.data_unit}s, loss {plan.loss:.3f}"
    source = f"{answer.law.name}, {answer.cost} cost{', extrapolated' if answer.extrapolation else ''}"
    if _dense_only(answer):
        return f"{budget}: {format_count(plan.nonzero_params)} parameters on {run} ({answer.law.name}, a dense law)"
    if plan.sparsity == 0:
        return f"{budget}: stay dense, {format_count(plan.nonzero_params)} parameters on {run} ({source})"
    sparsity = format_sparsity(plan.sparsity)
    if answer.intervals and answer.intervals.sparsity[0] != answer.intervals.sparsity[1]:
        sparsity += f" ({format_bounds(answer.intervals.sparsity, format_sparsity)})"
    needed = answer.comparison.compute_ratio
    against = f"dense reaches {dense.loss:.3f}"
    if needed:
        against = f"dense needs {'only ' if needed > 1 else ''}{_times(1 / needed)} the compute"
    model = f"{format_count(plan.nonzero_params)} non-zero of {format_count(plan.dense_params)} weights"
    return f"{budget}: S = {sparsity}, {model} on {run}; {against} ({source})"


def print_caveats(console: Console, caveats: list[Caveat]) -> None:
    """Print the caveats as a list."""
    for caveat in caveats:
        if caveat.code != "dense-only":  # said above
            say(console, f"! {caveat.message}", style="yellow")


def print_prediction(console: Console, prediction: Prediction) -> None:
    """Print the answer of `predict`."""
    given = prediction.given
    interval = ""
    if prediction.interval is not None:
        interval = f" ({100 * prediction.level:.0f}% interval {format_bounds(prediction.interval, format_loss)})"
    say(console, f"loss {format_loss(prediction.loss)} nats{interval}", style="bold")
    size = f"{format_count(given.nonzero_params)} non-zero of {format_count(given.dense_params)} parameters"
    data = f"{format_count(given.data_seen)} {given.data_unit}s"
    say(console, f"{size}, S = {format_sparsity(given.sparsity)}, {data}; law {prediction.law.name}")
    if prediction.size_multiplier is not None and given.sparsity > 0:
        equal = format_count(given.nonzero_params * prediction.size_multiplier)
        ratio = _times(prediction.size_multiplier)
        say(console, f"As capable as a dense model of {equal}, {ratio} the non-zero parameters.")
    print_caveats(console, prediction.warnings)
