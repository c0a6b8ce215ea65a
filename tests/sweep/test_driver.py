"""Claims about sweeps, on fake trainings: whatever is killed, the losses come out the same."""

import os
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from sparseplan.errors import SweepError
from sparseplan.runs.job import Placement, RunRecord, read_result
from sparseplan.runs.spec import TRAINING_VERSION
from sparseplan.runs.table import read_runs
from sparseplan.runs.trunks import plan_segments
from sparseplan.sweep.driver import Driver
from sparseplan.sweep.estimate import Speed, expected_seconds, work_of
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.machine import Machine
from sparseplan.sweep.state import SweepState
from tests.helpers.fake_trainer import expected_loss, record_of
from tests.helpers.sweeps import (
    MACHINE,
    RECIPE,
    executor_for,
    expected,
    losses,
    setup_in,
    start_driver,
    sweep_in,
)
from tests.sweep.test_slurm import Quiet


def finished_losses(root: Path) -> dict[str, float | None]:
    records = [read_result(path) for path in Folder(root).records.glob("[!.]*.json")]
    return {record.run_id: record.loss for record in records if isinstance(record, RunRecord)}


def workers_of(root: Path) -> list[str]:
    """Command lines of processes that work in a folder."""
    answer = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in answer.splitlines() if "sparseplan.sweep.worker" in line and str(root) in line]


def test_a_sweep_trains_every_run_once_and_ends_in_the_losses_of_lone_runs(tmp_path: Path, fakes: Path) -> None:
    root = tmp_path / "sweep"
    trained = sweep_in(tmp_path, root)
    setup = setup_in(tmp_path, root)
    assert len(setup.runs) == 18
    assert losses(trained) == expected(setup.runs)
    assert trained.failures == {}
    table = read_runs(Folder(root).runs_table)
    assert len(table) == 18
    assert table.group is not None
    assert len(set(table.group.tolist())) == 2  # one trunk a dense size: the draws of a fit keep such runs together
    assert list(Folder(root).checkpoints.iterdir()) == []  # nothing will need them again


def test_a_finished_sweep_starts_no_worker(tmp_path: Path, fakes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sweep_in(tmp_path, tmp_path / "sweep")
    monkeypatch.setattr("subprocess.Popen", None)
    assert losses(sweep_in(tmp_path, tmp_path / "sweep")) == losses(first)


def test_workers_that_are_killed_crash_or_run_out_of_memory_change_no_loss(tmp_path: Path, fakes: Path) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep")
    words = ["kill 3\nkill 9", "exit 1", "memory", "kill 30\nexit 1", "kill 0"]
    for index, segment in enumerate(setup.plan.segments):
        (fakes / segment.id).write_text(words[index % len(words)])
    trained = sweep_in(tmp_path, tmp_path / "sweep")
    assert losses(trained) == expected(setup.runs)
    assert trained.failures == {}
    assert list(fakes.iterdir()) == []  # every fault has struck


def test_a_segment_that_keeps_crashing_is_given_up_and_tried_again_by_the_next_start(
    tmp_path: Path, fakes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep")
    run = setup.runs[-1]
    (fakes / run.run_id).write_text("exit 1\nexit 1\nexit 1")
    trained = sweep_in(tmp_path, tmp_path / "sweep")
    assert set(trained.failures) == {run.run_id}
    assert "crashed with status 1, 3 times without a new checkpoint: the fake trainer was told to fail" in "".join(
        trained.failures.values()
    )
    assert losses(trained) == {k: v for k, v in expected(setup.runs).items() if k != run.run_id}
    assert losses(sweep_in(tmp_path, tmp_path / "sweep")) == expected(setup.runs)


def test_a_segment_that_is_ended_again_and_again_is_not_given_up_while_its_checkpoints_advance(
    tmp_path: Path, fakes: Path
) -> None:
    """As by time limits and preemption; three in a row used to end a run, however far it had come."""
    setup = setup_in(tmp_path, tmp_path / "sweep")
    trunk = setup.plan.segments[0]
    assert trunk.to_step > 56
    (fakes / trunk.id).write_text("\n".join(f"kill {step}" for step in (8, 15, 22, 29, 36, 43, 50, 57)))
    trained = sweep_in(tmp_path, tmp_path / "sweep")
    assert trained.failures == {}
    assert losses(trained) == expected(setup.runs)
    assert list(fakes.iterdir()) == []


def test_running_out_of_memory_leaves_fewer_workers_at_work(
    tmp_path: Path, fakes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep")
    (fakes / setup.plan.segments[0].id).write_text("memory")
    assert losses(sweep_in(tmp_path, tmp_path / "sweep")) == expected(setup.runs)
    assert "ran out of memory; going on with 1 worker;" in capsys.readouterr().err


def test_a_worker_that_finds_its_input_bad_stops_the_sweep_with_its_words(tmp_path: Path, fakes: Path) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep")
    (fakes / setup.plan.segments[0].id).write_text("exit 2")
    with pytest.raises(SweepError, match="a worker stopped: the fake trainer was told to fail"):
        sweep_in(tmp_path, tmp_path / "sweep")
    assert losses(sweep_in(tmp_path, tmp_path / "sweep")) == expected(setup.runs)


def test_a_driver_killed_again_and_again_ends_in_the_same_losses_and_leaves_no_worker(
    tmp_path: Path, fakes: Path
) -> None:
    root = tmp_path / "sweep"
    for records in (0, 1, 6, 12):  # kill it once it has so many records and a checkpoint
        driver = start_driver(tmp_path, root, step_seconds=0.01)
        deadline = time.monotonic() + 30
        while len(finished_losses(root)) < records or not list(Folder(root).checkpoints.glob("*.pt")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        assert driver.stderr is not None
        driver.stderr.close()
    between = finished_losses(root)
    assert 12 <= len(between) < 18
    deadline = time.monotonic() + 10
    while workers_of(root) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers_of(root) == []
    driver = start_driver(tmp_path, root)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 0, said.decode()
    setup = setup_in(tmp_path, root)
    assert finished_losses(root) == expected(setup.runs)
    assert between.items() <= expected(setup.runs).items()
    assert Folder(root).law.exists()
    assert "## What this can't tell" in Folder(root).readme.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_workers_cleanly_and_the_next_start_goes_on(
    tmp_path: Path, fakes: Path, number: int
) -> None:
    root = tmp_path / "sweep"
    driver = start_driver(tmp_path, root, step_seconds=0.02)
    deadline = time.monotonic() + 30
    while not list((root / "work" / "checkpoints").glob("*.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    driver.send_signal(number)
    _, said = driver.communicate(timeout=30)
    assert driver.returncode == 130, said.decode()
    assert "the same command goes on from here" in said.decode()
    assert workers_of(root) == []
    assert len(finished_losses(root)) < 18
    assert list(Folder(root).checkpoints.glob("*.pt"))  # what the workers saved
    setup = setup_in(tmp_path, root)
    assert losses(sweep_in(tmp_path, root)) == expected(setup.runs)


def test_two_drivers_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.locked():
        refusal = pytest.raises(SweepError, match=rf"only driver of this sweep, found process {os.getpid()} on ")
        with refusal, Folder(tmp_path).locked():
            pass
    with Folder(tmp_path).locked():  # and the lock goes with its driver
        pass


def test_a_changed_recipe_is_refused_with_the_difference(tmp_path: Path, fakes: Path) -> None:
    root = tmp_path / "sweep"
    sweep_in(tmp_path, root)
    changed = RECIPE.replace("batch: 2", "batch: 4").replace("0.75,", "0.875,").replace("[20, 40, 80]", "[20, 40]")
    with pytest.raises(SweepError) as refusal:
        sweep_in(tmp_path, root, changed)
    message = str(refusal.value)
    assert "batch: 2 -> 4" in message
    assert "sparsities[1]: 0.75 -> 0.875" in message
    assert "lengths.steps[2]: 80 -> (absent)" in message
    assert "Choose another `out`" in message
    assert "executor" not in message


def test_what_names_no_run_may_change(tmp_path: Path, fakes: Path) -> None:
    root = tmp_path / "sweep"
    first = sweep_in(tmp_path, root)
    moved = RECIPE.replace("executor: {workers: 2}", "executor: {workers: 1, checkpoint_seconds: 5}")
    moved = moved.replace("A sweep of fake trainings", "Another description").replace("bootstrap: 20", "bootstrap: 30")
    assert losses(sweep_in(tmp_path, root, moved)) == losses(first)
    assert "Another description" in Folder(root).recipe.read_text()


def test_changed_data_are_refused(tmp_path: Path, fakes: Path) -> None:
    root = tmp_path / "sweep"
    sweep_in(tmp_path, root)
    (tmp_path / "texts" / "new.txt").write_text("a document that wasn't there\n" * 50)
    with pytest.raises(SweepError, match=r"(training|validation) data: \d+ bytes, sha256 \w{12}\.\.\. -> \d+ bytes"):
        sweep_in(tmp_path, root)


def test_another_version_of_the_training_code_is_refused(
    tmp_path: Path, fakes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_in(tmp_path, tmp_path / "sweep")
    monkeypatch.setattr("sparseplan.runs.spec.TRAINING_VERSION", 99)
    monkeypatch.setattr("sparseplan.calibration.manifest.TRAINING_VERSION", 99)
    with pytest.raises(SweepError, match=f"the training code: version {TRAINING_VERSION} -> 99"):
        sweep_in(tmp_path, tmp_path / "sweep")


def test_divergence_is_a_record_without_a_loss_and_is_not_retried_unasked(tmp_path: Path, fakes: Path) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root)
    run = setup.runs[4]
    (fakes / run.run_id).write_text("diverge 0")
    trained = sweep_in(tmp_path, root)
    assert trained.records[run.run_id].diverged
    assert trained.records[run.run_id].loss is None
    assert len(trained.records) == 18
    table = read_runs(Folder(root).runs_table)
    assert len(table) == 17
    assert [each.reason for each in table.left_out] == ["marked as diverged"]


def test_a_diverged_trunk_takes_the_runs_beyond_it_along_and_no_other(tmp_path: Path, fakes: Path) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root)
    trunk = setup.plan.segments[0]
    (fakes / trunk.id).write_text("diverge 25")
    trained = sweep_in(tmp_path, root)
    # branches at 25 % of 20, 40 and 80 steps for sparse runs, at 80 % for dense ones: 5, 10, 20; 16, 32, 64
    lost = {run.run_id for run in setup.runs if run.trunk_id == trunk.id and run.branch_step > 25}
    assert len(lost) == 2
    assert {name for name, record in trained.records.items() if record.diverged} == lost
    kept = {name: loss for name, loss in expected(setup.runs).items() if name not in lost}
    assert {name: loss for name, loss in losses(trained).items() if loss is not None} == kept


def test_a_diverged_run_is_retried_once_at_a_lower_rate_where_the_recipe_says_so(tmp_path: Path, fakes: Path) -> None:
    root = tmp_path / "sweep"
    text = RECIPE.replace("batch: 2", "batch: 2\nretry_diverged: 0.5")
    setup = setup_in(tmp_path, root, text)
    run = setup.runs[4]
    (fakes / run.run_id).write_text("diverge 0")
    trained = sweep_in(tmp_path, root, text)
    assert len(trained.runs) == 19
    retry = trained.runs[-1]
    assert retry.optimizer.learning_rate == 0.5 * run.optimizer.learning_rate
    assert trained.records[retry.run_id].loss == expected_loss(retry)
    assert trained.records[run.run_id].loss is None
    assert len(read_runs(Folder(root).runs_table)) == 18
    assert losses(sweep_in(tmp_path, root, text)) == losses(trained)  # and not once more


def test_expected_seconds_are_those_of_a_schedule_done_by_hand(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep")
    run = msgspec.structs.replace(setup.runs[0], evaluation_sequences=1)
    short, long = (msgspec.structs.replace(run, steps=steps) for steps in (100, 200))
    alone = plan_segments([short, long], share=False).segments
    # 2 sequences of 16 tokens a step, and a third of 16 for reading at the end; 32 tokens a second
    speed = Speed(tokens_per_second={run.shape: 32.0}, startup_seconds=5.0)
    assert speed.seconds(alone[0]) == pytest.approx(100 + 1 / 6)
    assert expected_seconds(alone, speed, workers=2) == pytest.approx(5 + 200 + 1 / 6)
    assert expected_seconds(alone, speed, workers=1) == pytest.approx(5 + 300 + 1 / 3)
    shared = plan_segments([short, long]).segments  # a trunk of 160 steps; branches of 20 and 40 from 80 and 160
    assert expected_seconds(shared, speed, workers=2) == pytest.approx(5 + 160 + 40 + 1 / 6)


def test_devices_are_shared_out_among_workers() -> None:
    machine = Machine(torch="2", cores=4, gpus=("a", "b"))
    assert machine.devices("auto", None) == ("cuda:0", "cuda:1")
    assert machine.devices("cuda", 3) == ("cuda:0", "cuda:1", "cuda:0")
    assert machine.devices("cuda:1", None) == ("cuda:1",)
    assert machine.devices("cpu", None) == ("cpu",) * 4
    assert MACHINE.devices("auto", None) == ("cpu", "cpu")
    with pytest.raises(SweepError, match="found no CUDA GPU"):
        MACHINE.devices("cuda", None)


def test_the_time_left_learns_from_what_finished_segments_took(tmp_path: Path, fakes: Path) -> None:
    """Real times were 1.4 times the probe's, and the estimate never noticed."""
    setup = setup_in(tmp_path, tmp_path / "sweep")
    small, large = setup.plan.segments[0].run.shape, setup.plan.segments[-1].run.shape
    assert small != large
    probed = Speed(tokens_per_second={small: 2000.0, large: 1000.0}, startup_seconds=3.0)
    finished = next(segment for segment in setup.plan.segments if segment.finish and segment.run.shape == small)
    work = finished.tokens + min(finished.run.data.valid.tokens, 256 * 16) / 3  # a token read is a third of one trained
    assert work_of(finished) == work
    learned = probed.learned({small: (work, 1.4 * work / 2000.0)})
    assert learned.tokens_per_second[small] == pytest.approx(2000.0 / 1.4)
    assert learned.tokens_per_second[large] == pytest.approx(1000.0 / 1.4)  # in proportion, until one has finished
    both = probed.learned({small: (work, 1.4 * work / 2000.0), large: (work, work / 500.0)})
    assert both.tokens_per_second == pytest.approx({small: 2000.0 / 1.4, large: 500.0})
    assert learned.startup_seconds == 3.0
    driver = Driver(
        folder=Folder(tmp_path / "sweep"),
        state=SweepState(Folder(tmp_path / "sweep"), setup.plan.segments),
        executor=executor_for(setup.loaded),
        placements=(Placement(),),
        speed=probed,
        listener=Quiet(),
    )
    driver._segments[finished.id] = finished
    before = driver.speed.seconds(setup.plan.segments[-1])
    record = record_of(finished.run, 2.0)
    driver._learn(msgspec.structs.replace(record, segment_seconds=1.4 * work / 2000.0))
    assert driver.speed.seconds(setup.plan.segments[-1]) == pytest.approx(1.4 * before)
