"""The answer of `predict` for people."""

import numpy as np
from rich.console import Console

from sparseplan.common.console import say, say_wrapped
from sparseplan.common.units import (
    format_bounds,
    format_count,
    format_loss,
    format_percent,
    format_ratio,
    format_sparsity,
)
from sparseplan.laws.run_error import RunError
from sparseplan.plan.predict import Prediction
from sparseplan.plan.repeats import Repetition
from sparseplan.report.caveats import print_caveats
from sparseplan.report.plan import print_law_facts
from sparseplan.report.plan_sentences import repeats_in_words


def print_prediction(console: Console, prediction: Prediction) -> None:
    """Print the loss with its interval, the run, and the size of the dense model that it equals."""
    given = prediction.given
    interval = ""
    if prediction.interval is not None:
        interval = (
            f" ({100 * prediction.level:.0f}% of the law's draws: {format_bounds(prediction.interval, format_loss)})"
        )
    sure = None if any(caveat.code == "poor-fit" for caveat in prediction.warnings) else "bold"
    say(console, f"loss {format_loss(prediction.loss)} nats{interval}", style=sure)
    if prediction.prediction_interval is not None:
        within = format_bounds(prediction.prediction_interval, format_loss)
        say(console, f"a measured run: {within} nats ({100 * prediction.level:.0f}% interval)")
    size = f"{format_count(given.nonzero_params)} parameters"
    if given.sparsity > 0:
        size = f"{format_count(given.nonzero_params)} non-zero of {format_count(given.dense_params)} parameters"
        size += f", S = {format_sparsity(given.sparsity)}"
    elif prediction.size_multiplier is not None:
        size += ", dense"
    data = f"{format_count(given.data_seen)} {given.data_unit}s"
    say_wrapped(console, f"{size}, {data}.")
    if prediction.repetition is not None and prediction.epochs is not None and given.unique_data is not None:
        _print_repeats(console, prediction, prediction.repetition, prediction.epochs, given.unique_data)
    if prediction.size_multiplier is not None and given.sparsity > 0:
        equal = format_count(given.nonzero_params * prediction.size_multiplier)
        ratio = format_ratio(prediction.size_multiplier)
        say_wrapped(console, f"Capacity of a dense model with {equal} parameters ({ratio} its non-zero ones).")
    print_caveats(console, prediction.warnings)
    print_law_facts(console, prediction.law)


def _print_repeats(
    console: Console, prediction: Prediction, used: Repetition, epochs: float, unique_data: float
) -> None:
    given = prediction.given
    if not prediction.repetition_spread:
        say_wrapped(console, "No data is repeated.")
        return
    unique = min(unique_data, given.data_seen)
    say_wrapped(console, repeats_in_words(used, unique, epochs, f"{given.data_unit}s", "this run"))
    for other in prediction.repetition_spread:
        loss = f"loss {format_loss(other.loss)} ({other.loss - prediction.loss:+.4f} nats)"
        say_wrapped(console, f"With {other.law}'s rates (R_D {other.R_D:.1f}) instead: {loss}.")


def run_error_words(error: RunError) -> str:
    """The parts of a measured run's error, as standard deviations."""
    shared = f", {format_percent(error.groups)} shared with runs of its group" if error.groups > 0 else ""
    source = f"from {error.cuts} cuts" if error.cuts > 0 else "assumed"
    alone, beyond = format_percent(error.runs), format_percent(error.beyond)
    further = f"and by {beyond} more per factor {np.e:.1f} beyond the runs ({source})"
    return f"off the law by {alone} by itself{shared}, {further}"
