"""A whole calibration in its folder, under its lock: set up, train, fit, write up."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sparseplan.calibration.manifest import refuse_strangers
from sparseplan.calibration.recipe import LoadedRecipe, Verifying
from sparseplan.calibration.setup import set_up
from sparseplan.calibration.train_runs import train_runs
from sparseplan.calibration.verification import read_verification
from sparseplan.calibration.verify import Verified, verify
from sparseplan.calibration.write_up import Conclusion, write_up
from sparseplan.common.console import say
from sparseplan.common.units import format_percent
from sparseplan.laws.file import read_law
from sparseplan.laws.identity import law_hash
from sparseplan.sweep.executors import Executor
from sparseplan.sweep.folder import Folder

_STOPPED = "stopped; finished runs and checkpoints are kept, and the same command goes on from here"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalibrationResult:
    """A calibration that has come to its end; `conclusion` is None where runs are missing, `verified` where no test of
    the law was asked for.
    """

    folder: Path
    conclusion: Conclusion | None
    verified: Verified | None = None


def calibrate(
    root: Path, loaded: LoadedRecipe, executor: Executor, console: Console, *, verifying: Verifying | None = None
) -> CalibrationResult:
    """Train what is missing in a folder, fit and write up once nothing is, and put the law to the test if asked to.

    Raises:
        SparseplanError: if recipe, data or folder are unfit, or workers can't go on.
        KeyboardInterrupt: if asked to stop; the same call goes on from there.
    """
    folder = Folder(root)
    with folder.locked():
        refuse_strangers(folder)
        folder.prepare()
        say(console, f"{loaded.recipe.name}: preparing its data")
        setup = set_up(loaded, folder.corpus)
        finished = sum(folder.record(run.run_id).exists() for run in setup.runs)
        there = f", {finished} of them finished before" if finished else ""
        what = (
            "nothing is left to train"
            if finished == len(setup.runs)
            else f"shared trunks save {format_percent(setup.plan.saved)} of the training FLOPs"
        )
        say(console, f"{loaded.recipe.name}: {len(setup.runs)} runs in {root}{there}; {what}")
        try:
            trained = train_runs(setup, folder, executor, console)
        except KeyboardInterrupt:
            say(console, _STOPPED)
            raise
        if trained.failures:
            for name, why in trained.failures.items():
                say(console, f"{name}: {why}", style="red")
            say(
                console,
                f"{len(trained.records)} of {len(trained.runs)} runs are finished; the same command tries again",
            )
            return CalibrationResult(folder=root, conclusion=None)
        conclusion = write_up(setup, folder, trained)
        if verifying is None:
            _say_if_stale(folder, console)
            return CalibrationResult(folder=root, conclusion=conclusion)
        try:
            verified = verify(setup, folder, verifying, executor, console)
        except KeyboardInterrupt:
            say(console, _STOPPED)
            raise
        return CalibrationResult(folder=root, conclusion=conclusion, verified=verified)


def _say_if_stale(folder: Folder, console: Console) -> None:
    """Say where a test on disk is of another law than the one beside it."""
    known = read_verification(folder.verification)
    if known is not None and known.law.hash != law_hash(read_law(folder.law)):
        say(console, f"{folder.verification} is of another law than law.yaml: `--verify` puts this one to the test")
