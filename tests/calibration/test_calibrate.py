"""Claims about `sparseplan calibrate`, end to end: real trainings of tiny models on a real text."""

import csv
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sparseplan.calibration.recipe import expand, load_recipe
from sparseplan.cli import run
from sparseplan.laws.file import load_law, read_law
from sparseplan.runs.facts import RunFacts
from sparseplan.runs.job import RunRecord, read_result
from sparseplan.runs.spec import DataSpec, Split
from sparseplan.runs.table import read_runs
from sparseplan.shapes.base import Images, Inputs
from sparseplan.sweep.machine import probe_machine

ROOT = Path(__file__).parents[2]
RECIPE = """\
format: sparseplan-recipe/1
name: tiny
description: Seconds of training, for a test.
model:
  context: 32
  head_width: 8
  sizes: {grid: shapes, shapes: [{layers: 1, width: 16}, {layers: 1, width: 32}, {layers: 2, width: 32}]}
sparsities: [0, 0.5, 0.75, "2:4"]
lengths: {steps: [15, 30, 60]}
batch: 8
data: {kind: text, paths: [TEXT], patterns: ["*.py"]}
optimizer: {name: adamw, learning_rate: 0.01}
learning_rate: {warmup: 5}
pruning: {updates: 6}
evaluation_sequences: 32
fit: {bootstrap: 30}
executor: {device: cpu, workers: 2, checkpoint_seconds: 0.2}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE.replace("TEXT", str(write_documents(tmp_path / "texts"))))
    return path


def write_documents(folder: Path) -> Path:
    """Documents of words that a generator draws, frequent ones often: the same text on every machine, after any edit.

    A word follows from the one before with probability 1/2, so that there is more to learn than frequencies.
    """
    folder.mkdir()
    generator = np.random.default_rng(3)
    words = [bytes(generator.integers(97, 123, size=size).tolist()) for size in generator.integers(2, 9, size=500)]
    for number in range(100):
        drawn = np.minimum(generator.zipf(1.3, size=1500) - 1, 499)
        follows = generator.random(1500) < 0.5
        for place in np.flatnonzero(follows[1:]) + 1:
            drawn[place] = (7 * drawn[place - 1] + 3) % 500
        (folder / f"{number:03}.py").write_bytes(b" ".join(words[i] for i in drawn))
    return folder


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sparseplan", "calibrate", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def records(folder: Path) -> dict[str, float | None]:
    found = {}
    for path in (folder / "runs").glob("[!.]*.json"):  # a dot begins what is still being written
        record = json.loads(path.read_text())
        if record["format"] == "sparseplan-run/1":
            found[record["run_id"]] = record["loss"]
    return found


@pytest.mark.slow
def test_from_a_recipe_to_a_law_that_plans(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", str(recipe)]) == 0
    said = capsys.readouterr()
    folder = tmp_path / "calibration" / "tiny"
    assert {path.name for path in folder.iterdir()} == {
        *("recipe.yaml", "manifest.json", "runs", "runs.csv", "law.yaml", "README.md", "fit.png", "work", ".gitignore"),
    }
    assert (folder / ".gitignore").read_text() == "work/\n"  # what is left is meant to be committed
    assert len(read_runs(folder / "runs.csv")) == 36
    assert "[36/36]" in said.err
    assert "What this can't tell:" in said.out
    command = said.out.strip().rpartition("Next: sparseplan ")[2]
    law = load_law("tiny")  # by name, from ./calibration
    assert law.data_unit == "byte"
    assert law.provenance["train_sha256"]
    assert run(command.split()) == 0
    assert "law tiny" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_calibration_that_is_killed_and_interrupted_ends_in_the_losses_of_an_undisturbed_one(
    recipe: Path, tmp_path: Path
) -> None:
    plain = start(str(recipe), "--out", "plain")
    plain.communicate(timeout=300)
    assert plain.returncode == 0
    victims = [signal.SIGKILL, signal.SIGINT, signal.SIGKILL]
    for number in victims:
        seen = len(records(tmp_path / "hurt"))
        driver = start(str(recipe), "--out", "hurt")
        deadline = time.monotonic() + 120
        while len(records(tmp_path / "hurt")) < min(seen + 4, 35) and time.monotonic() < deadline:
            time.sleep(0.01)
        driver.send_signal(number)
        driver.communicate(timeout=60)
        assert driver.returncode == (130 if number == signal.SIGINT else -number)
    assert 0 < len(records(tmp_path / "hurt")) < 36
    last = start(str(recipe), "--out", "hurt")
    _, said = last.communicate(timeout=300)
    assert last.returncode == 0, said
    assert records(tmp_path / "hurt") == records(tmp_path / "plain")  # bit for bit
    plans = [read_law(tmp_path / name / "law.yaml").coefficients for name in ("hurt", "plain")]
    assert plans[0] == plans[1]


@pytest.mark.slow
def test_a_dry_run_says_what_to_expect_and_writes_nothing(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(tmp_path.iterdir())
    assert run(["calibrate", str(recipe), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["format"] == "sparseplan-calibration-plan/1"
    assert len(plan["runs"]) == 36
    assert plan["train_flops"] == pytest.approx(sum(each["train_flops"] for each in plan["runs"]))
    assert 0.3 < plan["saved_by_trunks"] < 0.5
    assert 0 < plan["expected_seconds"] < 600
    assert plan["law"]["status"] == "identified"
    assert "gives n:4 too few sparsities for a set of its own" in plan["law"]["explanation"]
    low, high = plan["law"]["intervals"]["b_N"]
    assert low < plan["law"]["assumed"]["b_N"] < high
    assert run(["calibrate", str(recipe), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "with 2 workers on cpu, by a short probe" in said
    assert "Pruning: gradual-magnitude: cubic ramp from 25% to 75% of training, 6 updates" in said
    assert {each["strategy"] for each in plan["runs"]} == {"dense", "gradual-magnitude"}
    assert set(tmp_path.iterdir()) == before


def test_torch_is_asked_for_by_the_name_of_the_extra(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    probe_machine.cache_clear()
    (tmp_path / "torch.py").write_text("raise ImportError('No module named torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run(["calibrate", str(recipe)]) == 2
    assert "pip install 'sparseplan[calibrate]'" in capsys.readouterr().err


def test_bad_requests_are_one_line_each(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sparseplan.sweep.executors.local.probe_machine",
        lambda: pytest.fail("no process should be started for a bad request"),
    )
    for words, message in (
        (["no-such-recipe"], "no built-in recipe is called 'no-such-recipe'"),
        (["missing.yaml"], "missing.yaml: can't read this recipe"),
        ([str(recipe), "--device", "tpu"], "expected auto, cpu, cuda or cuda:0, found 'tpu'"),
        ([str(recipe), "--executor", "slum"], "expected one of local, slurm, found 'slum' (did you mean 'slurm'?)"),
        (["--executor", "slurm"], "devices of slurm workers can't be seen from here: name a recipe"),
    ):
        assert run(["calibrate", *words]) == 2, words
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_nothing_heavy_is_imported_to_plan_after_calibrate_exists() -> None:
    heavy = ("torch", "scipy", "matplotlib", "filelock")
    code = f"import sys, sparseplan.cli; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.strip() == "[]"


SHIPPED = pytest.mark.parametrize(
    "name", ["gpt-stdlib-cpu", "bert-stdlib-cpu", "vit-fashion-cpu", "gpt-stdlib-pretrained-cpu"]
)


@SHIPPED
def test_the_shipped_calibration_is_refitted_from_its_runs(name: str) -> None:
    from sparseplan.calibration.fit_runs import fit_calibration

    folder = ROOT / "calibration" / name
    recipe = load_recipe(str(folder / "recipe.yaml")).recipe
    shipped = read_law(folder / "law.yaml")
    tokens = 16.0 if name.startswith("vit") else 1.0
    assert shipped.tokens_per_unit == tokens
    fitted = fit_calibration(recipe, folder / "runs.csv", tokens_per_unit=tokens, date="2026-11-24").result.law
    assert shipped.sparsity
    assert fitted.sparsity
    assert shipped.draws is not None
    assert fitted.draws is not None
    for family, chosen in shipped.sparsity.items():
        for letter, value in chosen.items():
            again = fitted.sparsity[family][letter]
            assert again == pytest.approx(value, rel=1e-4, abs=1e-9), f"{family}.{letter}"
    for letter, value in shipped.coefficients.items():
        assert fitted.coefficients[letter] == pytest.approx(value, rel=1e-4, abs=1e-9), letter
    assert shipped.fit["objective"] == pytest.approx(fitted.fit["objective"], rel=1e-6)


def test_in_the_shipped_runs_pruning_costs_loss_and_beats_a_dense_model_of_equal_nonzero_size() -> None:
    table = read_runs(ROOT / "calibration" / "gpt-stdlib-cpu" / "runs.csv")
    dense = {
        (N, D): L
        for S, N, D, L in zip(table.sparsity, table.nonzero_params, table.data_seen, table.loss, strict=True)
        if S == 0
    }
    parents = equals = 0
    for S, N, D, L in zip(table.sparsity, table.nonzero_params, table.data_seen, table.loss, strict=True):
        if S == 0:
            continue
        assert dense[N / (1 - S), D] < L
        parents += 1
        if (N, D) in dense:  # 75 % of 24.6k and of 98.3k weights leave 6.14k and 24.6k
            assert dense[N, D] > L
            equals += 1
    assert (parents, equals) == (48, 6)


def test_in_the_shipped_runs_pruning_what_exists_is_cheaper_than_from_scratch_and_dearer_with_the_dense_run() -> None:
    """At equal size, sparsity and loss, by the measured losses from scratch, between which log D is interpolated."""
    scratch, started = (
        list(csv.DictReader((ROOT / "calibration" / name / "runs.csv").read_text().splitlines()))
        for name in ("gpt-stdlib-cpu", "gpt-stdlib-pretrained-cpu")
    )
    compared = 0
    for row in started:
        alike = [
            (float(one["loss"]), math.log(float(one["train_flops"])))
            for one in scratch
            if (one["dense_params"], one["sparsity"]) == (row["dense_params"], row["sparsity"])
            and (one["pattern"] == "unstructured" or one["sparsity"] == "0")
        ]
        losses, costs = zip(*sorted(alike), strict=True)
        loss, cost, before = (float(row[name]) for name in ("loss", "train_flops", "dense_train_flops"))
        if losses[0] <= loss <= losses[-1] and float(row["sparsity"]) > 0:
            equal = math.exp(np.interp(loss, losses, costs))
            assert 3 < equal / cost < 9.5
            assert 0.15 < equal / (cost + before) < 0.75
            compared += 1
    assert compared == 14


def test_a_folder_from_before_there_were_strategies_is_still_its_recipes() -> None:
    from sparseplan.calibration.manifest import differences, read_manifest
    from sparseplan.calibration.recipe import load_recipe
    from sparseplan.sweep.folder import Folder

    folder = Folder(ROOT / "calibration" / "gpt-stdlib-cpu")
    assert '"strategy"' not in folder.manifest.read_text()
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.recipe["pruning"]["strategy"] == "gradual-magnitude"
    assert differences(manifest, load_recipe(str(folder.recipe)).recipe, manifest.data) == []


@pytest.mark.slow
def test_a_static_calibration_ends_in_a_law_that_counts_no_dense_phase(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace("{updates: 6}", "{strategy: static}"))
    assert run(["calibrate", str(recipe)]) == 0
    law = load_law("tiny")
    assert law.sparsity
    assert law.schedule.saving == 1  # so c_mul = 1 at every sparsity
    assert law.provenance["strategy"] == "static"
    table = (tmp_path / "calibration" / "tiny" / "runs.csv").read_text()
    assert (table.count(",static,"), table.count(",dense,")) == (27, 9)


@pytest.mark.slow
def test_a_vision_calibration_ends_in_a_law_over_images_with_accuracy_and_repeats_in_its_table(
    recipe: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sklearn")
    text = recipe.read_text().replace("  context: 32\n", "  family: vit\n  patch: 4\n  pooling: mean\n")
    lines = ["data: {kind: images}\nmax_epochs: 9" if line.startswith("data:") else line for line in text.splitlines()]
    longer = "\n".join(lines).replace("[15, 30, 60]", "[60, 120, 240]")
    recipe.write_text(longer.replace("fit: {", "fit: {form: frantar2023, ") + "\n")
    assert run(["calibrate", str(recipe)]) == 0
    law = load_law("tiny")
    assert (law.form, law.data_unit, law.tokens_per_unit) == ("frantar2023", "image", 4.0)
    rows = list(csv.DictReader((tmp_path / "calibration" / "tiny" / "runs.csv").read_text().splitlines()))
    assert len(rows) == 36
    assert all(0 < float(row["accuracy"]) <= 1 for row in rows)
    for row in rows:  # 8 images a step, of 1,412
        assert row["unique_data"] == ("1412" if int(row["steps"]) == 240 else "")
    assert "the law counts repeats by the fitted rates" in (tmp_path / "calibration" / "tiny" / "README.md").read_text()


@SHIPPED
def test_recipe_and_data_of_a_shipped_calibration_give_the_identity_and_the_facts_of_every_record(name: str) -> None:
    folder = ROOT / "calibration" / name
    manifest = json.loads((folder / "manifest.json").read_text())["data"]
    train, valid = (
        Split(path=part, sha256=manifest[f"{part}_sha256"], tokens=manifest[f"{part}_tokens"])
        for part in ("train", "valid")
    )
    data = DataSpec(train=train, valid=valid, dtype="uint8", unit=manifest["unit"])
    inputs: Inputs = Images(side=28, channels=1, classes=10) if data.unit == "image" else 256
    specified = {run.run_id: run for run in expand(load_recipe(str(folder / "recipe.yaml")), data, inputs)}
    specified |= {run.dense_run.run_id: run.dense_run for run in specified.values() if run.dense_run is not None}
    found = [read_result(path) for path in (folder / "runs").glob("[!.]*.json")]
    finished = {record.run_id: record for record in found if isinstance(record, RunRecord)}
    assert finished.keys() == specified.keys()
    for run_id, record in finished.items():
        facts = {field: getattr(record, field) for field in RunFacts.__struct_fields__}
        expected = msgspec.structs.asdict(specified[run_id].facts())
        before = name in ("gpt-stdlib-cpu", "bert-stdlib-cpu")  # there were strategies
        if expected["strategy"] == "dense" and before:
            expected["strategy"] = "gradual-magnitude"
        assert facts == expected


@SHIPPED
def test_the_shipped_calibration_has_a_record_behind_every_row(name: str) -> None:
    folder = ROOT / "calibration" / name
    table = read_runs(folder / "runs.csv")
    losses = records(folder)
    assert len(table) >= 24
    dense_runs = 3 if "pretrained" in name else 0
    assert len(losses) == len(table) + dense_runs
    rows = dict(zip(table.run_id, table.loss, strict=True))
    assert rows == pytest.approx({run_id: losses[run_id] for run_id in rows}, rel=1e-12)
    assert len(set(table.sparsity)) >= 4
    assert len(set(table.data_seen)) == (4 if name.startswith("vit") else 3)
    assert {json.loads(p.read_text())["versions"]["torch"] for p in (folder / "runs").glob("*.json")}
