"""Claims about records on disk: broken, unreadable, lost or half-written, they cost at most their own run."""

import errno
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sparseplan.common.files import read_regular, replacing
from sparseplan.errors import SweepError
from sparseplan.runs.job import diverged_record, to_json
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.state import SweepState
from tests.helpers import sweeps
from tests.helpers.sweeps import (
    expected,
    losses,
    setup_in,
    sweep_in,
)


def test_a_record_that_was_lost_is_trained_again_with_as_much_of_its_trunk_as_it_needs(
    tmp_path: Path, fakes: Path
) -> None:
    root = tmp_path / "sweep"
    sweep_in(tmp_path, root)
    setup = setup_in(tmp_path, root)
    folder = Folder(root)
    run = next(run for run in setup.runs if run.pruning.sparsity and run.steps == 40)
    folder.record(run.run_id).unlink()
    state = SweepState(folder, setup.plan.segments)
    assert [(segment.id, segment.to_step) for segment in state.remaining()] == [(run.trunk_id, 10), (run.run_id, 40)]
    assert losses(sweep_in(tmp_path, root)) == expected(setup.runs)


@pytest.mark.parametrize("broken", [b"", b"{}", b'{"format": "sparseplan-run/1", "run_id": "\xff"}', b"[" * 5000])
def test_a_broken_record_is_set_aside_and_its_run_trained_again(
    tmp_path: Path, fakes: Path, capsys: pytest.CaptureFixture[str], broken: bytes
) -> None:
    root = tmp_path / "sweep"
    sweep_in(tmp_path, root)
    setup = setup_in(tmp_path, root)
    record = Folder(root).record(setup.runs[0].run_id)
    record.write_bytes(broken)  # as a machine that lost power can leave it
    assert losses(sweep_in(tmp_path, root)) == expected(setup.runs)
    assert record.with_name(f"{record.name}.broken").read_bytes() == broken
    assert f"a broken record was set aside as {record}.broken" in capsys.readouterr().err


def test_a_record_that_cannot_be_read_stops_the_sweep_and_stays(
    tmp_path: Path, fakes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparseplan.sweep.state._READ_PAUSE_SECONDS", 0.01)
    root = tmp_path / "sweep"
    sweep_in(tmp_path, root)
    setup = setup_in(tmp_path, root)
    record = Folder(root).record(setup.runs[0].run_id)
    whole = record.read_bytes()
    record.unlink()
    record.mkdir()  # stands for a file without read permission, which root reads all the same
    with pytest.raises(SweepError, match=r"can't read this result file: .* It may be a finished run: make it readable"):
        sweep_in(tmp_path, root)
    record.rmdir()
    record.write_bytes(whole)
    assert losses(sweep_in(tmp_path, root)) == expected(setup.runs)


def test_a_record_that_fails_to_be_read_for_a_moment_costs_nothing(
    tmp_path: Path, fakes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "sweep"
    first = sweep_in(tmp_path, root)
    monkeypatch.setattr("sparseplan.sweep.state._READ_PAUSE_SECONDS", 0.01)
    failed: set[Path] = set()
    real = read_regular

    def stale(path: Path) -> bytes:
        if path not in failed:
            failed.add(path)
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path)

    monkeypatch.setattr("sparseplan.runs.job.read_regular", stale)
    monkeypatch.setattr("subprocess.Popen", None)  # nothing is trained
    assert losses(sweep_in(tmp_path, root)) == losses(first)
    assert len(failed) == 20  # 18 runs and two trunks


def test_half_written_files_of_killed_workers_are_cleared(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.prepare()
    partial = folder.checkpoints / ".trunk-00000010.123.partial.pt"
    partial.write_bytes(b"half")
    with replacing(folder.checkpoints / "trunk-00000020.pt") as living:  # of a SLURM job that outlived its driver
        living.write_bytes(b"half")
        folder.prepare()
        assert not partial.exists()
        assert living.read_bytes() == b"half"


def test_a_full_disk_is_one_clear_error_and_costs_no_finished_run(tmp_path: Path, fakes: Path) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root)
    # files below 1500 bytes still fit, checkpoints and most else don't
    script = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)); "
    script += "import runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    limited = subprocess.run(
        [sys.executable, "-c", script, sweeps.__file__, str(tmp_path), str(root)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert limited.returncode == 2, limited.stderr
    assert "can't write this file: File too large" in limited.stderr
    assert losses(sweep_in(tmp_path, root)) == expected(setup.runs)


def test_a_record_of_another_name_is_set_aside_and_removes_no_file(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep")
    folder = Folder(tmp_path / "sweep")
    precious = tmp_path / "precious-rolling.pt"
    precious.write_text("precious")
    for name in ("../../../precious", "a\0b"):
        record = msgspec.structs.replace(diverged_record(setup.runs[0], reason="nan", device="cpu"), run_id=name)
        folder.record(setup.runs[0].run_id).write_bytes(to_json(record))
        state = SweepState(folder, setup.plan.segments)
        assert [path.name for path in state.set_aside] == [f"{setup.runs[0].run_id}.json.broken"]
        assert not state.finished
        assert precious.exists()
