"""What `sparseplan fit` prints for people."""

import shlex
from pathlib import Path

from rich.console import Console

from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.units import format_bounds, format_count, format_scientific, format_sparsity
from sparseplan.cost.flops import flops_cost
from sparseplan.fit.answer import FitAnswer, coefficient_values
from sparseplan.fit.choose_form import STANDARD_ERRORS
from sparseplan.fit.compare import Dependence
from sparseplan.fit.fit_caveats import SIGNIFICANT
from sparseplan.fit.fit_table import FitResult
from sparseplan.fit.rates_answer import FittedRepetition
from sparseplan.fit.read_back import in_words, understood
from sparseplan.fit.verdict import said_against, verdict
from sparseplan.laws.forms import FORMS
from sparseplan.plan.first_plan import first_question
from sparseplan.report.caveats import print_caveats
from sparseplan.report.prediction import run_error_words
from sparseplan.report.strategies import print_strategies


def print_fit(console: Console, result: FitResult, *, written: Path | None) -> None:
    """Print what was read, the certificate, coefficients, errors, tests, held-out groups, caveats and the verdict."""
    answer = result.answer
    say_wrapped(console, f"{_headline(answer)}.")
    say_wrapped(console, f"Read: {in_words(answer.read)}.", indent="  ")
    for line in understood(answer.read, answer.n_runs):
        say_wrapped(console, line, indent="  ")
    say_wrapped(console, _certificate(answer))
    if answer.forms is not None:
        say(console)
        _print_forms(console, answer, averaged=bool(result.law.forms))
    elif answer.form_choice is not None:
        say_wrapped(console, f"Form: {answer.form}, not chosen among others: {answer.form_choice}")
    say(console)
    _print_coefficients(console, answer)
    if answer.strategies is not None:
        say(console)
        print_strategies(console, answer.strategies)
    if answer.repetition is not None:
        say_wrapped(console, _repetition(answer.repetition))
    if answer.free_size_sparsity is not None:
        interval = answer.free_size_sparsity_interval
        words = f" ({format_sparsity(interval[0])} .. {format_sparsity(interval[1])})" if interval else ""
        best = format_sparsity(answer.free_size_sparsity)
        say_wrapped(console, f"Best sparsity with the size free, sparse FLOPs: {best}{words}.")
    say(console)
    _print_errors(console, answer)
    if answer.influential:
        say(console)
        _print_notes(console, answer)
    if answer.dependence or answer.average_parameters:
        say(console)
        _print_tests(console, answer)
    if answer.prediction is not None:
        say(console)
        say_wrapped(console, f"A measured run is {run_error_words(answer.prediction)}; standard deviations.")
    if answer.holdout is not None:
        say(console)
        _print_holdout(console, answer)
    # Where there is no law to plan with, the last line says why.
    print_caveats(console, [one for one in answer.warnings if one.code != "status" or _converged(answer)])
    say(console)
    say_wrapped(console, _verdict(answer, written), style="bold" if _converged(answer) else None)
    if written is not None and _converged(answer):
        say(console, f"Next: {_next_command(result, written)}")


def _converged(answer: FitAnswer) -> bool:
    return answer.status == "converged"


def _verdict(answer: FitAnswer, written: Path | None) -> str:
    """Whether this is a law to plan with, and where it is."""
    found = verdict(answer)
    if not _converged(answer):
        return found if written is None else f"{found} Written to {written}: plans with it give numbers and no verdict."
    if said_against(answer):
        found = f"{found.removesuffix('.')}; mind the warnings."
    return f"{found} " + (f"Written to {written}." if written is not None else "Not written: `save` writes the law.")


def _next_command(result: FitResult, written: Path) -> str:
    """A first plan: at the budget of the dearest run, zeros free."""
    runs, law = result.fit.runs, result.law
    cost = flops_cost("sparse", law.schedule, tokens_per_unit=law.tokens_per_unit)
    flops = cost.flops_for(runs.data_seen, runs.sparsity, runs.nonzero_params)
    dearest = int(flops.argmax())
    budget, size = first_question(
        law, train_flops=float(flops[dearest]), nonzero_params=float(runs.nonzero_params[dearest])
    )
    given = "" if size is None else f" --params {format_count(size)}"
    return f"sparseplan optimal --law {shlex.quote(str(written))} --flops {format_scientific(budget)}{given}"


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


def _print_forms(console: Console, answer: FitAnswer, *, averaged: bool) -> None:
    """What every form predicted of the larger and longer runs that it had not seen, and what the law is made of."""
    table = open_table(console, "form", "prior", "order", "pairs", "level", "behind", "weight")
    for one in answer.forms or ():
        style = "bold" if one.weight > 0.0 else None
        errors = f"{100 * one.order:.2f}%", f"{100 * one.agree:.0f}%", f"{100 * one.level:.2f}%"
        behind = f"{one.behind:.2f} ± {one.uncertain:.2f}" if one.uncertain > 0.0 else "0"
        share = f"{one.weight:.2f}" if one.weight > 0.0 else ""
        table.add_row(one.form, "weak" if one.prior else "none", *errors, behind, share, style=style)
    print_table(console, table)
    say_wrapped(console, f"Chosen: {answer.form_choice}")
    close = all(one.behind <= STANDARD_ERRORS * one.uncertain for one in answer.forms or () if one.weight > 0.0)
    say_wrapped(
        console,
        "Larger and longer runs were set aside and predicted from the others: the differences in log loss between "
        "those of similar cost (order; pairs: in the right one), and their losses (level), root mean squares. Behind: "
        "in log predictive density, with its standard error"
        + ("; forms beyond two of them are not averaged." if close else "."),  # `average` keeps them all
    )
    if averaged:
        say_wrapped(console, f"What follows is of {answer.form} alone, but for the error of a measured run.")


def _certificate(answer: FitAnswer) -> str:
    facts = answer.certificate
    condition = "infinite" if facts["condition"] is None else f"{facts['condition']:.3g}"
    return (
        f"Minimum: {answer.starts_at_optimum} of {answer.starts} starts reached the lowest, {answer.objective:.8g}; "
        f"gradient {facts['gradient']:.1e}, condition {condition}."
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
    print_table(console, table)


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
    print_table(console, table)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:+.2f}%"


def _print_notes(console: Console, answer: FitAnswer) -> None:
    """The runs that hold the law where it is, and those that it misses."""
    table = open_table(console, "run", "S", "N", "D", "loss", "error", "moves")
    for note in [*answer.influential, *(one for one in answer.worst if one not in answer.influential)]:
        table.add_row(
            note.where or note.run_id,
            format_sparsity(note.sparsity),
            format_count(note.nonzero_params),
            format_count(note.data_seen),
            f"{note.loss:.4f}",
            _percent(note.error),
            f"{100 * note.shift:.2f}%",
        )
    print_table(console, table)
    say_wrapped(
        console,
        "The most influential runs, then the worst fitted. Error: of the law there. Moves: by how much predictions "
        "change at most without the run, or without its group.",
    )


def _print_tests(console: Console, answer: FitAnswer) -> None:
    for one in answer.dependence:
        say_wrapped(console, _dependence(one))
    rival = answer.average_parameters
    if rival is not None:
        error, own = (f"{100 * each:.2f}% rms" for each in (rival.error, rival.law_error))
        say_wrapped(
            console,
            f"Or a dense law in average parameters? Predicting each run without it, it errs by {error}, this law by "
            f"{own}; this law is better in {100 * rival.p_law_better:.0f}% of the draws.",
        )


def _dependence(one: Dependence) -> str:
    """Whether an exponent holds at all sparsities, as a question with its answer."""
    low, high = one.interval
    same = one.p_value >= SIGNIFICANT
    found = "yes, as far as these runs can tell" if same else "no"
    return (
        f"Same {one.of} exponent ({one.exponent}) at all sparsities? {found[0].upper()}{found[1:]} "
        f"(p = {one.p_value:.2g}; change from S = 0 to the highest S {one.change:+.3f}, {low:+.3f} .. {high:+.3f})."
    )


def _print_holdout(console: Console, answer: FitAnswer) -> None:
    table = open_table(console, "held out", "runs", "fitted", "law rms", "worst", "power law", "fit without")
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
    print_table(console, table)
