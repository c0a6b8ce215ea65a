"""The table of a plan: its numbers, their intervals, and the dense plan beside it."""

from collections.abc import Callable
from math import isfinite

from rich.console import Console
from rich.table import Table

from sparseplan.common.console import open_table
from sparseplan.common.units import format_bounds, format_count, format_loss, format_scientific, format_sparsity
from sparseplan.plan.answer import Answer
from sparseplan.report.plan_words import flops_bounds, format_epochs, is_dense_only, is_spent, loss_word


def plan_table(console: Console, answer: Answer) -> Table:
    """The table; a column that has nothing to say is left out."""
    plan, dense, intervals = answer.plan, answer.dense, answer.intervals
    alone = is_dense_only(answer) or plan.sparsity == 0
    columns = [_givens(answer), "dense plan" if alone else "plan"]
    if intervals is not None:
        columns.append(f"{100 * intervals.level:.0f}% interval")
    table = open_table(console, *columns, *([] if alone else ["dense plan"]))
    sizes: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("sparsity", "sparsity", format_sparsity),
        ("nonzero_params", "non-zero parameters", format_count),
        ("dense_params", "dense parameters", format_count),
    )
    for key, noun, write in (
        *((("nonzero_params", "parameters", format_count),) if is_dense_only(answer) else sizes),
        ("data_seen", f"data ({plan.data_unit}s)", format_count),
        ("loss", f"{loss_word(answer)} (nats)", format_loss),
        ("train_flops", "training FLOPs", format_scientific),
    ):
        spent = is_spent(answer, plan) and is_spent(answer, dense)
        if key == "train_flops" and spent and answer.given.loss is None and answer.serving is None:
            continue  # the same for both plans, and given
        cells = [write(getattr(plan, key))]
        if intervals is not None:
            # Beside the plan's loss stands what this plan may reach; beside its size, what the best size may be.
            spread = intervals.plan_loss if key == "loss" else getattr(intervals, key)
            if key == "train_flops":
                cells.append("" if spread is None else flops_bounds(spread))
            else:
                cells.append(format_bounds(spread, write))
        table.add_row(noun, *cells, *([] if alone else [_or_none(getattr(dense, key), write)]))
    if plan.inference_flops is not None and plan.total_flops is not None:
        for noun, ours, theirs, spread in (
            ("inference FLOPs", plan.inference_flops, dense.inference_flops, None),
            ("total FLOPs", plan.total_flops, dense.total_flops, None if intervals is None else intervals.total_flops),
        ):
            given = [] if intervals is None else ["" if spread is None else flops_bounds(spread)]
            table.add_row(
                noun,
                format_scientific(ours),
                *given,
                *([] if alone else [_or_none(_known(theirs), format_scientific)]),
            )
    if plan.unique_data is not None and plan.epochs is not None:
        given = [] if intervals is None else [""]
        for noun, values in (
            (f"unique {plan.data_unit}s", [plan.unique_data, dense.unique_data]),
            ("epochs", [plan.epochs, dense.epochs]),
        ):
            first, second = (format_epochs(v) if noun == "epochs" else format_count(v) for v in map(_known, values))
            table.add_row(noun, first, *given, *([] if alone else [second]))
    return table


def _or_none(value: float, write: Callable[[float], str]) -> str:
    """A figure of the dense plan, where there is one."""
    return write(value) if isfinite(value) else "none"


def _known(value: float | None) -> float:
    assert value is not None, "both plans have what one has"
    return value


def size_given(answer: Answer) -> str:
    """What is decided of size and data."""
    given = answer.given
    size = "size free"
    if given.data_seen is not None:
        size = f"on {format_count(given.data_seen)}"
    elif given.tokens_per_param is not None:
        size = f"{given.tokens_per_param:g} per parameter"
    if given.nonzero_params is not None:
        size = f"{format_count(given.nonzero_params)} {'parameters' if is_dense_only(answer) else 'non-zero'}"
    elif given.dense_params is not None:
        size = f"{format_count(given.dense_params)} dense"
    if given.max_data is not None:
        size += f", at most {format_count(given.max_data)}"
    if given.max_dense_params is not None:
        size += f", at most {format_count(given.max_dense_params)} dense"
    return size


def _givens(answer: Answer) -> str:
    size = size_given(answer)
    return size if answer.pattern == "unstructured" else f"{size}, {answer.pattern}"
