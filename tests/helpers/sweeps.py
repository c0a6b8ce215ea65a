"""Small sweeps for tests: a recipe, its setup, and a driver process that can be killed."""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from sparseplan.calibration.recipe import LoadedRecipe, parse_recipe
from sparseplan.calibration.setup import Setup, kind_of, set_up
from sparseplan.calibration.train_runs import SweepResult, train_runs
from sparseplan.runs.spec import RunSpec
from sparseplan.sweep.executors import EXECUTORS, Executor
from sparseplan.sweep.executors.local import Local, LocalExecutor
from sparseplan.sweep.executors.slurm import Slurm, SlurmExecutor
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.machine import Machine
from tests.helpers.fake_trainer import expected_loss

ROOT = Path(__file__).parents[2]
TRAINER = "tests.helpers.fake_trainer"
MACHINE = Machine(torch="none", cores=2, gpus=())
RECIPE = """\
format: sparseplan-recipe/1
name: small
description: A sweep of fake trainings.
model:
  context: 16
  head_width: 8
  sizes:
    grid: shapes
    shapes: [{layers: 1, width: 8}, {layers: 1, width: 16}]
sparsities: [0, 0.75, "2:4"]
lengths: {steps: [20, 40, 80]}
batch: 2
data: {kind: text, paths: [TEXT]}
learning_rate: {warmup: 5}
pruning: {updates: 8}
fit: {bootstrap: 20}
executor: {workers: 2}
"""


def write_texts(folder: Path) -> Path:
    """Documents with nothing to learn, in a folder."""
    place = folder / "texts"
    place.mkdir(exist_ok=True)
    for index in range(40):
        (place / f"{index}.txt").write_text(f"document {index}\n" * 60)
    return place


def recipe(folder: Path, text: str = RECIPE) -> LoadedRecipe:
    return parse_recipe(text.replace("TEXT", str(write_texts(folder))), source="small.yaml")


def setup_in(folder: Path, root: Path, text: str = RECIPE) -> Setup:
    Folder(root).prepare()
    return set_up(recipe(folder, text), Folder(root).corpus)


def environment(faults: Path | None = None, *, step_seconds: float = 0.0) -> dict[str, str]:
    chosen = os.environ | {"PYTHONPATH": str(ROOT), "FAKE_STEP_SECONDS": str(step_seconds), "COLUMNS": "200"}
    return chosen | ({"FAKE_FAULTS": str(faults)} if faults is not None else {})


def executor_for(loaded: LoadedRecipe) -> Executor:
    """The executor of a recipe, with fake trainings; this machine is a small one."""
    settings = loaded.recipe.executor
    if isinstance(settings, Local):
        return LocalExecutor(settings, trainer=TRAINER, machine=MACHINE)
    if isinstance(settings, Slurm):
        return SlurmExecutor(settings, trainer=TRAINER, ask_seconds=0.05, late_seconds=0.3)
    return EXECUTORS[kind_of(settings)](settings, trainer=TRAINER)


def sweep_in(folder: Path, root: Path, text: str = RECIPE) -> SweepResult:
    """Sweep in this process; workers are processes."""
    console = Console(stderr=True, width=200)
    with Folder(root).locked():
        setup = setup_in(folder, root, text)
        return train_runs(setup, Folder(root), executor_for(setup.loaded), console)


def start_driver(
    folder: Path, root: Path, faults: Path | None = None, *, step_seconds: float = 0.0
) -> subprocess.Popen[bytes]:
    """Sweep in a process of its own."""
    write_texts(folder)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.sweeps", str(folder), str(root)],
        env=environment(faults, step_seconds=step_seconds),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def losses(trained: SweepResult) -> dict[str, float | None]:
    return {name: record.loss for name, record in trained.records.items()}


def expected(runs: tuple[RunSpec, ...]) -> dict[str, float]:
    return {run.run_id: expected_loss(run) for run in runs}


def main(folder: str, root: str) -> int:
    """What `start_driver` runs: the command's own error boundary, with the fake trainer."""
    from sparseplan.calibration.calibrate import calibrate
    from sparseplan.errors import SparseplanError

    try:
        loaded = recipe(Path(folder))
        done = calibrate(Path(root), loaded, executor_for(loaded), Console(stderr=True, width=200))
    except SparseplanError as problem:
        print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0 if done.conclusion is not None else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
