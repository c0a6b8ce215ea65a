"""Claims about files: read only if they are plain ones, written whole or not at all, whoever else is in the folder."""

import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sparseplan.common.child import python
from sparseplan.common.files import (
    open_regular,
    read_regular,
    replacing,
    set_aside,
    try_writing,
    write_bytes,
    write_text,
)
from sparseplan.errors import SparseplanError

WRITER = """
import sys, time
from pathlib import Path
from sparseplan.common.files import replacing
with replacing(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def writer(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing a file."""
    process = subprocess.Popen(python("-c", WRITER, str(path)), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def end(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate(timeout=10)


def test_what_a_killed_writer_left_is_cleared_when_the_same_file_is_written_again(tmp_path: Path) -> None:
    end(writer(tmp_path / "team.yaml"))
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".team.")
    write_text(tmp_path / "other.yaml", "other")
    assert left.exists()  # another file's: not looked at
    write_text(tmp_path / "team.yaml", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"team.yaml", "other.yaml"}


def test_a_writer_at_work_keeps_its_temporary_file_while_others_write_the_same_file(tmp_path: Path) -> None:
    process = writer(tmp_path / "team.yaml")
    write_text(tmp_path / "team.yaml", "whole")
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["half", "whole"]
    end(process)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    write_text(path, "old")

    def fail_half_way() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert [each.name for each in tmp_path.iterdir()] == ["team.yaml"]
    assert path.read_text() == "old"


def test_temporary_names_are_different_each_time_and_nothing_planted_is_written_through(tmp_path: Path) -> None:
    seen = set()
    for _ in range(5):
        with replacing(tmp_path / "team.yaml") as partial:
            seen.add(partial.name)
            assert stat.S_ISREG(partial.lstat().st_mode)
    assert len(seen) == 5
    # the name that used to be chosen, planted as a link to a victim
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".team.{os.getpid()}.partial.yaml").symlink_to(victim)
    write_text(tmp_path / "team.yaml", "whole")
    assert victim.read_text() == "precious"


def test_a_link_in_the_place_of_the_file_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "team.yaml").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "team.yaml", "whole")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "team.yaml").is_symlink()


def test_new_files_have_the_mode_of_the_umask_and_replaced_ones_keep_theirs(tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    before = os.umask(0o027)
    try:
        write_text(path, "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    write_text(path, "again")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_durable_file_is_flushed_before_its_rename_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flushed = tmp_path / "record.json", []
    real = os.fsync

    def fsync(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        flushed.append((kind, os.fstat(handle).st_size if kind == "file" else None, path.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_bytes(path, b"12345")
    assert flushed == []  # ordinary files don't pay for it
    path.unlink()
    write_bytes(path, b"12345", durable=True)
    assert flushed == [("file", 5, False), ("folder", None, True)]


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").write_text("text")
    started = time.monotonic()
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="expected a regular file, found a pipe, device or folder"):
            open_regular(path)
    assert time.monotonic() - started < 5
    assert read_regular(tmp_path / "plain") == b"text"


def test_a_broken_file_that_is_set_aside_is_still_there_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("half")
    assert set_aside(tmp_path / "a.json") == tmp_path / "a.json.broken"
    assert (tmp_path / "a.json.broken").read_text() == "half"
    with pytest.raises(SparseplanError, match=r"a\.json: can't set this broken file aside"):
        set_aside(tmp_path / "a.json")


@pytest.mark.parametrize("use", [lambda path: write_text(path, "whole"), try_writing])
def test_an_interrupt_right_after_the_temporary_file_is_made_leaves_none(
    use: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sparseplan.common.files.fcntl.flock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        use(tmp_path / "x.txt")
    assert list(tmp_path.iterdir()) == []
