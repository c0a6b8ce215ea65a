"""Claims about a calibration's folder: whose it is, what a second start changes in it, and what is said on the way."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from sparseplan.calibration.calibrate import CalibrationResult, calibrate
from sparseplan.calibration.manifest import differences, read_manifest
from sparseplan.calibration.recipe import load_recipe
from sparseplan.errors import SweepError
from sparseplan.laws.file import read_law
from sparseplan.sweep.folder import Folder
from tests.helpers.sweeps import RECIPE, ROOT, environment, executor_for, recipe, sweep_in

SHIPPED = ROOT / "calibration" / "gpt-stdlib-cpu"


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def calibrate_in(folder: Path, root: Path, text: str = RECIPE) -> CalibrationResult:
    loaded = recipe(folder, text)
    return calibrate(root, loaded, executor_for(loaded), Console(stderr=True, width=200))


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of every file that is meant to be committed."""
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file() and "work" not in path.parts
    }


def test_a_finished_calibration_is_left_alone_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "small"
    first = calibrate_in(tmp_path, root)
    assert first.conclusion is not None
    assert first.conclusion.written
    assert "18 runs in" in capsys.readouterr().err
    law = root / "law.yaml"
    law.write_text(law.read_text() + "# fitted on the authors' machine\n")
    before = contents(root)
    shutil.rmtree(root / "work")  # as in a clone
    monkeypatch.setattr("subprocess.Popen", None)  # nothing is trained, nothing probed
    again = calibrate_in(tmp_path, root)
    assert again.conclusion is not None
    assert not again.conclusion.written
    assert contents(root) == before
    assert "18 runs in" in (said := capsys.readouterr().err)
    assert "18 of them finished before; nothing is left to train" in said


def test_what_is_missing_or_of_another_fit_is_written_again(tmp_path: Path) -> None:
    root = tmp_path / "small"
    sweep_in(tmp_path, root)
    delta = RECIPE.replace("{bootstrap: 20}", "{bootstrap: 20, huber_delta: 0.02}")
    for text, missing in ((RECIPE, "law.yaml"), (delta, "nothing")):
        (root / missing).unlink(missing_ok=True)
        result = calibrate_in(tmp_path, root, text)
        assert result.conclusion is not None
        assert result.conclusion.written
        assert {"law.yaml", "README.md", "fit.png"} <= contents(root).keys()
    assert read_law(root / "law.yaml").fit["huber_delta"] == 0.02


@pytest.mark.parametrize("name", ["README.md", "runs.csv", "law.yaml", "recipe.yaml", "fit.png"])
def test_a_strangers_folder_is_refused_and_left_as_it_was(tmp_path: Path, name: str) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    (root / name).write_text("mine")
    with pytest.raises(SweepError, match=f"expected an empty folder or one that a calibration made, found {name}"):
        calibrate_in(tmp_path, root)
    assert contents(root).keys() == {name}
    assert (root / name).read_text() == "mine"


def test_a_start_that_was_killed_before_it_kept_its_recipe_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "small"
    sweep_in(tmp_path, root)
    (root / "recipe.yaml").unlink()  # written right after the manifest
    sweep_in(tmp_path, root)
    assert (root / "recipe.yaml").read_text() == recipe(tmp_path).text


def test_changed_data_are_refused_and_the_prepared_ones_are_still_there(tmp_path: Path) -> None:
    root = tmp_path / "small"
    sweep_in(tmp_path, root)
    prepared = {path: path.read_bytes() for path in Folder(root).corpus.rglob("*") if path.is_file()}
    (tmp_path / "texts" / "new.txt").write_text("a document that wasn't there\n" * 50)
    with pytest.raises(SweepError, match="data: "):
        sweep_in(tmp_path, root)
    assert len(prepared) == 3
    assert {path: path.read_bytes() for path in prepared} == prepared


@pytest.mark.parametrize("broken", [b"", b"\xff", b"{}", b'{"recipe": {"name": "\xff"}}', b"[" * 5000])
def test_a_broken_manifest_is_one_clear_error(tmp_path: Path, broken: bytes) -> None:
    folder = Folder(tmp_path)
    folder.manifest.write_bytes(broken)
    with pytest.raises(SweepError, match=r"manifest\.json: expected the manifest of a sweep, found: ") as refusal:
        read_manifest(folder)
    assert "\n" not in str(refusal.value)


def test_a_manifest_keeps_what_names_runs_and_nothing_that_may_change(tmp_path: Path) -> None:
    root = tmp_path / "small"
    sweep_in(tmp_path, root)
    free = {"description", "executor", "fit", "retry_diverged"}
    assert not free & json.loads((root / "manifest.json").read_text())["recipe"].keys()
    assert not free & json.loads((SHIPPED / "manifest.json").read_text())["recipe"].keys()
    # one of an earlier version, with all keys and of other values, is of the same sweep
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["recipe"] |= {"fit": {"huber_delta": 0.5}, "executor": {"kind": "local", "sbatch": []}}
    (root / "manifest.json").write_text(json.dumps(manifest))
    sweep_in(tmp_path, root)
    # and so is one that lacks a key which this version has, at its default
    del manifest["recipe"]["clip_norm"]
    (root / "manifest.json").write_text(json.dumps(manifest))
    sweep_in(tmp_path, root)
    manifest["recipe"]["clip_norm"] = 2.0
    (root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SweepError, match=r"clip_norm: 2\.0 -> 1\.0"):
        sweep_in(tmp_path, root)


def test_the_shipped_manifest_is_of_the_shipped_recipe() -> None:
    from sparseplan.calibration.manifest import differences

    manifest = read_manifest(Folder(SHIPPED))
    assert manifest is not None
    assert differences(manifest, load_recipe("gpt-stdlib-cpu").recipe, manifest.data) == []
    assert differences(manifest, load_recipe("gpt-stdlib-gpu").recipe, manifest.data)


def test_the_first_words_come_before_any_work_and_trunks_are_shown_while_they_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.01")
    calibrate_in(tmp_path, tmp_path / "small")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "small: preparing its data"
    assert "looking for devices, and measuring how fast they train" in lines[2]
    trunks = [line for line in lines if "dense, trunk that runs share" in line]
    assert sum("training, 64 steps" in line for line in trunks) == 2
    assert sum(": done" in line for line in trunks) == 2
    assert trunks[0].startswith("[0/18] 768 dense, trunk") or trunks[0].startswith("[0/18] 3.07k dense, trunk")


@pytest.mark.parametrize("name", ["gpt-stdlib-cpu", "bert-stdlib-cpu", "vit-fashion-cpu"])
def test_a_committed_manifest_keeps_what_names_the_runs_of_its_recipe_and_no_more(name: str) -> None:
    """One kept the settings of an earlier fit, a huber_delta of 1e-3 beside a recipe that says 1e-2."""
    folder = Folder(ROOT / "calibration" / name)
    kept = json.loads(folder.manifest.read_text())["recipe"]
    assert not kept.keys() & {"fit", "executor", "description", "retry_diverged"}
    manifest = read_manifest(folder)
    assert manifest is not None
    loaded = load_recipe(str(folder.recipe))
    assert differences(manifest, loaded.recipe, manifest.data) == []
    assert set(manifest.run_ids) == {path.stem for path in folder.records.glob("[!t]*.json")}
