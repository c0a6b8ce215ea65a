"""Put a calibration's law to the test: train plans of one budget outside the fit, and write how the law did.

Their records, and all that training leaves, are in a sweep of their own below the calibration's folder, `verify/`, so
that no fit ever sees them; `verify.json`, `verify.png` and a section of the README follow from them.
"""

from dataclasses import dataclass

import msgspec
from rich.console import Console

from sparseplan.calibration.recipe import Verifying
from sparseplan.calibration.rivals import Contest, Kind, contest
from sparseplan.calibration.run_rows import run_rows
from sparseplan.calibration.setup import Setup
from sparseplan.calibration.train_runs import drive
from sparseplan.calibration.verification import Verification, judge, read_verification, to_json
from sparseplan.calibration.verify_page import draw_verification, with_section
from sparseplan.common.console import say
from sparseplan.common.files import read_regular, write_text
from sparseplan.common.units import format_scientific
from sparseplan.laws.file import read_law
from sparseplan.laws.identity import law_hash
from sparseplan.laws.law import Law
from sparseplan.runs.spec import RunSpec
from sparseplan.runs.written_table import write_runs
from sparseplan.sweep.executors import Executor
from sparseplan.sweep.folder import Folder


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Verified:
    """A law that was put to the test; `verification` is None where runs are missing."""

    law: Law
    verification: Verification | None
    written: bool = False


def verify(setup: Setup, folder: Folder, verifying: Verifying, executor: Executor, console: Console) -> Verified:
    """Train what is missing of a contest, and write how the law did unless that is written already.

    The caller holds the folder's lock; its law is there.

    Raises:
        PlanError: if the law plans nothing for the budget, or recipe and data allow for too few runs.
        SweepError: if workers can't go on.
        KeyboardInterrupt: if asked to stop; the same call goes on from there.
    """
    law = read_law(folder.law)
    chosen = contest(setup, law, verifying)
    runs = seeded(setup, chosen)
    apart = folder.verifying
    apart.prepare()
    finished = sum(apart.record(run.run_id).exists() for _, run in runs)
    there = f", {finished} of them finished before" if finished else ""
    each = f"{format_scientific(chosen.train_flops)} FLOPs each"
    say(console, f"{law.name}: {len(runs)} runs of {each} put the law to the test{there}")
    trained = drive(setup, [run for _, run in runs], apart, executor, console)
    if trained.failures:
        for name, why in trained.failures.items():
            say(console, f"{name}: {why}", style="red")
        say(console, f"{len(trained.records)} of {len(runs)} runs are finished; the same command tries again")
        return Verified(law=law, verification=None)
    known = read_verification(folder.verification)
    if known is not None and _is_of(known, law, [run for _, run in runs]):
        found = known
    else:
        found = judge(law, chosen, verifying.times, runs, trained.records)
        strategies = setup.loaded.recipe.strategies
        write_runs(run_rows(trained.runs, trained.records, trained.dense_runs, strategies), apart.runs_table)
        write_text(folder.verification, to_json(found))
        draw_verification(found, folder.verification_figure)
    page = read_regular(folder.readme).decode()
    page_with = with_section(page, found, law, figure=folder.verification_figure.name)
    if page_with != page:
        write_text(folder.readme, page_with)
    return Verified(law=law, verification=found, written=found is not known)


def _is_of(known: Verification, law: Law, runs: list[RunSpec]) -> bool:
    """Whether a test was of this law and these runs: another machine would predict other last digits, no more."""
    return known.law.hash == law_hash(law) and [run.run_id for run in known.runs] == [run.run_id for run in runs]


def seeded(setup: Setup, chosen: Contest) -> list[tuple[Kind, RunSpec]]:
    """The runs of a contest, each plan for each of the recipe's seeds."""
    return [
        (kind, msgspec.structs.replace(run, seed=seed))
        for kind, run in chosen.contenders
        for seed in setup.loaded.recipe.seeds
    ]
