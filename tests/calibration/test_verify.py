"""Claims about putting a law to the test: which plans, that they stay out of the fit, what is said of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console

import sparseplan as sp
from sparseplan.calibration.calibrate import calibrate
from sparseplan.calibration.recipe import Verifying, expand, load_recipe
from sparseplan.calibration.rivals import Kind, contest
from sparseplan.calibration.setup import Setup
from sparseplan.calibration.verification import (
    Verification,
    VerifiedRun,
    inside,
    plans,
    rank_correlation,
    read_verification,
    regret,
    rms,
)
from sparseplan.calibration.verify import Verified, seeded, verify
from sparseplan.calibration.verify_forecast import verify_forecast
from sparseplan.calibration.verify_page import HEADING, sentences, with_section
from sparseplan.errors import PlanError
from sparseplan.laws.file import read_law
from sparseplan.laws.identity import law_hash
from sparseplan.plan.predict import predict
from sparseplan.runs.job import RunRecord, read_result
from sparseplan.runs.spec import DataSpec, Split
from sparseplan.runs.table import read_runs
from sparseplan.runs.trunks import plan_segments
from sparseplan.shapes.base import Images, Inputs
from sparseplan.sweep.folder import Folder
from tests.helpers.fake_trainer import expected_loss
from tests.helpers.sweeps import RECIPE, environment, executor_for, recipe, setup_in

ROOT = Path(__file__).parents[2]
GRID = (
    RECIPE.replace("{layers: 1, width: 16}]", "{layers: 1, width: 16}, {layers: 1, width: 32}, {layers: 1, width: 64}]")
    .replace('sparsities: [0, 0.75, "2:4"]', "sparsities: [0, 0.5, 0.75, 0.875]")
    .replace("fit: {bootstrap: 20}", "fit: {form: frantar2023, huber_delta: 0.01, bootstrap: 20}")
)
TRUE_LAW = f"""\
format: sparseplan-law/1
name: small
form: frantar2023
data_unit: byte
tokens_per_unit: 1
coefficients: {{b_N: 0.25, a_D: 1.0e+4, b_D: 0.3, c: 1.0005}}
sparsity: {{unstructured: {{a_S: {0.3 * 1000**0.25}, b_S: 0.7, c_S: {0.7 * 1000**0.25}}}}}
schedule: {{kind: cubic, start: 0.25, end: 0.75}}
range: {{sparsity: [0, 0.875], nonzero_params: [96, 49152], data_seen: [640, 2560]}}
"""
"""What the fakes' losses follow, see `tests.helpers.fake_trainer`, but for the 1e-3 that no law knows."""
PAGE = "# small\n\n## The law\n\nWords.\n\n## What this can't tell\n\n- Much.\n"


@dataclass(frozen=True)
class Trial:
    """A law that was put to the test by fake trainings."""

    folder: Folder
    setup: Setup
    verified: Verified

    @property
    def found(self) -> Verification:
        assert self.verified.verification is not None
        return self.verified.verification

    def again(self) -> Verified:
        return tried(self.setup, self.folder)


def tried(setup: Setup, folder: Folder) -> Verified:
    return verify(setup, folder, Verifying(), executor_for(setup.loaded), Console(stderr=True, width=200))


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    place = tmp_path_factory.mktemp("trial")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment().items():
            patch.setenv(name, value)
        setup, folder = setup_in(place, place / "small", GRID), Folder(place / "small")
        folder.law.write_text(TRUE_LAW)
        folder.readme.write_text(PAGE)
        yield Trial(folder, setup, tried(setup, folder))


def with_data(setup: Setup, tokens: int) -> Setup:
    """The same with more or less data, which nothing is trained on."""
    data = msgspec.structs.replace(setup.data, train=msgspec.structs.replace(setup.data.train, tokens=tokens))
    return replace(setup, data=data, runs=tuple(msgspec.structs.replace(run, data=data) for run in setup.runs))


def a_run(
    predicted: float, measured: float | None, *, kind: Kind = "rival", D: float = 1.0, seed: int = 0
) -> VerifiedRun:
    return VerifiedRun(
        kind=kind,
        pattern="unstructured",
        S=0.5,
        N=1.0,
        D=D,
        train_flops=1.0,
        predicted=predicted,
        interval=(predicted - 0.1, predicted + 0.1),
        measured=measured,
        dense_params=2.0,
        layers=1,
        width=8,
        unique_data=None,
        seed=seed,
        run_id=f"{D}-{seed}",
    )


def test_plan_dense_plan_and_six_rivals_spend_twice_the_dearest_budget_of_the_grid(trial: Trial) -> None:
    runs = trial.found.runs
    assert [run.kind for run in runs] == ["plan", "dense", *["rival"] * 6]
    budget = 2 * max(run.train_flops for run in trial.setup.runs)
    assert trial.found.train_flops == budget
    for run in runs:  # to half an update, of which the shortest has some 30
        assert run.train_flops == pytest.approx(budget, rel=0.02)
    assert len({(run.S, run.dense_params) for run in runs}) == 8
    assert len({run.dense_params for run in runs}) >= 3
    assert {0.0, 0.875} <= {run.S for run in runs}


def test_the_plan_is_the_laws_own_to_a_percent_and_the_nearest_shape(trial: Trial) -> None:
    law = read_law(trial.folder.law)
    chosen = contest(with_data(trial.setup, 10**9), law, Verifying())
    answer = sp.optimal(chosen.train_flops, law=law)
    assert not chosen.limited
    (_, plan), (_, dense) = chosen.contenders[:2]
    assert plan.pruning.sparsity == round(answer.plan.sparsity, 2) > 0
    assert dense.pruning.sparsity == 0
    for run, wanted in ((plan, answer.plan.dense_params), (dense, answer.dense.dense_params)):
        beside = [12 * (run.shape.width + step) ** 2 for step in (-8, 8)]  # widths that heads of 8 divide
        off = abs(np.log(run.shape.dense_params / wanted))
        assert all(off <= abs(np.log(max(other, 1) / wanted)) for other in beside)


def test_a_plan_that_wants_more_data_than_there_are_is_the_best_within_them(trial: Trial) -> None:
    law = read_law(trial.folder.law)
    free = contest(with_data(trial.setup, 10**9), law, Verifying())
    few = free.contenders[0].run.data_seen // 2
    within = contest(with_data(trial.setup, few), law, Verifying())
    assert (free.limited, within.limited) == (False, True)
    assert all(one.run.data_seen <= few for one in within.contenders)
    answer = sp.optimal(within.train_flops, law=law, max_data=few)
    plan = within.contenders[0].run
    assert plan.shape.dense_params >= 0.9 * answer.plan.dense_params
    assert predict(law, N=plan.nonzero_params, D=plan.data_seen, S=plan.pruning.sparsity).loss < 1.02 * answer.plan.loss


def test_too_few_data_for_the_budget_are_refused_with_what_to_do(trial: Trial) -> None:
    law = read_law(trial.folder.law)
    with pytest.raises(PlanError, match=r"found \d+; lower `verify.times` or .*bring more data, or raise max_epochs"):
        contest(trial.setup, law, Verifying(rivals=100))


def test_more_seeds_train_every_plan_again(trial: Trial) -> None:
    two = msgspec.structs.replace(trial.setup.loaded.recipe, seeds=(0, 1))
    setup = replace(trial.setup, loaded=replace(trial.setup.loaded, recipe=two))
    runs = seeded(setup, contest(setup, read_law(trial.folder.law), Verifying()))
    assert sorted(run.seed for _, run in runs) == [0] * 8 + [1] * 8


def test_the_test_has_records_of_its_own_with_the_losses_of_undisturbed_runs(trial: Trial) -> None:
    assert not list(trial.folder.records.glob("*.json"))  # what a fit would read
    assert not trial.folder.runs_table.exists()
    chosen = contest(trial.setup, read_law(trial.folder.law), Verifying())
    for row, one in zip(trial.found.runs, chosen.contenders, strict=True):
        assert row.measured == expected_loss(one.run)
        assert json.loads(trial.folder.verifying.record(row.run_id).read_text())["loss"] == row.measured
    assert set(read_runs(trial.folder.verifying.runs_table).run_id) == {row.run_id for row in trial.found.runs}


def test_the_true_law_predicts_and_orders_its_plans(trial: Trial) -> None:
    # A loss is off by at most half of the 1e-3 that no law knows.
    assert trial.found.rms is not None
    assert trial.found.rms < 1e-3
    assert trial.found.spearman is not None
    assert trial.found.spearman > 0.9
    assert trial.found.regret is not None
    assert 0 <= trial.found.regret < 1e-3
    assert trial.found.inside is None  # this law has no draws, and says nothing of measured runs


def test_verify_json_reads_back(trial: Trial) -> None:
    assert json.loads(trial.folder.verification.read_text())["format"] == "sparseplan-verify/1"
    assert read_verification(trial.folder.verification) == trial.found


def test_the_page_has_the_test_once_and_before_what_the_runs_cannot_tell(trial: Trial) -> None:
    page = trial.folder.readme.read_text()
    assert page.count(HEADING) == 1
    assert page.index("## The law") < page.index(HEADING) < page.index("## What this can't tell")
    assert "](verify.png)" in page
    assert trial.folder.verification_figure.read_bytes().startswith(b"\x89PNG")
    assert page.count("| rival |") == 6
    assert with_section(page, trial.found, read_law(trial.folder.law), figure="verify.png") == page


def test_a_law_that_was_tested_is_left_alone_and_a_lost_record_is_trained_to_the_same_loss(trial: Trial) -> None:
    files = [trial.folder.verification, trial.folder.readme, trial.folder.verification_figure]
    stamps = [path.stat().st_mtime_ns for path in files]
    lost = trial.folder.verifying.record(trial.found.runs[3].run_id)
    before = json.loads(lost.read_bytes())["loss"]
    lost.unlink()
    assert not trial.again().written
    assert [path.stat().st_mtime_ns for path in files] == stamps
    assert json.loads(lost.read_bytes())["loss"] == before


def test_a_dry_run_shows_the_test_or_that_there_is_no_law_yet(trial: Trial, tmp_path: Path) -> None:
    executor = executor_for(trial.setup.loaded)
    none = verify_forecast(trial.setup, Verifying(), executor, tmp_path / "law.yaml")
    assert none.runs == []
    assert none.unknown_because == "the law that plans them is not fitted yet."
    known = verify_forecast(trial.setup, Verifying(), executor, trial.folder.law)
    assert [run.run_id for run in known.runs] == [run.run_id for run in trial.found.runs]
    assert known.plans == 8


def test_statistics_of_a_test_have_their_hand_values() -> None:
    runs = [
        a_run(1.0, 1.1, kind="plan", D=1),
        a_run(1.2, 1.0, D=2),
        a_run(1.3, 1.3, D=3),
        a_run(1.5, 1.8, D=4),
        a_run(1.1, None, D=5),  # diverged: counts in nothing
    ]
    assert rms(runs) == pytest.approx(np.sqrt((np.log(1.1) ** 2 + np.log(1.2) ** 2 + np.log(1.2) ** 2) / 4))
    assert inside(runs) == 0.5  # .1 off is inside, .2 and .3 are not
    assert rank_correlation(runs) == pytest.approx(1 - 6 * 2 / (4 * 15))  # ranks 2 1 3 4: d^2 = 1 + 1
    assert regret(runs) == pytest.approx(0.1)
    assert regret([a_run(1.0, None, kind="plan"), a_run(1.0, 1.0, D=2)]) is None
    assert rank_correlation(runs[:2]) is None


def test_ranks_of_equal_losses_are_their_mean() -> None:
    values = [(1.0, 1.3), (1.1, 1.3), (1.1, 1.0), (1.4, 1.5), (1.0, 0.9)]
    runs = [a_run(predicted, measured, D=place) for place, (predicted, measured) in enumerate(values)]
    assert rank_correlation(runs) == pytest.approx(0.648885684523, abs=1e-9)  # scipy.stats.spearmanr's


def test_seeds_of_a_plan_count_as_their_mean_in_the_order() -> None:
    runs = [
        *(a_run(1.0, m, kind="plan", D=1, seed=s) for s, m in enumerate((1.0, 1.2))),
        *(a_run(1.1, m, D=2, seed=s) for s, m in enumerate((1.05, 1.05))),
    ]
    assert [plan.measured for plan in plans(runs)] == pytest.approx([1.1, 1.05])
    assert regret(runs) == pytest.approx(1.1 / 1.05 - 1)


def test_the_words_say_where_the_plan_came_in(trial: Trial) -> None:
    runs = tuple(
        msgspec.structs.replace(run, measured=2.0 if run.kind == "plan" else 1.0 + 0.01 * i)
        for i, run in enumerate(trial.found.runs)
    )
    said = " ".join(sentences(msgspec.structs.replace(trial.found, runs=runs, regret=0.98), trial.verified.law))
    assert "came 8th of 8: its loss lies 98% above the lowest, that of a dense" in said
    assert "(best dense plan)" in said


COMMITTED = sorted(path.parent.name for path in (ROOT / "calibration").glob("*/verify.json"))


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_test_follows_from_its_law_and_its_records(name: str) -> None:
    folder = Folder(ROOT / "calibration" / name)
    law, found = read_law(folder.law), read_verification(folder.verification)
    assert found is not None
    assert found.law.hash == law_hash(law), (
        "the law changed since: `calibrate --verify` again, which trains nothing new"
    )
    assert len(found.runs) >= 8
    for run in found.runs:
        prediction = predict(law, N=run.N, D=run.D, S=run.S)
        assert run.predicted == pytest.approx(prediction.loss, rel=1e-9)  # a few operations in another order
        assert run.interval == (
            None
            if prediction.prediction_interval is None
            else pytest.approx(prediction.prediction_interval, rel=1e-6)  # quantiles of sums in another order
        )
        record = read_result(folder.verifying.record(run.run_id))
        assert isinstance(record, RunRecord)
        assert (record.loss, record.sparsity) == (run.measured, run.S)
        assert (float(record.nonzero_params), float(record.data_seen)) == (run.N, run.D)
    predicted, measured = (np.array([getattr(run, key) for run in found.runs]) for key in ("predicted", "measured"))
    assert found.rms == pytest.approx(np.sqrt(np.mean((np.log(predicted) - np.log(measured)) ** 2)), rel=1e-9)
    assert found.regret == pytest.approx(measured[0] / measured.min() - 1, rel=1e-9, abs=1e-12)
    places = [np.argsort(np.argsort(losses)) for losses in (predicted, measured)]  # no two losses are equal
    far = float(np.sum((places[0] - places[1]) ** 2))
    assert found.spearman == pytest.approx(1 - 6 * far / (len(predicted) * (len(predicted) ** 2 - 1)), abs=1e-9)
    if found.inside is not None:
        within = [run.interval[0] <= run.measured <= run.interval[1] for run in found.runs]  # type: ignore[index,operator]
        assert found.inside == pytest.approx(np.mean(within), abs=1e-12)
    page = folder.readme.read_text()
    assert with_section(page, found, law, figure="verify.png") == page


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_test_is_of_the_runs_that_recipe_and_law_ask_for(name: str) -> None:
    folder = Folder(ROOT / "calibration" / name)
    loaded = load_recipe(str(folder.recipe))
    facts = json.loads(folder.manifest.read_text())["data"]
    train, valid = (
        Split(path=part, sha256=facts[f"{part}_sha256"], tokens=facts[f"{part}_tokens"]) for part in ("train", "valid")
    )
    data = DataSpec(train=train, valid=valid, dtype="uint8", unit=facts["unit"])
    inputs: Inputs = Images(side=28, channels=1, classes=10) if data.unit == "image" else 256
    runs = tuple(expand(loaded, data, inputs))
    setup = Setup(
        loaded=loaded, data=data, data_description="", inputs=inputs, runs=runs, plan=plan_segments(runs, share=True)
    )
    chosen = seeded(setup, contest(setup, read_law(folder.law), Verifying()))
    found = read_verification(folder.verification)
    assert found is not None
    assert [(kind, run.run_id) for kind, run in chosen] == [(run.kind, run.run_id) for run in found.runs]
    assert not {run.run_id for run in found.runs} & {run.run_id for run in runs}


@pytest.mark.slow
def test_a_calibration_ends_in_a_test_that_its_fit_never_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    loaded, folder = recipe(tmp_path, GRID), Folder(tmp_path / "small")
    console = Console(stderr=True, width=200)
    result = calibrate(folder.root, loaded, executor_for(loaded), console, verifying=Verifying())
    assert result.verified is not None
    found, law = result.verified.verification, read_law(folder.law)
    assert found is not None
    fitted = read_runs(folder.runs_table)
    assert len(fitted) == 4 * 4 * 3
    assert not {run.run_id for run in found.runs} & set(fitted.run_id)
    assert found.inside == 1.0  # of the fakes' own law
    for row in found.runs:
        prediction = predict(law, N=row.N, D=row.D, S=row.S)
        assert row.predicted == pytest.approx(prediction.loss, rel=1e-12)
        assert row.interval == pytest.approx(prediction.prediction_interval, rel=1e-12)
    page = folder.readme.read_text()
    assert "Losses: 0% off in the mean square; 8 of 8 lie in their 90% prediction intervals." in page
    folder.verification.write_text(folder.verification.read_text().replace(found.law.hash, "0" * 8))
    calibrate(folder.root, loaded, executor_for(loaded), console)
    assert "verify.json is of another law than law.yaml" in " ".join(capsys.readouterr().err.split())
