"""Claims about finding laws and profiles by name: only whole, plain files that somebody meant to be found."""

import os
import signal
from pathlib import Path

import pytest

from sparseplan.cli import run
from sparseplan.common.lookup import BUILTIN
from sparseplan.laws.file import law_files, load_law, read_law

LAW = (BUILTIN / "laws" / "frantar2023-t5-c4.yaml").read_text()


def named(name: str, c: str = "0.651") -> str:
    text = LAW.replace("name: frantar2023-t5-c4", f"name: {name}").replace("c: 0.651", f"c: {c}")
    assert f"c: {c}" in text
    return text


def test_what_a_killed_writer_left_is_never_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARSEPLAN_LAWS", str(tmp_path / "laws"))
    (tmp_path / "laws").mkdir()
    (tmp_path / "laws" / ".team.123.partial.yaml").write_text(named("team", "0.1"))
    (tmp_path / "laws" / "team.yaml").write_text(named("team"))
    (tmp_path / "calibration" / ".hidden").mkdir(parents=True)
    (tmp_path / "calibration" / ".hidden" / "law.yaml").write_text(named("team", "0.2"))
    assert [path for name, path in law_files() if name == "team"] == [tmp_path / "laws" / "team.yaml"]
    assert load_law("team") == read_law(tmp_path / "laws" / "team.yaml")


def test_a_pipe_among_the_laws_or_runs_hangs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calibration" / "a").mkdir(parents=True)
    os.mkfifo(tmp_path / "calibration" / "a" / "law.yaml")
    os.mkfifo(tmp_path / "runs.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    signal.alarm(30)  # a hang ends the test run, loudly
    try:
        assert run(["laws", "list"]) == 0
        assert run(["optimal", "--flops", "1e20"]) == 0
        for words in (
            ["laws", "show", "calibration/a/law.yaml"],
            ["fit", "runs.csv"],
            ["fit", "zero.csv"],
        ):
            capsys.readouterr()
            assert run(words) == 2
            error = capsys.readouterr().err
            assert "expected a regular file, found a pipe, device or folder" in error
            assert error.count("\n") == 1
    finally:
        signal.alarm(0)


def test_the_users_folder_is_below_home_unless_the_variable_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config" / "sparseplan" / "laws").mkdir(parents=True)
    (tmp_path / ".config" / "sparseplan" / "laws" / "any-name.yaml").write_text(named("team"))
    for value in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CONFIG_HOME", value)
        found = [path for name, path in law_files() if name == "team"]
        assert found == [tmp_path / ".config" / "sparseplan" / "laws" / "any-name.yaml"]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert "team" not in {name for name, _ in law_files()}


def test_hardware_profiles_are_found_in_the_users_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "sparseplan" / "hardware").mkdir(parents=True)
    text = (BUILTIN / "hardware" / "h100.yaml").read_text().replace("name: h100", "name: ours")
    (tmp_path / "sparseplan" / "hardware" / "ours.yaml").write_text(text)
    assert run(["optimal", "--flops", "1e20", "--cost", "ours", "--json"]) == 0
    assert '"cost": "ours"' in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_users_folder_that_may_not_be_read_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "sparseplan" / "laws").mkdir(parents=True)
    (tmp_path / "sparseplan").chmod(0)
    assert load_law("frantar2023-t5-c4").name == "frantar2023-t5-c4"
