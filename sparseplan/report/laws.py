"""Laws as people read them: one law, and the difference of two."""

from typing import Any

import numpy as np

from sparseplan.common.console import open_console, open_table, print_table, say, say_wrapped
from sparseplan.common.intervals import bounds
from sparseplan.common.units import format_bounds, format_count, format_sparsity
from sparseplan.laws.compose import CARRIED_IN_WORDS, SPREAD, Composed
from sparseplan.laws.diff import Change, LawDiff
from sparseplan.laws.draws import Draws
from sparseplan.laws.forms import FORMS
from sparseplan.laws.forms.repeated import effective_epochs
from sparseplan.laws.identity import law_data, law_hash
from sparseplan.laws.law import (
    HeldOutError,
    Law,
    coefficient_draws,
    coefficients,
    draw_count,
    form_of,
    members,
    weights,
)
from sparseplan.laws.multipliers import SHOWN_SPARSITIES, size_multipliers
from sparseplan.laws.repetition import NAMES
from sparseplan.report.law_comparison import format_multiplier
from sparseplan.report.prediction import run_error_words

_REGIONS = {
    "both": "the range both cover",
    "either": "the ranges of the two, which share none on some axis",
    "unknown": "what is stated of their ranges (one doesn't say what it covers)",
}


def law_facts(law: Law) -> dict[str, Any]:
    """A law as plain data with its formula, its draws counted rather than written out."""
    facts: dict[str, Any] = {"hash": law_hash(law), "formula": form_of(law).formula} | law_data(law)
    if law.draws is not None:
        facts["draws"] = _draw_facts(law.draws)
    if law.forms:
        facts["forms"] = [
            block
            | {"formula": FORMS[one.form].formula}
            | ({} if one.draws is None else {"draws": _draw_facts(one.draws)})
            for block, one in zip(facts["forms"], law.forms, strict=True)
        ]
    if law.sparsity:
        facts["size_multipliers"] = {
            family: {str(S): float(m) for S, m in size_multipliers(law, coefficients(law, family)).items()}
            for family in law.sparsity
        }
    return facts


def _draw_facts(draws: Draws) -> dict[str, Any]:
    return {"count": draws.count, "columns": draws.columns, "method": draws.method}


def print_law(law: Law) -> None:
    """Print one law."""
    console = open_console()
    say(console, f"{law.name} {law_hash(law)}", style="bold")
    say_wrapped(console, law.description or "no description")
    say(console)
    say(console, form_of(law).formula)
    _print_coefficients(law)
    if law.sparsity:
        _print_multipliers(law)
    _print_repetition(law)
    _print_range(law)
    if law.levels is not None:
        say_wrapped(console, f"sparsities run: {', '.join(map(format_sparsity, law.levels.sparsity))}")
    if law.counts_embeddings:
        say(console, "N counts embeddings too")
    _print_errors(law)
    for title, facts in (("fit", law.fit), ("provenance", law.provenance)):
        for key, value in facts.items():
            if (title, key) == ("fit", "warnings") and isinstance(value, list):
                for one in value:
                    message = one.get("message") if isinstance(one, dict) else one
                    say_wrapped(console, f"fit warned: {message}", indent="  ")
            else:
                say_wrapped(console, f"{title} {key}: {value}", indent="  ")
    if (count := draw_count(law)) > 0:
        method = next((one.draws.method for one in members(law) if one.draws is not None), "")
        say_wrapped(console, f"draws: {count}, {method or 'method not stated'}")
    else:
        say(console, "draws: none, so answers from this law have no intervals")


def _print_coefficients(law: Law) -> None:
    """A table, of an averaged law one a form."""
    console = open_console()
    for one, weight in zip(members(law), weights(law), strict=True):
        if law.forms:
            say(console, f"{one.form}, weight {weight:.3g}: {form_of(one).formula}")
        table = open_table(console, "coefficient", "unit", "value", "90% of draws", text_columns=2)
        for name, value, unit in _coefficient_rows(one):
            table.add_row(name, unit, f"{value:.6g}", _spread(one, name))
        print_table(console, table)


def _coefficient_rows(law: Law) -> list[tuple[str, float, str]]:
    """Column name, value and unit of every coefficient, the dense base first."""
    form, units = form_of(law), f"{law.data_unit}s"
    rows = [(one.name, law.coefficients[one.name], one.unit.format(unit=units)) for one in form.base]
    for family, own in law.sparsity.items():
        rows += [(f"{family}.{one.name}", own[one.name], one.unit.format(unit=units)) for one in form.per_family]
    if law.repetition is not None:
        rows += [(column, value, "") for column, value in law.repetition.columns()]
    return rows


def _spread(law: Law, column: str) -> str:
    if law.draws is None or column not in law.draws.columns:
        return "-"
    values = law.draws.table()[:, law.draws.columns.index(column)]
    return format_bounds(bounds(values), lambda value: f"{value:.4g}")


def _print_errors(law: Law) -> None:
    console = open_console()
    if law.held_out is not None:
        say(console, f"error on {law.held_out.runs} held-out runs: {held_out_words(law.held_out)}")
    if law.prediction is not None:
        say_wrapped(console, f"a measured run is {run_error_words(law.prediction)}")


def held_out_words(error: HeldOutError) -> str:
    """How far a law missed runs that it was not fitted to."""
    return f"{error.mean:.3f} nats on average, {error.worst:.3f} at worst"


_SHOWN_EPOCHS = 4.0


def _print_repetition(law: Law) -> None:
    """The rates, and what they make of four epochs: at S = 0, and at other sparsities where that changes them."""
    if law.repetition is None:
        return
    rates = {name: law.repetition.rate(name) for name in NAMES}
    varies = any(rate.varies for rate in rates.values())
    parts = []
    for S in (0.0, *SHOWN_SPARSITIES) if varies else (0.0,):
        values = {name: float(rate.at(S)) for name, rate in rates.items()}
        worth = effective_epochs(_SHOWN_EPOCHS, values["R_D"])
        at = f" at {format_sparsity(S)}" if varies else ""
        parts.append(f"{worth:.2f}{at} (R_D {values['R_D']:.3g}, R_N {values['R_N']:.3g})")
    counts = ", ".join(parts)
    say_wrapped(open_console(), f"{_SHOWN_EPOCHS:g} epochs of repeated data count as {counts} epochs of unique data")


def _print_multipliers(law: Law) -> None:
    console = open_console()
    say_wrapped(console, "A sparse model is as capable as a dense one of this many times its non-zero parameters:")
    for family in law.sparsity:
        draws = coefficient_draws(law, family)
        drawn = None if draws is None else size_multipliers(law, draws)
        parts: list[str] = []
        for S, value in size_multipliers(law, coefficients(law, family)).items():
            spread = "" if drawn is None else f" ({format_bounds(bounds(drawn[S]), format_multiplier)})"
            parts.append(f"{format_multiplier(float(value))}x{spread} at {format_sparsity(S)}")
        say_wrapped(console, f"  {family}: {', '.join(parts)}", indent="    ")


def _print_range(law: Law) -> None:
    console = open_console()
    covered = law.range
    parts = [
        f"S {format_bounds(covered.sparsity, format_sparsity)}" if covered.sparsity else "S unknown",
        f"N {format_bounds(covered.nonzero_params, format_count)}" if covered.nonzero_params else "N unknown",
        f"D {format_bounds(covered.data_seen, format_count)} {law.data_unit}s" if covered.data_seen else "D unknown",
    ]
    if covered.unique_data is not None:
        parts.append(f"{format_bounds(covered.unique_data, format_count)} of them unique")
    if covered.epochs is not None:
        parts.append(f"{format_bounds(covered.epochs, lambda value: f'{value:.4g}')} epochs")
    say_wrapped(console, f"measured over: {', '.join(parts)}", indent="  ")
    if law.sparsity:
        say(console, f"pruned: {law.schedule.describe()}")
    if law.start is not None:
        seen = format_bounds(law.start.dense_data_seen, format_count)
        say(console, f"started from: dense checkpoints trained on {seen} {law.data_unit}s")
    if law.tokens_per_unit != 1:
        say(console, f"one {law.data_unit} costs {law.tokens_per_unit:g} tokens of compute")


def composed_lines(composed: Composed) -> list[str]:
    """What a composed law carries, and how closely."""
    law = composed.law
    lines = []
    for family in law.sparsity:
        found = size_multipliers(law, coefficients(law, family)).items()
        parts = ", ".join(f"{format_multiplier(float(m))}x at {format_sparsity(S)}" for S, m in found)
        lines.append(f"{family}: carries {CARRIED_IN_WORDS[composed.carried]}; here m(S) is {parts}")
    if law.fit["deviation"]:
        closest = (
            f"m(S) is off by at most {100 * composed.deviation:.2g}% up to S = {format_sparsity(composed.highest)}"
        )
        lines.append(f"its coefficients are the closest on this base: {closest}")
    if composed.multiplier_at is not None:
        at = format_count(composed.multiplier_at)
        lines.append(f"the lender's m(S) changes with size: the one at N = {at} was taken, for all sizes")
    low, high = np.exp([-SPREAD[composed.carried], SPREAD[composed.carried]])
    lines.append(f"the draws scale ln m(S) by {low:.2f} .. {high:.2f} (one standard deviation), as setups differ")
    return lines


def print_diff(difference: LawDiff) -> None:
    """Print what separates two laws."""
    console = open_console()
    table = open_table(console, "", difference.first, difference.second, "change")
    for change in [*difference.coefficients, *difference.plans]:
        if change.first is None and change.second is None:
            continue
        table.add_row(change.name, _value(change.first), _value(change.second), _change(change))
    print_table(console, table)
    if difference.loss_difference is None or difference.data_seen is None:
        say(console, "The two laws count different data: their losses can't be compared.")
        return
    N, D = (format_bounds(axis, format_count) for axis in (difference.nonzero_params, difference.data_seen))
    say_wrapped(console, f"Over {_REGIONS[difference.region]}, N {N}, D {D}:")
    changes = _three(difference.loss_difference)
    say_wrapped(console, f"  loss changes by {changes} nats (least, median, most)", indent="    ")
    if difference.sparsity_difference is not None:
        low, middle, high = (100 * value for value in difference.sparsity_difference)
        points = f"{low:+.1f}, {middle:+.1f}, {high:+.1f} points"
        say_wrapped(console, f"  optimal sparsity at fixed N and C changes by {points}", indent="    ")


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def _change(change: Change) -> str:
    if change.first is None or change.second is None or change.first == change.second:
        return "" if change.first != change.second else "same"
    if change.first == 0:
        return f"{change.second:+.3g}"
    return f"{100 * (change.second / change.first - 1):+.1f}%"


def _three(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:+.4f}" for value in np.asarray(values))
