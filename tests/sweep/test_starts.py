"""Sweeps whose runs start from dense runs, on fake trainings."""

from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from sparseplan.calibration.calibrate import calibrate
from sparseplan.calibration.dry_run import dry_run
from sparseplan.common.units import format_scientific
from sparseplan.laws.file import read_law
from sparseplan.laws.law import PretrainedStart
from sparseplan.plan.caveats import law_caveats
from sparseplan.report.calibration import print_dry_run
from sparseplan.runs.job import kept_checkpoint
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.state import SweepState
from tests.helpers.fake_trainer import expected_loss
from tests.helpers.sweeps import RECIPE, executor_for, expected, losses, recipe, setup_in, sweep_in

START = "start: {kind: dense-run, lengths: {steps: [30, 60]}}\n"
PRETRAINED = (
    RECIPE.replace("lengths: {steps: [20, 40, 80]}", "lengths: {steps: [20]}")
    .replace("[{layers: 1, width: 8}, {layers: 1, width: 16}]", "[{layers: 1, width: 8}]")
    .replace('[0, 0.75, "2:4"]', "[0, 0.75]")
) + START
COOLED = PRETRAINED.replace("learning_rate: {warmup: 5}", "learning_rate: {warmup: 5, cooldown: 0}")


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("text", [PRETRAINED, COOLED])
def test_dense_runs_are_trained_once_for_all_that_start_from_them_and_their_loss_stands_beside(
    tmp_path: Path, text: str
) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root, text)
    assert len(setup.runs) == 4  # 2 sparsities x 2 dense lengths
    trained = sweep_in(tmp_path, root, text)
    assert losses(trained) == expected(setup.runs)
    dense = {run.dense_run.run_id: run.dense_run for run in setup.runs if run.dense_run is not None}
    assert {name: record.loss for name, record in trained.dense_runs.items()} == {
        name: expected_loss(run) for name, run in dense.items()
    }
    assert len(dense) == 2
    rows = Folder(root).runs_table.read_text().splitlines()
    columns = rows[0].split(",")
    for line in rows[1:]:
        row = dict(zip(columns, line.split(","), strict=True))
        run = next(run for run in setup.runs if run.run_id == row["run_id"])
        assert run.dense_run is not None
        assert float(row["dense_data_seen"]) == run.dense_run.data_seen
        assert float(row["dense_train_flops"]) == pytest.approx(run.dense_run.train_flops)
        assert float(row["dense_loss"]) == pytest.approx(expected_loss(run.dense_run))
    assert list(Folder(root).checkpoints.iterdir()) == []  # nothing will need them again


@pytest.mark.slow
def test_whatever_is_killed_runs_from_dense_starts_end_in_the_same_losses(tmp_path: Path, fakes: Path) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep", PRETRAINED)
    words = ["kill 3\nkill 25", "exit 1", "kill 0"]
    for index, segment in enumerate(setup.plan.segments):
        (fakes / segment.id).write_text(words[index % len(words)])
    trained = sweep_in(tmp_path, tmp_path / "sweep", PRETRAINED)
    assert losses(trained) == expected(setup.runs)
    assert trained.failures == {}


@pytest.mark.parametrize("which", ["trunk", "final"])
def test_a_dense_run_that_diverges_takes_along_what_starts_from_it_and_nothing_else(
    tmp_path: Path,
    fakes: Path,
    which: str,
) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root, PRETRAINED)
    # a trunk of 48 steps leaves checkpoints at 24 and 48, where dense runs of 30 and 60 steps begin to cool
    dense = next(each for each in setup.plan.segments if each.id.startswith(which) and each.run.steps == 60)
    (fakes / dense.id).write_text(f"diverge {30 if which == 'trunk' else 50}")
    trained = sweep_in(tmp_path, root, PRETRAINED)
    lost = {run.run_id for run in setup.runs if run.dense_run == dense.run}
    assert len(lost) == 2
    assert {name for name, record in trained.records.items() if record.diverged} == lost
    assert {record.reason for name, record in trained.records.items() if name in lost} == {
        f"{'its trunk' if which == 'trunk' else 'the dense run that it starts from'} diverged at step "
        f"{31 if which == 'trunk' else 51}: told to"
    }
    kept = {name: loss for name, loss in expected(setup.runs).items() if name not in lost}
    assert {name: loss for name, loss in losses(trained).items() if loss is not None} == kept


@pytest.mark.slow
@pytest.mark.usefixtures("fakes")
def test_a_lost_record_is_trained_again_with_the_dense_run_and_as_much_of_its_trunk_as_that_needs(
    tmp_path: Path,
) -> None:
    root = tmp_path / "sweep"
    sweep_in(tmp_path, root, PRETRAINED)
    setup, folder = setup_in(tmp_path, root, PRETRAINED), Folder(root)
    run = next(run for run in setup.runs if run.pruning.sparsity and run.first_batch == 30)
    dense = run.dense_run
    assert dense is not None
    folder.record(run.run_id).unlink()
    state = SweepState(folder, setup.plan.segments)
    assert [(each.id, each.from_step, each.to_step) for each in state.remaining()] == [
        (dense.trunk_id, 0, 24),
        (dense.final_id, 24, 30),
        (run.trunk_id, 0, 5),
        (run.run_id, 5, 20),
    ]
    assert [each.id for each in state.ready([])] == [dense.trunk_id]
    kept = kept_checkpoint(folder.checkpoints, dense.final_id, 30)
    kept.write_text("there")
    assert [each.id for each in state.ready([])] == [run.trunk_id]
    kept.unlink()
    assert losses(sweep_in(tmp_path, root, PRETRAINED)) == expected(setup.runs)


@pytest.mark.usefixtures("fakes")
def test_a_recipe_that_starts_elsewhere_is_another_sweep(tmp_path: Path) -> None:
    plain, started = (setup_in(tmp_path, tmp_path / "sweep", text) for text in (RECIPE, PRETRAINED))
    assert not {run.run_id for run in plain.runs} & {run.run_id for run in started.runs}
    twice = [msgspec.structs.replace(run, start=None) for run in started.runs]
    assert {run.run_id for run in twice} <= {run.run_id for run in plain.runs}


@pytest.mark.slow
@pytest.mark.usefixtures("fakes")
def test_a_law_of_pretrained_starts_says_so_and_so_does_every_plan_made_with_it(tmp_path: Path) -> None:
    text = RECIPE + "start: {kind: dense-run, lengths: {tokens: [3200, 6400]}}\n"
    loaded = recipe(tmp_path, text)
    calibrate(tmp_path / "sweep", loaded, executor_for(loaded), Console(stderr=True, width=200))
    law = read_law(Folder(tmp_path / "sweep").law)
    assert law.start == PretrainedStart(dense_data_seen=(3200, 6400))
    warnings = {one.code: one.message for one in law_caveats(law, "unstructured")}
    assert "D and FLOPs count what comes after a dense checkpoint" in warnings["pretrained-start"]
    assert "trained on 3.20k .. 6.40k bytes" in warnings["pretrained-start"]
    page = Folder(tmp_path / "sweep").readme.read_text()
    assert "Started from dense weights trained on 3.20k, 6.40k bytes" in page
    assert "The law does not tell dense lengths apart" in page


@pytest.mark.usefixtures("fakes")
def test_a_dry_run_says_what_the_runs_start_from_and_what_that_costs(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep", PRETRAINED)
    found = dry_run(setup, executor_for(setup.loaded))
    console = Console(width=200, record=True, file=StringIO())
    print_dry_run(console, found)
    # 12 x 8^2 weights, 2 x 16 bytes a step, of runs of 30 and 60 steps
    flops = format_scientific(6 * 768 * 32 * (30 + 60))
    said = f"Start: dense weights trained on 960, 1.92k bytes, {flops} FLOPs in all; the table counts what comes after"
    assert said in " ".join(console.export_text().split())
    assert {run.dense_data_seen for run in found.runs} == {960, 1920}


@pytest.mark.usefixtures("fakes")
def test_kept_weights_of_dense_runs_outlast_the_sweep_and_name_no_run(tmp_path: Path) -> None:
    root = tmp_path / "sweep"
    setup = setup_in(tmp_path, root, PRETRAINED)
    trained = sweep_in(tmp_path, root, PRETRAINED + "keep_dense_weights: true\n")
    assert losses(trained) == expected(setup.runs)
    dense = {run for run in (*setup.runs, *(run.dense_run for run in setup.runs)) if run and not run.pruning.sparsity}
    kept = {kept_checkpoint(Folder(root).checkpoints, run.run_id, run.updates) for run in dense}
    assert set(Folder(root).checkpoints.iterdir()) == kept
    assert len(kept) == 4  # two dense runs, and two that go on from them
