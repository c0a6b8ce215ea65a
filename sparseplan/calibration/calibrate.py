"""A whole calibration in its folder, under its lock: set up, train, fit, write up."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sparseplan.calibration.manifest import refuse_strangers
from sparseplan.calibration.recipe import LoadedRecipe
from sparseplan.calibration.setup import set_up
from sparseplan.calibration.train_runs import train_runs
from sparseplan.calibration.write_up import Conclusion, write_up
from sparseplan.common.console import say
from sparseplan.common.units import format_percent
from sparseplan.sweep.executors import Executor
from sparseplan.sweep.folder import Folder


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalibrationResult:
    """A calibration that has come to its end; `conclusion` is None where runs are missing."""

    folder: Path
    conclusion: Conclusion | None


def calibrate(root: Path, loaded: LoadedRecipe, executor: Executor, console: Console) -> CalibrationResult:
    """Train what is missing in a folder, and fit and write up once nothing is.

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
            say(console, "stopped; finished runs and checkpoints are kept, and the same command goes on from here")
            raise
        if trained.failures:
            for name, why in trained.failures.items():
                say(console, f"{name}: {why}", style="red")
            say(
                console,
                f"{len(trained.records)} of {len(trained.runs)} runs are finished; the same command tries again",
            )
            return CalibrationResult(folder=root, conclusion=None)
        return CalibrationResult(folder=root, conclusion=write_up(setup, folder, trained))
