"""A law put to the test, before and after, for people."""

from rich.console import Console

from sparseplan.calibration.verification import Verification, plans
from sparseplan.calibration.verify_forecast import VerifyForecast
from sparseplan.calibration.verify_page import KINDS, by_measured, sentences
from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.units import format_count, format_duration, format_loss, format_scientific, format_sparsity
from sparseplan.laws.law import Law


def print_verify_forecast(console: Console, forecast: VerifyForecast) -> None:
    """Print what would put the law to the test."""
    say(console)
    each = f"{format_scientific(forecast.train_flops)} FLOPs each, {forecast.times:g} times the dearest run"
    say_wrapped(console, f"Test of the law: {forecast.plans} plans of {each}, outside the fit.", style="bold")
    if forecast.runs:
        unit = f"{forecast.runs[0].data_unit}s"
        table = open_table(console, "plan", "sparsity", "dense size", "non-zero", unit, "epochs")
        for run in forecast.runs:
            if run.seed == forecast.runs[0].seed:
                table.add_row(
                    KINDS[run.kind],
                    format_sparsity(run.sparsity),
                    format_count(run.dense_params),
                    format_count(run.nonzero_params),
                    format_count(run.data_seen),
                    f"{run.epochs:.3g}",
                )
        print_table(console, table)
    if forecast.expected_seconds is not None:
        say(console, f"Time: about {format_duration(forecast.expected_seconds)} more.")
    else:
        say_wrapped(console, f"Time: unknown: {forecast.unknown_because}")


def print_verification(console: Console, found: Verification, law: Law, *, written: bool) -> None:
    """Print how the law did."""
    say(console)
    flops = format_scientific(found.train_flops)
    say_wrapped(console, f"{len(plans(found.runs))} plans of {flops} FLOPs put the law to the test:", style="bold")
    table = open_table(console, "plan", "sparsity", "dense size", f"{found.data_unit}s", "predicted", "measured")
    for plan in sorted(plans(found.runs), key=by_measured):
        table.add_row(
            KINDS[plan.run.kind],
            format_sparsity(plan.run.S),
            format_count(plan.run.dense_params),
            format_count(plan.run.D),
            format_loss(plan.predicted),
            format_loss(plan.measured) if plan.finished else "diverged",
        )
    print_table(console, table)
    for sentence in sentences(found, law):
        say_wrapped(console, f"- {sentence}", indent="  ")
    if written:
        say(console, "Written: verify.json, verify.png and a section of README.md.")
