"""A calibration before and after it, for people."""

from pathlib import Path

from rich.console import Console

from sparseplan.calibration.dry_run import DryRun, GridForecast
from sparseplan.calibration.write_up import Conclusion, coefficient_rows
from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.units import format_count, format_duration, format_percent, format_scientific, format_sparsity
from sparseplan.report.strategies import print_strategies
from sparseplan.report.verification import print_verify_forecast
from sparseplan.runs.facts import RunFacts
from sparseplan.runs.table import set_name

_WORDS = {"free_size_sparsity": "best sparsity with N free"}


def print_dry_run(console: Console, result: DryRun) -> None:
    """Print a dry run for people."""
    say_wrapped(console, f"{result.recipe}: {len(result.runs)} runs on {result.data}", style="bold")
    say_wrapped(console, f"Pruning: {result.pruning}")
    if started := [run for run in result.runs if run.dense_data_seen is not None]:
        say_wrapped(console, _started_from(started))
    say(console)
    unit = f"{result.runs[0].data_unit}s"
    several = len({run.strategy for run in result.runs if run.sparsity}) > 1
    first_column = "strategy, pattern" if several else "pattern"
    table = open_table(console, first_column, "sparsity", "dense size", "non-zero", unit, "epochs", "FLOPs")
    families: dict[tuple[int, float, str], list[RunFacts]] = {}
    for run in result.runs:
        named = run.pattern if not several else set_name(run.strategy, run.pattern)
        families.setdefault((run.dense_params, run.sparsity, named), []).append(run)
    for (dense_params, sparsity, pattern), runs in families.items():
        first = runs[0]
        lengths = sorted({run.data_seen for run in runs})
        table.add_row(
            pattern if sparsity else "dense",
            format_sparsity(sparsity),
            format_count(dense_params),
            format_count(first.nonzero_params),
            ", ".join(format_count(length) for length in lengths),
            f"{max(run.epochs for run in runs):.3g}",
            format_scientific(sum(run.train_flops for run in runs)),
        )
    print_table(console, table)
    say(console)
    say_wrapped(
        console,
        f"Training FLOPs (6 N D, zeros free): {format_scientific(result.train_flops)}; with shared trunks "
        f"{format_scientific(result.train_flops_with_trunks)}, {format_percent(result.saved_by_trunks)} less.",
    )
    if result.expected_seconds is not None and result.workers is not None:
        workers = f"{result.workers} worker{'s' if result.workers > 1 else ''} on {result.device}"
        say(console, f"Time: about {format_duration(result.expected_seconds)} with {workers}, by a short probe.")
    else:
        say_wrapped(console, f"Time: unknown: {result.unknown_because}")
    print_grid_forecast(console, result.law)
    if result.verify is not None:
        print_verify_forecast(console, result.verify)


def _started_from(runs: list[RunFacts]) -> str:
    """What the dense weights had seen and cost that runs start from."""
    seen = ", ".join(format_count(each) for each in sorted({run.dense_data_seen or 0.0 for run in runs}))
    dense = {(run.dense_params, run.seed, run.dense_data_seen): run.dense_train_flops or 0.0 for run in runs}
    return (
        f"Start: dense weights trained on {seen} {runs[0].data_unit}s, {format_scientific(sum(dense.values()))} FLOPs "
        "in all; the table counts what comes after"
    )


def print_grid_forecast(console: Console, law: GridForecast) -> None:
    """Print what a grid could tell."""
    say_wrapped(console, f"Law: {law.status}: {law.explanation}")
    spreads = [
        f"{_WORDS.get(name, name)} {low:.2f} .. {high:.2f} (true {law.assumed[name]:.2f})"
        for name, (low, high) in law.intervals.items()
    ]
    if not spreads:
        return
    say_wrapped(
        console,
        f"If losses followed a law of typical shape, {100 * law.level:.0f}% of fits would find {', '.join(spreads)}.",
    )
    noise = law.noise
    groups = f"{law.origins} group{'s' if law.origins > 1 else ''}"
    say_wrapped(
        console,
        f"Assumed: losses stray from it by {format_percent(noise.total)} (rms), as in this project's own calibrations: "
        f"{format_percent(noise.origin)} in common to all runs of one dense size and seed ({groups} here), "
        f"{format_percent(noise.length)} to those of one length among them, {format_percent(noise.run)} to each run.",
    )


def print_conclusion(console: Console, conclusion: Conclusion, folder: Path) -> None:
    """Print what a calibration found, what it can't say, and what to do next."""
    answer = conclusion.result.answer
    say_wrapped(console, f"{answer.n_runs} runs, {answer.status}: {answer.explanation}")
    say(console)
    table = open_table(console, "coefficient", "value", f"{100 * answer.level:.0f}% interval")
    for row in coefficient_rows(answer):
        table.add_row(*row)
    print_table(console, table)
    if answer.strategies is not None:
        print_strategies(console, answer.strategies)
    if answer.free_size_sparsity is not None:
        interval = answer.free_size_sparsity_interval
        spread = f" ({format_sparsity(interval[0])} .. {format_sparsity(interval[1])})" if interval else ""
        best = format_sparsity(answer.free_size_sparsity)
        say_wrapped(console, f"Best sparsity with the size free, sparse FLOPs: {best}{spread}.")
    say(console)
    say(console, "What this can't tell:")
    for sentence in conclusion.limits:
        say_wrapped(console, f"- {sentence}", indent="  ")
    say(console)
    if conclusion.written:
        say_wrapped(console, f"Written: {folder}/ with recipe.yaml, runs.csv, law.yaml, README.md and figures.")
    else:
        say_wrapped(
            console,
            f"Unchanged: {folder}/law.yaml was fitted to these runs already; delete it to have it fitted again.",
        )
    if conclusion.next_command is None:
        say_wrapped(console, f"No law to plan with ({answer.status}): plans with it give numbers and no verdict.")
    else:
        say(console, f"Next: {conclusion.next_command}", style="bold")
