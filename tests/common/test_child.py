"""Claims about the processes that we start: a stray module in somebody's folder never runs."""

import json
import subprocess
from pathlib import Path

import pytest

import sparseplan
from sparseplan.common.child import python
from sparseplan.hardware.bench.process import Measurer
from sparseplan.hardware.bench.protocol import Job
from sparseplan.sweep.machine import probe_machine
from tests.helpers.sweeps import environment, expected, losses, setup_in, sweep_in

STRAYS = ("torch", "json", "msgspec", "runpy", "numpy")


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose modules leave a mark when they are imported."""
    folder, mark = tmp_path / "trap", tmp_path / "ran"
    folder.mkdir()
    for name in STRAYS:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r})\nraise ImportError('stray')\n")
    monkeypatch.chdir(folder)
    return mark


def test_the_folder_that_a_process_starts_in_gives_it_no_modules(trap: Path) -> None:
    plain = subprocess.run([python()[0], "-c", "import json"], capture_output=True, check=False)
    assert plain.returncode == 1  # what the trap is about
    assert trap.read_text() == "json"
    trap.unlink()
    answer = subprocess.run(
        python("-c", "import json; print(json.dumps(1))"), capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == 1
    assert not trap.exists()


def test_the_probe_of_a_machine_runs_nothing_of_the_working_folder(trap: Path) -> None:
    pytest.importorskip("torch")
    probe_machine.cache_clear()
    assert probe_machine().cores >= 1
    assert not trap.exists()


def test_the_measuring_process_runs_nothing_of_the_working_folder(trap: Path) -> None:
    pytest.importorskip("torch")
    with Measurer(Job(device="cpu", seconds_per_case=0.01)) as measurer:
        assert measurer.facts.hardware.accelerator == "cpu"
    assert not trap.exists()


def test_workers_run_nothing_of_the_working_folder(trap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    trained = sweep_in(tmp_path, tmp_path / "sweep")
    assert losses(trained) == expected(setup_in(tmp_path, tmp_path / "sweep").runs)
    assert not trap.exists()


def test_every_python_process_of_the_package_is_started_through_one_function() -> None:
    package = Path(sparseplan.__file__).parent
    starters = {
        str(path.relative_to(package)) for path in package.rglob("*.py") if "sys.executable" in path.read_text()
    }
    assert starters == {"common/child.py"}
