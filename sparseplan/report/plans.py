"""Several answers of `optimal`: one table for people, for Markdown and for spreadsheets."""

import csv
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sparseplan.common.console import narrowest, open_table, print_table, say, say_wrapped, text_width
from sparseplan.common.files import replacing
from sparseplan.common.units import (
    format_bounds,
    format_count,
    format_loss,
    format_ratio,
    format_scientific,
    format_sparsity,
)
from sparseplan.plan.answer import Answer
from sparseplan.report.caveats import gravity
from sparseplan.report.plan import SHOWN_CAVEATS, print_law_facts
from sparseplan.report.plan_table import size_given
from sparseplan.report.plan_words import budget_of, cost_of, cost_word, is_dense_only, is_only_dense, loss_word

Cell = Callable[[Answer], str]
_INTERVALS = ("sparsity", "nonzero_params", "dense_params", "data_seen")


def print_plans(console: Console, answers: Sequence[Answer], *, explain: bool = False) -> None:
    """Print what all share, a table of the rest, what its columns mean, and warnings of each kind.

    Laws, then costs and patterns, become headings of tables of their own where a table would be wider than the text.
    """
    axes = {name: cell for name, cell in _axes(answers).items() if len({cell(one) for one in answers}) > 1}
    say_wrapped(console, _summary(answers, axes), style="bold")
    for heads in (["law", "cost", "pattern"][:count] for count in range(4)):
        heading = {name: axes[name] for name in heads if name in axes}
        tables = _tables(console, answers, heading, {name: axes[name] for name in axes if name not in heading})
        if all(narrowest(console, table) <= text_width(console) for table in tables.values()):
            break
    for title, table in tables.items():
        say(console)
        if title:
            say_wrapped(console, title)
        print_table(console, table)
    say(console)
    for line in _legend(answers):
        say_wrapped(console, line)
    for line in _caveats(answers, axes, explain=explain):
        say_wrapped(console, line, indent="  ", style="yellow" if line.startswith("!") else None)
    for answer in {one.law.hash: one for one in answers}.values():
        print_law_facts(console, answer.law)


def markdown(answers: Sequence[Answer]) -> str:
    """The table with all its columns, whether they vary or not, and what they mean."""
    cells = {**_axes(answers), **_figures(answers)}
    rows = [list(cells), ["---"] * len(cells), *([cell(one) for cell in cells.values()] for one in answers)]
    lines = [f"| {' | '.join(word.replace('|', chr(92) + '|') for word in row)} |" for row in rows]
    return "\n".join([*lines, "", f"{_shared(answers, _axes(answers))}. {' '.join(_legend(answers))}"])


def write_csv(answers: Sequence[Answer], path: Path) -> None:
    """Write all figures, a row a plan; a cell is empty where there is none."""
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for index, row in enumerate(map(_row, answers)):
            if index == 0:
                writer.writerow(row)
            writer.writerow("" if value is None else value for value in row.values())


def _axes(answers: Sequence[Answer]) -> dict[str, Cell]:
    """What may differ between questions."""
    hashes = {name: {one.law.hash for one in answers if one.law.name == name} for name in (a.law.name for a in answers)}
    return {
        "budget" if answers[0].given.loss is None else "goal": _goal,
        "law": lambda one: one.law.name if len(hashes[one.law.name]) == 1 else f"{one.law.name} {one.law.hash}",
        "cost": lambda one: one.cost,
        "pattern": lambda one: one.pattern,
    }


def _figures(answers: Sequence[Answer]) -> dict[str, Cell]:
    """What is answered; intervals where any law has them."""
    first = answers[0]
    found: dict[str, Cell] = {
        "S": lambda one: ("~" if _is_extrapolated(one) else "") + format_sparsity(one.plan.sparsity)
    }
    level = next((one.intervals.level for one in answers if one.intervals), None)
    if level is not None:
        found[f"{100 * level:.0f}% interval"] = lambda one: (
            "" if one.intervals is None else format_bounds(one.intervals.sparsity, format_sparsity)
        )
    found |= {
        "N": lambda one: format_count(one.plan.nonzero_params),
        "D": lambda one: format_count(one.plan.data_seen),
    }
    if first.given.loss is None:
        found[loss_word(first)] = lambda one: format_loss(one.plan.loss)
    else:
        found["FLOPs"] = lambda one: format_scientific(cost_of(one.plan))
    found["gain"] = lambda one: "inf" if (gain := _gain(one)) is None else format_ratio(gain)
    return found


def _tables(
    console: Console, answers: Sequence[Answer], heading: dict[str, Cell], axes: dict[str, Cell]
) -> dict[str, Table]:
    """Tables by their titles."""
    cells = {**axes, **_figures(answers)}
    found: dict[str, Table] = {}
    for answer in answers:
        title = _label(answer, heading)
        if title not in found:
            found[title] = open_table(console, *cells, text_columns=len(axes))
        found[title].add_row(*(cell(answer) for cell in cells.values()))
    return found


def _summary(answers: Sequence[Answer], axes: dict[str, Cell]) -> str:
    """What all questions share, and in how many plans sparsity is better; a poor fit leaves no room for the latter."""
    line = f"{len(answers)} plans: {_shared(answers, axes)}."
    if any(caveat.code == "poor-fit" for one in answers for caveat in one.warnings):
        return f"{line} At least one law's fit is poor: see the warnings."
    if all(is_dense_only(one) or is_only_dense(one) for one in answers):
        return line
    # Not a number where no dense plan is paid for.
    better = sum(one.plan.sparsity > 0 and not one.comparison.loss_gain <= 0 for one in answers)
    return f"{line} Sparse and better than the dense plan under the same givens: {better} of {len(answers)}."


def _shared(answers: Sequence[Answer], axes: dict[str, Cell]) -> str:
    first = answers[0]
    goal = _goal(first) if first.given.loss or first.given.device_hours else f"{_goal(first)} FLOPs"
    words = zip(_axes(answers), (goal, f"law {first.law.name}", cost_word(first), first.pattern), strict=True)
    return ", ".join([word for name, word in words if name not in axes] + [size_given(first)])


def _legend(answers: Sequence[Answer]) -> list[str]:
    """What the columns mean, and what can't be compared."""
    unit = {one.plan.data_unit for one in answers}
    lines = [
        "S: sparsity. N: non-zero parameters. D: data seen, "
        f"{' or '.join(f'{one}s' for one in sorted(unit))}. gain: compute that the best dense model of any size needs "
        "for the same loss, over the plan's."
    ]
    if any(_gain(one) is None for one in answers):
        lines.append("inf: no compute of a dense model is enough, or only over 1e300 times the plan's.")
    if any(map(_is_extrapolated, answers)):
        lines.append("~: the plan lies outside what the law's runs covered.")
    if len({one.law.loss for one in answers}) > 1:
        lines.append("The laws predict different losses: compare sparsities and gains between laws, not losses.")
    return lines


def _caveats(answers: Sequence[Answer], axes: dict[str, Cell], *, explain: bool) -> list[str]:
    """Warnings of each kind, the gravest first: the first of a kind with its plan, and how many plans have one."""
    kinds: dict[tuple[int, str, str], list[tuple[Answer, str]]] = {}
    for answer in answers:
        for one in answer.warnings:
            kind = (gravity(one), one.code, one.message if explain else "")
            kinds.setdefault(kind, []).append((answer, one.message))
    kin = "" if explain else "of this kind: "
    lines = []
    for kind in sorted(kinds, key=lambda kind: kind[0]):
        answer, message = kinds[kind][0]
        count = len({id(one) for one, _ in kinds[kind]})
        if count == len(answers) and len({text for _, text in kinds[kind]}) == 1:
            lines.append(f"! {message}")
        else:
            lines.append(f"! {_label(answer, axes)}: {message} ({kin}{count} of {len(answers)} plans)")
    left = 0 if explain else len(lines) - SHOWN_CAVEATS
    return lines if left <= 0 else [*lines[:SHOWN_CAVEATS], f"  {left} more with `explain`"]


def _label(answer: Answer, axes: dict[str, Cell]) -> str:
    """Which plan it is, by what varies."""
    words = {"law": "law ", "cost": "cost ", "pattern": "pattern "}
    return ", ".join(f"{words.get(name, '')}{cell(answer)}" for name, cell in axes.items())


def _goal(answer: Answer) -> str:
    given = answer.given
    if given.device_hours is not None:
        return f"{format_count(given.device_hours)} device hours"
    if given.loss is not None:
        return f"loss {given.loss:g}"
    return format_scientific(budget_of(answer) or 0.0, digits=6)


def _is_extrapolated(answer: Answer) -> bool:
    return any(distance.of == "plan" for distance in answer.extrapolation)


def _gain(answer: Answer) -> float | None:
    """None where no compute of a dense model is enough."""
    ratio = answer.comparison.compute_ratio_any_size
    return 1.0 / ratio if ratio > 0 else None


def _row(answer: Answer) -> dict[str, str | None]:
    """One plan as a row of CSV, numbers to the last digit."""
    plan, dense, intervals = answer.plan, answer.dense, answer.intervals
    numbers: dict[str, float | None] = {
        "budget": budget_of(answer),
        "loss_asked": answer.given.loss,
        "device_hours": answer.given.device_hours,
    }
    for name in _INTERVALS:
        numbers[name] = getattr(plan, name)
        numbers[f"{name}_low"], numbers[f"{name}_high"] = getattr(intervals, name) if intervals else (None, None)
    numbers |= {"loss": plan.loss}
    numbers["loss_low"], numbers["loss_high"] = intervals.plan_loss if intervals else (None, None)
    numbers |= {
        "train_flops": plan.train_flops,
        "inference_flops": plan.inference_flops,
        "total_flops": plan.total_flops,
        "compute_gain": _gain(answer),
        "loss_gain": answer.comparison.loss_gain,
        "p_beats_best_dense": intervals.p_beats_best_dense if intervals else None,
        "dense_nonzero_params": dense.nonzero_params,
        "dense_data_seen": dense.data_seen,
        "dense_loss": dense.loss,
    }
    return {
        "law": answer.law.name,
        "law_hash": answer.law.hash,
        "cost": answer.cost,
        "pattern": answer.pattern,
        "model": None if answer.model is None else answer.model.name,
        **{name: repr(float(one)) if one is not None and isfinite(one) else None for name, one in numbers.items()},
        "data_unit": plan.data_unit,
        "extrapolated": "true" if _is_extrapolated(answer) else "false",
        "warnings": " ".join(sorted({caveat.code for caveat in answer.warnings})),
    }
