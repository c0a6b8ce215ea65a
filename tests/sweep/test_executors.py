"""Claims about the seam of executors: what is in the registry goes from a recipe through a dry run to a whole sweep."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from sparseplan.calibration.dry_run import dry_run
from sparseplan.calibration.recipe import load_recipe, recipe_schema
from sparseplan.calibration.setup import Changes, changed, choose_recipe, kind_of
from sparseplan.errors import RecipeError
from sparseplan.runs.job import Placement, read_job
from sparseplan.runs.spec import RunSpec
from sparseplan.sweep.estimate import Speed
from sparseplan.sweep.executors import EXECUTORS
from sparseplan.sweep.executors.base import TRAINER, Ended, Settings, Task
from sparseplan.sweep.executors.local import Local
from sparseplan.sweep.executors.slurm import Slurm
from tests.helpers import fake_slurm, fake_trainer
from tests.helpers.sweeps import RECIPE, environment, executor_for, expected, losses, recipe, setup_in, sweep_in


class Threads(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="threads"):
    """Threads of this process, for fake trainings."""

    stack_kib: int = 1024


class ThreadExecutor:
    """Does every task in a thread: a third executor, as somebody could add it."""

    settings_type: ClassVar[type[Settings]] = Threads
    can_probe: ClassVar[bool] = True
    poll_seconds = 0.001

    def __init__(self, settings: Threads, *, trainer: str = TRAINER) -> None:
        self._settings, self._trainer = settings, trainer
        self._tasks: dict[str, tuple[Task, threading.Thread, list[int]]] = {}

    def placements(self) -> tuple[Placement, ...]:
        return (self._settings.placement("cpu"),) * (self._settings.workers or 1)

    def measure_speed(self, runs: Sequence[RunSpec]) -> Speed:
        return Speed(tokens_per_second={run.shape: 1e6 for run in runs})

    def open(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        (place / "stack").write_text(str(self._settings.stack_kib))

    def adopt(self) -> list[Task]:
        return []

    def start(self, task: Task) -> None:
        status: list[int] = []

        def work() -> None:
            status.append(max(fake_trainer.train(read_job(path), [False]) for path in task.jobs))

        thread = threading.Thread(target=work)
        self._tasks[task.name] = (task, thread, status)
        thread.start()

    def ended(self) -> list[Ended]:
        done = [(task, status) for task, thread, status in self._tasks.values() if not thread.is_alive()]
        for task, _ in done:
            del self._tasks[task.name]
        return [Ended(task=task, status=status[0] if status else 1) for task, status in done]

    def notes(self) -> list[str]:
        return []

    def stop(self) -> None:
        for _, thread, _ in self._tasks.values():
            thread.join()


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "jobs"))
    monkeypatch.setenv("PATH", f"{fake_slurm.install(tmp_path)}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("kind", ["local", "slurm", "threads"])
def test_every_executor_goes_from_a_recipe_through_a_dry_run_to_the_losses_of_lone_runs(
    tmp_path: Path, fakes: None, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setitem(EXECUTORS, "threads", ThreadExecutor)
    text = RECIPE.replace("{workers: 2}", f"{{kind: {kind}, workers: 2, device: cpu}}")
    setup = setup_in(tmp_path, tmp_path / "sweep", text)
    forecast = dry_run(setup, executor_for(setup.loaded))
    assert (forecast.executor, forecast.device, forecast.workers) == (kind, "cpu", 2)
    assert (forecast.expected_seconds is not None) == EXECUTORS[kind].can_probe
    trained = sweep_in(tmp_path, tmp_path / "sweep", text)
    assert losses(trained) == expected(setup.runs)


def test_an_executor_that_is_added_has_its_own_settings_and_their_errors_name_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXECUTORS, "threads", ThreadExecutor)
    loaded = recipe(tmp_path, RECIPE.replace("{workers: 2}", "{kind: threads, stack_kib: 512}"))
    assert loaded.recipe.executor == Threads(stack_kib=512)
    assert "Threads" in recipe_schema()["$defs"]
    with pytest.raises(RecipeError, match=r"small\.yaml:17: executor\.stack_kib: expected a whole number, found 'x'"):
        recipe(tmp_path, RECIPE.replace("{workers: 2}", "{kind: threads, stack_kib: x}"))
    monkeypatch.delitem(EXECUTORS, "threads")
    with pytest.raises(RecipeError, match=r"small\.yaml:17: executor.*expected one of local, slurm, found 'threads'"):
        recipe(tmp_path, RECIPE.replace("{workers: 2}", "{kind: threads, stack_kib: 512}"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{sbatch: [--partition=gpu]}", r"executor\.sbatch: unknown key"),  # local workers take no sbatch options
        ("{kind: slurm, device: tpu}", r"executor\.device: "),
        ("{workers: 0}", r"executor\.workers: "),
        ("[local]", r"executor: "),
    ],
)
def test_settings_of_another_executor_or_out_of_range_are_named_by_line_and_key(
    tmp_path: Path, given: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=r"small\.yaml:17: " + message):
        recipe(tmp_path, RECIPE.replace("{workers: 2}", given))


def test_the_command_line_changes_the_executor_and_keeps_what_all_have_in_common() -> None:
    local = Local(workers=3, checkpoint_seconds=5.0)
    assert changed(local, Changes()) == local
    assert changed(local, Changes(device="cpu")) == Local(workers=3, checkpoint_seconds=5.0, device="cpu")
    slurm = changed(local, Changes(kind="slurm", device="cuda"))
    assert slurm == Slurm(workers=3, checkpoint_seconds=5.0, device="cuda")
    assert changed(Slurm(sbatch=("-p",), workers=2), Changes(kind="local")) == Local(workers=2)
    own = Slurm(sbatch=("--partition=gpu",), setup=("module load",))
    assert changed(own, Changes(kind="slurm", workers=7)) == msgspec.structs.replace(own, workers=7)


def test_the_built_in_recipe_is_sized_to_what_the_executor_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnGpus(ThreadExecutor):
        def placements(self) -> tuple[Placement, ...]:
            return (self._settings.placement("cuda:0"),)

    for found, name in ((ThreadExecutor, "gpt-stdlib-cpu"), (OnGpus, "gpt-stdlib-gpu")):
        monkeypatch.setitem(EXECUTORS, "threads", found)
        loaded, executor = choose_recipe(None, Changes(kind="threads", workers=5))
        assert loaded.recipe.name == name
        assert isinstance(executor, found)
        assert kind_of(loaded.recipe.executor) == "threads"
        # the built-in recipe's own wishes hold where the command line says nothing
        assert loaded.recipe.executor.workers == 5
        assert loaded.recipe.executor.checkpoint_seconds == load_recipe(name).recipe.executor.checkpoint_seconds


def test_every_registered_executor_bears_the_name_that_its_settings_have_in_recipes() -> None:
    for name, executor in EXECUTORS.items():
        settings: Any = executor.settings_type()
        assert kind_of(settings) == name
