"""A sweep through a real SLURM of one node, hurt in every way that can be brought about in a minute or two."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparseplan.runs.job import Placement
from sparseplan.sweep.driver import Driver
from sparseplan.sweep.estimate import Speed
from sparseplan.sweep.executors.slurm import Slurm, SlurmExecutor
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.state import SweepState
from tests.helpers import real_slurm
from tests.helpers.real_slurm import RealSlurm
from tests.helpers.sweeps import RECIPE, TRAINER, environment, expected, setup_in
from tests.sweep.test_slurm import Quiet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(real_slurm.missing() is not None, reason=real_slurm.missing() or ""),
]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealSlurm]:
    for name, value in environment(step_seconds=0.04).items():
        monkeypatch.setenv(name, value)
    cluster = RealSlurm(tmp_path / "slurm")
    monkeypatch.setenv("SLURM_CONF", str(cluster.configuration))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def test_a_sweep_whose_jobs_controller_and_driver_are_hurt_ends_in_the_losses_of_an_undisturbed_one(
    tmp_path: Path, slurm: RealSlurm
) -> None:
    """36 runs over 2 workers: driver killed, scancel, requeue, controller gone for 30 seconds."""
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root, RECIPE.replace("batch: 2", "batch: 2\nseeds: [0, 1]"))
    assert len(setup.runs) == 36
    folder, listener = Folder(root), Quiet()

    def driver() -> Driver:
        workers = SlurmExecutor(Slurm(device="cpu", workers=2), trainer=TRAINER, ask_seconds=0.5, late_seconds=5.0)
        workers.open(root / "work" / "slurm")
        return Driver(
            folder=folder,
            state=SweepState(folder, setup.plan.segments),
            executor=workers,
            placements=(Placement(),) * 2,
            speed=Speed(tokens_per_second={}),
            listener=listener,
            poll_seconds=0.2,
        )

    driver()._hand_out()  # and then this driver is killed
    second = driver()
    done: dict[str, str] = {}
    back = 0.0

    def hurt(seconds: float) -> None:
        nonlocal back
        finished = len(second.state.finished)
        if "gone" in done and "back" not in done and time.monotonic() > back:
            slurm.start_controller()
            done["back"] = ""
        elif finished >= 4 and "cancelled" not in done and (jobs := slurm.running()):
            slurm.ask("scancel", jobs[0][0])
            done["cancelled"] = jobs[0][1]
        elif finished >= 8 and "requeued" not in done and (jobs := slurm.running()):
            slurm.ask("scontrol", "requeue", jobs[0][0])
            done["requeued"] = jobs[0][1]
            done["number"] = jobs[0][0]
        elif "requeued" in done and "released" not in done:
            state = slurm.ask("squeue", "--noheader", f"--jobs={done['number']}", "--format=%T").strip()
            if state == "PENDING":  # SLURM would hold it back for two minutes
                slurm.ask("scontrol", "update", f"JobId={done['number']}", "StartTime=now")
                done["released"] = ""
        elif finished >= 14 and "gone" not in done:
            slurm.stop_controller()
            done["gone"], back = "", time.monotonic() + 30.0
        time.sleep(seconds)

    second.sleep = hurt
    second.run()
    assert {"cancelled", "requeued", "released", "gone", "back"} <= done.keys(), (done, listener.notes)
    assert second.failures == {}
    assert {name: record.loss for name, record in second.state.finished.items()} == expected(setup.runs)
    assert any("doesn't answer" in note for note in listener.notes)
    scripts = {path.stem for path in (root / "work" / "slurm").glob("*.sh")}
    again = [note for note in listener.notes if "starting it again" in note]
    assert len(scripts) == len(setup.plan.segments) + len(again)  # nothing was submitted without a reason
    requeued = done["requeued"].removeprefix("sparseplan-")
    segment = requeued.rpartition("-")[0]
    assert not any(note.startswith(segment) for note in again)
    assert sum(script.startswith(segment + "-") for script in scripts) == 1  # by its requeued job alone
    assert slurm.ask("squeue", "--noheader").strip() == ""
