"""What `sparseplan fit` prints for people."""

from pathlib import Path

from rich.console import Console

from sparseplan.common.console import open_table, say, say_wrapped
from sparseplan.common.units import format_bounds, format_count, format_sparsity
from sparseplan.fit.answer import FitAnswer, coefficient_values
from sparseplan.fit.choose_form import FormScore
from sparseplan.fit.influence import RunNote
from sparseplan.fit.rates_answer import FittedRepetition
from sparseplan.fit.read_back import in_words
from sparseplan.laws.forms import FORMS
from sparseplan.report.plan import print_caveats
from sparseplan.report.prediction import run_error_words


def print_fit(console: Console, answer: FitAnswer, *, written: Path | None) -> None:
    """Print what was read, the certificate, the coefficients, errors by level, tests, held-out groups and caveats."""
    say(console, _headline(answer))
    say_wrapped(console, f"Read: {in_words(answer.read)}.", indent="  ")
    say(console, _certificate(answer))
    if answer.forms is not None:
        say(console)
        _print_forms(console, answer.forms)
    say(console)
    _print_coefficients(console, answer)
    if answer.repetition is not None:
        say(console, _repetition(answer.repetition))
    if answer.free_size_sparsity is not None:
        interval = answer.free_size_sparsity_interval
        words = f" ({format_sparsity(interval[0])} .. {format_sparsity(interval[1])})" if interval else ""
        say(
            console,
            f"Best sparsity with the size free, sparse FLOPs: {format_sparsity(answer.free_size_sparsity)}{words}.",
        )
    say(console)
    _print_errors(console, answer)
    for title, notes in (("Most influential", answer.influential), ("Worst fitted", answer.worst)):
        for note in notes:
            say(console, f"{title}: {_note(note)}")
    if answer.dependence or answer.average_parameters:
        say(console)
        _print_tests(console, answer)
    if answer.prediction is not None:
        say(console)
        say_wrapped(console, f"A measured run is {run_error_words(answer.prediction)}; standard deviations.")
    if answer.holdout is not None:
        say(console)
        _print_holdout(console, answer)
    print_caveats(console, answer.warnings)
    say(console)
    target = f"; written to {written}" if written is not None else ""
    sure = "bold" if answer.status == "converged" else None
    say(console, f"{answer.status}: objective {answer.objective:.6g}{target}", style=sure)


def _headline(answer: FitAnswer) -> str:
    law = FORMS[answer.form].title
    base = f", dense base {answer.frozen_dense} kept" if answer.frozen_dense else ""
    base += ", with the weak prior" if answer.prior != "none" else ""
    delta = "" if answer.huber_delta is None else f" (delta {answer.huber_delta:g})"
    gone = len(answer.left_out)
    left = f", {gone} row{'s' if gone > 1 else ''} left out" if gone else ""
    by = f" by the column {answer.grouped_by}" if answer.grouped_by else ""
    groups = f" in {answer.groups} group{'s' if answer.groups > 1 else ''}{by}" if answer.groups is not None else ""
    return (
        f"{answer.runs}: {law} on {answer.n_runs} runs{groups}{left}{base}; "
        f"{answer.loss}{delta} on {answer.residual} residuals"
    )


def _print_forms(console: Console, forms: list[FormScore]) -> None:
    """What every form predicted of the larger and longer runs that it had not seen."""
    table = open_table(console, "form", "prior", "order, error", "pairs right", "level, error")
    for one in forms:
        style = "bold" if one.chosen else None
        errors = f"{100 * one.order:.2f}%", f"{100 * one.agree:.0f}%", f"{100 * one.level:.2f}%"
        table.add_row(one.form, "weak" if one.prior else "none", *errors, style=style)
    console.print(table)
    chosen = next(one for one in forms if one.chosen)
    what = f"{chosen.form}{' with the weak prior' if chosen.prior else ''}"
    say_wrapped(
        console,
        f"Chosen: {what}. Larger and longer runs were set aside and predicted from the others: the differences between "
        "those of similar cost first (order), their losses second (level), root mean squares.",
    )


def _certificate(answer: FitAnswer) -> str:
    facts = answer.certificate
    condition = "infinite" if facts["condition"] is None else f"{facts['condition']:.3g}"
    return (
        f"{answer.starts_at_optimum} of {answer.starts} starts reached the lowest minimum, {answer.objective:.8g}; "
        f"gradient {facts['gradient']:.1e}, condition {condition}"
    )


def _print_coefficients(console: Console, answer: FitAnswer) -> None:
    headings = ["coefficient", "value"]
    if answer.intervals is not None:
        headings.append(f"{100 * answer.level:.0f}% interval")
    table = open_table(console, *headings)
    for name, value, interval in coefficient_values(answer):
        cells = [name, f"{value:.4g}"]
        if answer.intervals is not None:
            cells.append("chosen" if interval is None else f"{interval[0]:.4g} .. {interval[1]:.4g}")
        table.add_row(*cells)
    console.print(table)


def _repetition(rates: FittedRepetition) -> str:
    """How repeated data and size count, with intervals."""

    def written(name: str, value: float) -> str:
        interval = (rates.intervals or {}).get(name)
        return f"{name} {value:.3g}" + (f" ({interval[0]:.3g} .. {interval[1]:.3g})" if interval else "")

    sparse = ""
    if rates.by_sparsity is not None:
        sparse = f"; at the highest sparsity {', '.join(f'{k} {v:.3g}' for k, v in rates.by_sparsity.items())}"
    return (
        f"Repeated data, from {rates.runs} runs of up to {rates.epochs:.4g} epochs: {written('R_D', rates.R_D)}, "
        f"{written('R_N', rates.R_N)}{sparse}."
    )


def _print_errors(console: Console, answer: FitAnswer) -> None:
    table = open_table(console, "errors by level", "runs", "mean", "rms")
    for row in answer.errors:
        value = format_bounds((row.low, row.high), format_sparsity if row.axis == "S" else format_count)
        level = f"{row.axis} {value}" if ".." in value else f"{row.axis} = {value}"
        table.add_row(level, str(row.runs), _percent(row.mean), f"{100 * row.rms:.2f}%")
    console.print(table)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:+.2f}%"


def _note(note: RunNote) -> str:
    place = f"S = {format_sparsity(note.sparsity)}, N = {format_count(note.nonzero_params)}"
    name = note.run_id if note.where in ("", note.run_id) else f"{note.where} ({note.run_id})"
    where = f"{name} ({place}, D = {format_count(note.data_seen)}, loss {note.loss:.4f})"
    return f"{where}: error {_percent(note.error)}; without it predictions move by up to {100 * note.shift:.2f}%"


def _print_tests(console: Console, answer: FitAnswer) -> None:
    for one in answer.dependence:
        low, high = one.interval
        say(
            console,
            f"Does {one.exponent} depend on sparsity? Change from S = 0 to the highest S {one.change:+.3f} "
            f"({low:+.3f} .. {high:+.3f}), objective {100 * (one.objective_ratio - 1):+.1f}%, p = {one.p_value:.3f}.",
        )
    rival = answer.average_parameters
    if rival is not None:
        say(
            console,
            f"Average-parameter law: objective {rival.objective:.4g}; predicting each run without it errs by "
            f"{100 * rival.error:.2f}% rms, the sparse law by {100 * rival.law_error:.2f}%; "
            f"the sparse law is better in {100 * rival.p_law_better:.0f}% of the draws.",
        )


def _print_holdout(console: Console, answer: FitAnswer) -> None:
    table = open_table(console, "held out", "runs", "fitted", "law rms", "worst", "power law rms", "fit without")
    for group in answer.holdout or ():
        table.add_row(
            group.label,
            str(group.runs),
            str(group.fitted),
            f"{100 * group.law.rms:.2f}%",
            _percent(group.law.worst),
            f"{100 * group.baseline.rms:.2f}%",
            group.status,
        )
    console.print(table)
