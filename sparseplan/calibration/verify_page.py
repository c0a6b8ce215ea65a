"""How a law did on plans outside its fit, in words, a table and a picture: a section of a calibration's page."""

import re
from pathlib import Path

from sparseplan.calibration.rivals import Kind
from sparseplan.calibration.verification import Verification, VerifiedPlan, plans
from sparseplan.common.intervals import Bounds
from sparseplan.common.units import format_count, format_percent, format_scientific, format_sparsity
from sparseplan.figures.verify_figure import PlanDrawn, draw_plans
from sparseplan.laws.law import Law

HEADING = "## Put to the test"
KINDS: dict[Kind, str] = {"plan": "recommended plan", "dense": "best dense plan", "rival": "rival"}


def with_section(page: str, found: Verification, law: Law, *, figure: str) -> str:
    """A page with the section in place of an earlier one, or before what comes next."""
    section = "\n".join(
        [HEADING, "", f"![Predicted and measured losses of plans of one budget]({figure})", "", *_lines(found, law), ""]
    )
    parts = re.split(r"(?m)^(?=## )", page)
    kept = [part for part in parts if not part.startswith(HEADING)]
    at = next((index for index, part in enumerate(kept) if part.startswith("## What this can't tell")), len(kept))
    return "".join([*kept[:at], section + "\n", *kept[at:]])


def draw_verification(found: Verification, path: Path) -> None:
    """Draw the plans whose runs all were measured.

    Raises:
        PlanError: for a suffix that is no picture's.
    """
    drawn = [
        PlanDrawn(
            kind=plan.run.kind,
            sparsity=plan.run.S,
            dense_params=plan.run.dense_params,
            predicted=plan.predicted,
            interval=plan.run.interval,
            measured=plan.measured,
        )
        for plan in plans(found.runs)
        if plan.finished
    ]
    title = f"{found.law.name}: {len(drawn)} plans of {format_scientific(found.train_flops)} FLOPs, outside the fit"
    draw_plans(drawn, path, title=title, level=found.level)


def _lines(found: Verification, law: Law) -> list[str]:
    trained = plans(found.runs)
    seeds = len({run.seed for run in found.runs})
    of = f", {seeds} seeds each" if seeds > 1 else ""
    return [
        f"{len(trained)} plans of {format_scientific(found.train_flops)} FLOPs, {found.times:g} times the dearest run "
        f"of the grid, trained outside the fit{of}: what the law recommends for this budget, its best dense plan, and "
        "rivals spread over size and sparsity. `verify.json` has the numbers, `verify/runs/` the records.",
        "",
        f"| plan | sparsity | dense size | non-zero | {found.data_unit}s | predicted | "
        f"{100 * found.level:.0f}% of runs | measured |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(plan) for plan in sorted(trained, key=by_measured)),
        "",
        *(f"- {sentence}" for sentence in sentences(found, law)),
    ]


def sentences(found: Verification, law: Law) -> list[str]:
    """What came of it: losses, order, the plan."""
    trained = plans(found.runs)
    measured = sorted((plan for plan in trained if plan.finished), key=by_measured)
    said = []
    if found.rms is not None:
        known = [run for run in found.runs if run.interval is not None and run.measured is not None]
        within = f"; {round(found.inside * len(known))} of {len(known)} lie" if found.inside is not None else ""
        within += f" in their {100 * found.level:.0f}% prediction intervals" if within else ""
        said.append(f"Losses: {format_percent(found.rms)} off in the mean square{within}.")
    if found.spearman is not None:
        said.append(f"Order: Spearman's rank correlation of predicted and measured is {found.spearman:+.2f}.")
    said += _of_the_plan(found, measured)
    if law.prediction is not None:
        said.append(
            f"A single run strays from the law by {format_percent(law.prediction.runs)} by itself: plans closer than "
            "that are a tie."
        )
    if len(measured) < len(trained):
        said.append(f"{len(trained) - len(measured)} of {len(trained)} plans diverged, and count in none of this.")
    if found.data_limited:
        said.append(
            "The law would have its plans see more data than there are: its two are the best within them, and every "
            "rival keeps to them."
        )
    repeated = sum(run.unique_data is not None for run in found.runs)
    if repeated:
        how = "like fresh data" if law.repetition is None else "by its fitted rates"
        said.append(f"{repeated} of {len(found.runs)} runs saw data more than once; the law counts repeats {how}.")
    return said


def _of_the_plan(found: Verification, measured: list[VerifiedPlan]) -> list[str]:
    """Where the recommended plan came in, and how it stands against the dense one."""
    own = next((plan for plan in measured if plan.run.kind == "plan"), None)
    if own is None or found.regret is None:
        return ["The recommended plan diverged."]
    place = measured.index(own) + 1
    if place == 1:
        said = [f"The recommended plan came first of {len(measured)}."]
    else:
        said = [
            f"The recommended plan came {_ordinal(place)} of {len(measured)}: its loss lies {100 * found.regret:.2g}% "
            f"above the lowest, that of {_named(measured[0])}."
        ]
    dense = next((plan for plan in measured if plan.run.kind == "dense"), None)
    if dense is not None:
        predicted, found_so = own.predicted - dense.predicted, own.measured - dense.measured
        said.append(f"Its loss less the best dense plan's: predicted {predicted:+.4f} nats, measured {found_so:+.4f}.")
    return said


def _named(plan: VerifiedPlan) -> str:
    run = plan.run
    kind = "" if run.kind == "rival" else f" ({KINDS[run.kind]})"
    size = f"{format_count(run.dense_params)} parameters"
    return (f"{size} pruned to {format_sparsity(run.S)}" if run.S else f"a dense model of {size}") + kind


def _row(plan: VerifiedPlan) -> str:
    run = plan.run
    cells = [
        KINDS[run.kind],
        format_sparsity(run.S) + (f" ({run.pattern})" if ":" in run.pattern and run.S else ""),
        f"{format_count(run.dense_params)} ({run.layers} x {run.width})",
        format_count(run.N),
        format_count(run.D),
        f"{plan.predicted:.4f}",
        _interval(run.interval),
        f"{plan.measured:.4f}" if plan.finished else "diverged",
    ]
    return f"| {' | '.join(cells)} |"


def _interval(interval: Bounds | None) -> str:
    return "-" if interval is None else f"{interval[0]:.3f} .. {interval[1]:.3f}"


def by_measured(plan: VerifiedPlan) -> tuple[bool, float]:
    """The key of an order from the lowest measured loss on, diverged plans last."""
    return not plan.finished, plan.measured


def _ordinal(place: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(place, f"{place}th")
