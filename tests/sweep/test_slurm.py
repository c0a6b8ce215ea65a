"""Claims about sweeps through SLURM, with its commands played by a script."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from sparseplan.calibration.setup import Setup
from sparseplan.errors import SweepError
from sparseplan.runs.job import Placement, Record
from sparseplan.sweep.driver import Driver, Snapshot
from sparseplan.sweep.estimate import Speed
from sparseplan.sweep.executors.base import Task
from sparseplan.sweep.executors.slurm import Slurm, SlurmExecutor
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.state import SweepState
from tests.helpers import fake_slurm
from tests.helpers.sweeps import RECIPE, TRAINER, environment, expected, setup_in, sweep_in

WORDS = ["kill 3", "exit 1", "memory"]


class Quiet:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def finished(self, record: Record, snapshot: Snapshot) -> None:
        pass

    def update(self, snapshot: Snapshot) -> None:
        pass


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    faults = tmp_path / "faults"
    faults.mkdir()
    (tmp_path / "jobs").mkdir()
    for name, value in environment(faults).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "jobs"))
    monkeypatch.setenv("PATH", f"{fake_slurm.install(tmp_path)}{os.pathsep}{os.environ['PATH']}")
    return faults


def executor(root: Path, **patience: float) -> SlurmExecutor:
    settings = Slurm(device="cpu", sbatch=("--partition=test",), setup=("export FROM_SETUP=1",))
    executor = SlurmExecutor(settings, trainer=TRAINER, ask_seconds=0.05, **({"late_seconds": 0.3} | patience))
    executor.open(root / "work" / "slurm")
    return executor


def drive(root: Path, setup: Setup, workers: SlurmExecutor) -> tuple[SweepState, Driver, Quiet]:
    folder = Folder(root)
    state, listener = SweepState(folder, setup.plan.segments), Quiet()
    driver = Driver(
        folder=folder,
        state=state,
        executor=workers,
        placements=(Placement(),) * 3,
        speed=Speed(tokens_per_second={setup.runs[0].shape: 1e3}, startup_seconds=1.0),
        listener=listener,
        poll_seconds=0.05,
    )
    driver.run()
    return state, driver, listener


def test_jobs_that_fail_in_any_way_are_submitted_again_and_change_no_loss(tmp_path: Path, cluster: Path) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root)
    for segment, word in zip(setup.plan.segments, WORDS, strict=False):
        (cluster / segment.id).write_text(word)
    state, driver, listener = drive(root, setup, executor(root))
    assert {name: record.loss for name, record in state.finished.items()} == expected(setup.runs)
    assert driver.failures == {}
    said = " ".join(listener.notes)
    assert "was killed by signal 9" in said
    assert "crashed with status 1" in said
    assert "ran out of memory" in said


def test_a_driver_finds_the_jobs_that_a_killed_one_submitted_and_submits_none_twice(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.01")
    folder = Folder(root)
    first = Driver(
        folder=folder,
        state=SweepState(folder, setup.plan.segments),
        executor=executor(root),
        placements=(Placement(),) * 2,
        speed=Speed(tokens_per_second={}),
        listener=Quiet(),
    )
    first._hand_out()  # and then it is killed
    running = {path.name for path in (tmp_path / "jobs").iterdir()}
    assert len(running) == 2
    state, _, _ = drive(root, setup, executor(root))
    assert {name: record.loss for name, record in state.finished.items()} == expected(setup.runs)
    submitted = (root / "work" / "slurm").glob("trunk-*.sh")
    assert len(list(submitted)) == 2  # each trunk once


def test_stopping_lets_jobs_save_themselves(tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    folder = Folder(root)
    workers = executor(root)
    driver = Driver(
        folder=folder,
        state=SweepState(folder, setup.plan.segments),
        executor=workers,
        placements=(Placement(),),
        speed=Speed(tokens_per_second={}),
        listener=Quiet(),
    )
    driver._hand_out()
    trunk = setup.plan.segments[0]
    deadline = time.monotonic() + 20
    while not folder.progress(trunk.id).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    workers.stop()
    assert (folder.checkpoints / f"{trunk.id}-rolling.pt").exists()
    assert not any(fake_slurm.is_alive(pid) for pid in fake_slurm.jobs().values())
    assert list((root / "work" / "slurm").glob("*.submitted.json")) == []


def one_driver(root: Path, setup: Setup, workers: SlurmExecutor, listener: Quiet | None = None) -> Driver:
    folder = Folder(root)
    return Driver(
        folder=folder,
        state=SweepState(folder, setup.plan.segments),
        executor=workers,
        placements=(Placement(),) * 2,
        speed=Speed(tokens_per_second={}),
        listener=listener or Quiet(),
        poll_seconds=0.05,
    )


def test_a_controller_that_is_silent_for_a_while_ends_no_sweep_and_loses_no_job(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root)
    listener = Quiet()
    driver = one_driver(root, setup, executor(root), listener)
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks in {1, 30}:  # also while something is to be submitted
            (tmp_path / "down").touch()
        elif looks in {20, 45}:
            (tmp_path / "down").unlink()
        time.sleep(seconds)

    driver.sleep = sleep
    driver.run()
    assert looks > 45
    assert {name: record.loss for name, record in driver.state.finished.items()} == expected(setup.runs)
    assert driver.failures == {}
    assert "SLURM's controller doesn't answer: jobs go on, and this waits for it" in listener.notes
    assert "SLURM's controller answers again" in listener.notes
    assert not [note for note in listener.notes if "its worker" in note]  # nobody was blamed


def test_a_controller_that_stays_silent_ends_the_driver_and_the_next_one_takes_its_jobs_over(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.03")
    workers = executor(root, patience_seconds=0.3, stop_seconds=0.2)
    driver = one_driver(root, setup, workers)
    driver._hand_out()
    (tmp_path / "down").touch()
    with pytest.raises(SweepError, match=r"has not answered for 0 seconds: .*the same command takes them over"):
        driver.run()
    assert len(list((root / "work" / "slurm").glob("*.submitted.json"))) == 2
    assert all(fake_slurm.is_alive(pid) for pid in fake_slurm.jobs().values())
    (tmp_path / "down").unlink()
    state, _, _ = drive(root, setup, executor(root))
    assert {name: record.loss for name, record in state.finished.items()} == expected(setup.runs)
    assert len(list((root / "work" / "slurm").glob("trunk-*.sh"))) == 2  # each trunk once


def test_a_submission_that_seemed_to_fail_is_found_in_the_queue_and_not_made_twice(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.02")
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root)
    (tmp_path / "lost").touch()
    driver = one_driver(root, setup, executor(root))
    driver.run()
    assert {name: record.loss for name, record in driver.state.finished.items()} == expected(setup.runs)
    assert len(fake_slurm.jobs()) == len(list((root / "work" / "slurm").glob("*.sh")))


def test_a_job_that_was_requeued_has_not_ended_though_it_left_an_exit_status(tmp_path: Path, cluster: Path) -> None:
    workers = executor(tmp_path / "sweep")
    place = tmp_path / "sweep" / "work" / "slurm"
    task = Task(name="t-1", segments=(), jobs=(), log=tmp_path / "log")
    workers.start(task)
    (number,) = fake_slurm.jobs()
    wait_for(place / "t-1.status")
    state = tmp_path / f"state-{number}"
    for waiting in ("COMPLETING", "PENDING", "RUNNING"):
        state.write_text(waiting)
        time.sleep(0.06)
        assert workers.ended() == []
    (place / "t-1.status").unlink()
    run_script(place / "t-1.sh", number)  # it starts again, under its own number, and does its work
    assert (place / "t-1.status").exists()
    state.write_text("COMPLETED")
    time.sleep(0.06)
    assert [each.status for each in workers.ended()] == [0]
    run_script(place / "t-1.sh", number)  # and once more after all: it finds the task closed
    assert not (place / "t-1.status").exists()


def test_of_two_jobs_for_one_task_only_the_first_does_anything(tmp_path: Path, cluster: Path) -> None:
    workers = executor(tmp_path / "sweep")
    place = tmp_path / "sweep" / "work" / "slurm"
    workers.start(Task(name="t-1", segments=(), jobs=(), log=tmp_path / "log"))
    wait_for(place / "t-1.status").unlink()
    run_script(place / "t-1.sh", "4711")
    assert not (place / "t-1.status").exists()
    # were the other the first, it would be the one to wait for
    (place / "t-1.owner").write_text("4711\n")
    (tmp_path / "jobs" / "4711").write_text(f"{os.getpid()} other")
    assert workers.ended() == []
    assert '"number":"4711"' in (place / "t-1.submitted.json").read_text()
    workers._submitted.clear()  # it is this process


@pytest.mark.parametrize(
    ("state", "words"),
    [("TIMEOUT", "reached its time limit"), ("PREEMPTED", "was preempted"), ("CANCELLED", "was cancelled")],
)
def test_what_ended_a_job_is_said_in_words_at_once(tmp_path: Path, cluster: Path, state: str, words: str) -> None:
    workers = executor(tmp_path / "sweep", late_seconds=60.0)
    workers.start(Task(name="t-1", segments=(), jobs=(), log=tmp_path / "log"))
    (number,) = fake_slurm.jobs()
    wait_for(tmp_path / "sweep" / "work" / "slurm" / "t-1.status").unlink()
    (tmp_path / f"state-{number}").write_text(state)
    time.sleep(0.06)
    assert [(each.status, each.reason) for each in workers.ended()] == [(None, words)]


@pytest.mark.parametrize(("others", "waits"), [(True, True), (False, False)])
def test_a_full_queue_is_waited_for_while_there_are_jobs_of_ours(
    tmp_path: Path, cluster: Path, others: bool, waits: bool
) -> None:
    workers = executor(tmp_path / "sweep")
    if others:
        workers.start(Task(name="t-1", segments=(), jobs=(), log=tmp_path / "log"))
    (tmp_path / "bin" / "sbatch").write_text(
        "#!/bin/sh\necho 'Batch job submission failed: Job violates accounting/QOS policy' >&2\nexit 1\n"
    )
    second = Task(name="t-2", segments=(), jobs=(), log=tmp_path / "log")
    if waits:
        workers.start(second)
        assert workers._submitted["t-2"].number is None
    else:
        with pytest.raises(SweepError, match="violates accounting/QOS policy"):
            workers.start(second)
        assert not (tmp_path / "sweep" / "work" / "slurm" / "t-2.submitted.json").exists()


def wait_for(path: Path) -> Path:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path


def run_script(script: Path, number: str) -> None:
    subprocess.run(["bash", str(script)], env=os.environ | {"SLURM_JOB_ID": number}, check=True)


def test_a_machine_without_slurm_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SweepError, match=r"expected SLURM's squeue on PATH, found none; .* `executor` local"):
        SlurmExecutor(Slurm()).open(tmp_path / "slurm")


def test_where_the_speed_is_unknown_every_worker_gets_a_run_of_its_own(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root, RECIPE.replace("batch: 2", "batch: 2\nshare_trunks: false"))
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.02")
    folder, workers = Folder(root), executor(root)
    driver = Driver(
        folder=folder,
        state=SweepState(folder, setup.plan.segments),
        executor=workers,
        placements=(Placement(),) * 8,
        speed=workers.measure_speed(setup.runs),
        listener=Quiet(),
    )
    driver._hand_out()
    assert len(fake_slurm.jobs()) == 8  # of 18 runs that could all start; they used to go into one job
    workers.stop()


def test_jobs_whose_device_nobody_named_are_refused_before_anything_is_submitted(tmp_path: Path, cluster: Path) -> None:
    with pytest.raises(SweepError, match=r"SLURM jobs need a device: .* Give `device` cuda or cpu"):
        sweep_in(tmp_path, tmp_path / "sweep", RECIPE.replace("{workers: 2}", "{kind: slurm}"))
    assert fake_slurm.jobs() == {}


@pytest.mark.parametrize(
    "note",
    [
        b'{"number": "--user=alice", "name": "t-1", "segments": [], "jobs": [], "log": ""}',
        b'{"number": "12 13", "name": "t-1", "segments": [], "jobs": [], "log": ""}',
        b'{"number": "12", "name": "other", "segments": [], "jobs": [], "log": ""}',
        b'{"number": "\xff", "name": "t-1"}',
        b"",
    ],
)
def test_a_note_of_a_job_that_nobody_submitted_is_set_aside_and_reaches_no_command(
    tmp_path: Path, cluster: Path, note: bytes
) -> None:
    workers = executor(tmp_path / "sweep")
    path = tmp_path / "sweep" / "work" / "slurm" / "t-1.submitted.json"
    path.write_bytes(note)
    (tmp_path / "bin" / "scancel").write_text("#!/bin/sh\nexit 7\n")
    assert workers.adopt() == []
    workers.stop()  # calls scancel with nothing
    assert not path.exists()
    assert path.with_name("t-1.submitted.json.broken").read_bytes() == note


def test_an_sbatch_that_prints_no_number_is_an_error(tmp_path: Path, cluster: Path) -> None:
    workers = executor(tmp_path / "sweep")
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/sh\necho queued --user=alice\n")
    with pytest.raises(SweepError, match=r"expected sbatch --parsable to print a job's number, found 'queued"):
        workers.start(Task(name="t-1", segments=(), jobs=(), log=tmp_path / "log"))


def test_another_users_job_is_not_taken_over(tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = executor(tmp_path / "sweep")
    path = tmp_path / "sweep" / "work" / "slurm" / "t-1.submitted.json"
    path.write_bytes(b'{"number": "12", "name": "t-1", "segments": [], "jobs": [], "log": ""}')
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(SweepError, match="expected a job that this user submitted, found one of user"):
        workers.adopt()
    assert path.exists()
