"""Claims about recipes whose runs repeat their data: what they see, what the table says, what the page compares."""

import csv
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from sparseplan.calibration.calibrate import calibrate
from sparseplan.calibration.recipe import parse_recipe
from sparseplan.calibration.repeats_page import repeats_lines
from sparseplan.calibration.setup import Setup, executor_of, set_up
from sparseplan.calibration.train_runs import train_runs
from sparseplan.errors import RecipeError
from sparseplan.fit.fit_table import FitJob, fit_runs
from sparseplan.laws.file import builtin_law, read_law
from sparseplan.laws.forms.repeated import Rate, Repeated
from sparseplan.laws.law import coefficients
from sparseplan.runs.spec import RunSpec
from sparseplan.runs.table import Runs, read_runs
from sparseplan.sweep.folder import Folder
from tests.calibration.test_calibrate import RECIPE as TINY
from tests.calibration.test_calibrate import ROOT, write_documents
from tests.helpers.sweeps import RECIPE, environment, executor_for, recipe, setup_in, sweep_in

REPEATED = RECIPE.replace("batch: 2", "batch: 2\nrepeat: [1, 4, 16]")


def seen(split_of: RunSpec) -> bytes:
    return Path(split_of.data.train.path).read_bytes()


def cuts(setup: Setup) -> list[RunSpec]:
    return [run for run in setup.runs if run.data.train != setup.data.train]


def test_every_run_is_trained_once_per_repeat_and_keeps_its_identity_at_1(tmp_path: Path) -> None:
    plain = setup_in(tmp_path, tmp_path / "plain")
    repeated = setup_in(tmp_path, tmp_path / "repeated", REPEATED)
    assert len(repeated.runs) == 3 * len(plain.runs)
    assert [one.run_id for one in repeated.runs[::3]] == [one.run_id for one in plain.runs]
    for whole, four, sixteen in zip(*(repeated.runs[start::3] for start in range(3)), strict=True):
        assert whole.data_seen == four.data_seen == sixteen.data_seen
        assert (four.data.train.tokens, sixteen.data.train.tokens) == (
            whole.data_seen // 4 + 1,  # whole sequences, and the token that follows the last
            max(whole.data_seen // 16, 16) // 16 * 16 + 1,
        )
        assert whole.facts().unique_data is None
        assert four.facts().unique_data == four.data.train.tokens


def test_a_cut_is_drawn_from_all_of_the_corpus_and_part_of_every_larger_one(tmp_path: Path) -> None:
    longer = REPEATED.replace("[20, 40, 80]", "[100, 400]")
    setup = setup_in(tmp_path, tmp_path / "repeated", longer)
    corpus = Path(setup.data.train.path).read_bytes()
    piece = 16 * 16  # sequences of a piece, tokens of a sequence
    largest, *rest = sorted({seen(one) for one in cuts(setup)}, key=len, reverse=True)
    assert len(rest) == 2  # 100 steps 4 times are 400 steps 16 times
    assert all(largest.startswith(smaller) for smaller in rest)
    known = {corpus[at : at + piece]: at for at in range(0, len(corpus), piece)}
    places = [known[largest[at : at + piece]] for at in range(0, len(largest) - piece, piece)]
    assert places != sorted(places)
    assert max(places) - min(places) > len(corpus) / 3
    again = setup_in(tmp_path, tmp_path / "again", longer)
    assert [one.run_id for one in again.runs] == [one.run_id for one in setup.runs]


@pytest.mark.slow
def test_cuts_of_images_are_whole_images(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    text = REPEATED.replace("  context: 16\n", "  family: vit\n  patch: 4\n  pooling: mean\n")
    text = text.replace("data: {kind: text, paths: [TEXT]}", "data: {kind: images}").replace(', "2:4"', "")
    setup = set_up(recipe(tmp_path, text), tmp_path / "corpus")
    rows = {bytes(row) for row in np.fromfile(setup.data.train.path, dtype=np.uint8).reshape(-1, 65)}
    for one in cuts(setup):
        images = np.fromfile(one.data.train.path, dtype=np.uint8).reshape(-1, 65)
        assert len(images) == one.data.train.tokens == one.unique_data
        assert {bytes(image) for image in images} <= rows


def test_a_cut_larger_than_the_corpus_is_refused_at_its_line(tmp_path: Path) -> None:
    text = RECIPE.replace("batch: 2", "batch: 2\nmax_epochs: 99\nrepeat: [1.5]").replace(
        "[20, 40, 80]", "[20, 40, 8000]"
    )
    with pytest.raises(RecipeError, match=r"small.yaml:\d+: repeat\[0\]: expected cuts within the corpus, of at most"):
        setup_in(tmp_path, tmp_path / "small", text)


def test_the_table_of_a_sweep_has_the_unique_data_of_every_run_that_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    short = REPEATED.replace("[20, 40, 80]", "[32]").replace('[0, 0.75, "2:4"]', "[0]")
    trained = sweep_in(tmp_path, tmp_path / "small", short)
    assert len(trained.records) == 2 * 3
    table = read_runs(tmp_path / "small" / "runs.csv")
    assert table.unique_data is not None
    assert sorted(set((table.data_seen / table.unique_data).round(1))) == [0.0, 4.0, 15.8]  # of 257 and 65


def repeated_runs(R_D: Rate) -> Runs:
    """Losses of a law whose repeats count by known rates, at D/U of 1, 4, 16 and 64."""
    theta = coefficients(builtin_law("frantar2023-t5-c4"), "unstructured")
    axes = np.meshgrid([0.0, 0.5, 0.75, 0.875], [1e6, 4e6, 1.6e7, 6.4e7], [1e9, 4e9, 1.6e10], [1, 4, 16, 64])
    S, N, D, times = (axis.ravel() for axis in axes)
    U = np.where(times == 1, np.inf, D / times)
    law = Repeated(theta, Rate(1e3), R_D, U)
    return Runs(
        sparsity=S,
        nonzero_params=N,
        data_seen=D,
        loss=law.loss(S, N, D),
        family=("unstructured",) * len(S),
        run_id=tuple(map(str, range(len(S)))),
        unique_data=U,
    )


@pytest.mark.slow
def test_the_page_finds_the_rates_and_says_how_far_the_published_ones_are_off() -> None:
    result = fit_runs(repeated_runs(Rate(9.0)), FitJob(draws=4, starts=4))
    lines = repeats_lines(result)
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in lines if line.startswith("| ")}
    dense, sparse, _, error = rows["fitted here"]
    assert float(dense.split()[0]) == pytest.approx(9.0, rel=0.02)
    assert float(sparse) == pytest.approx(9.0, rel=0.02)
    assert float(error.split("%")[0]) < 0.1
    assert rows["wu2026-llama-c4"][0] == "4.4"
    assert rows["muennighoff2023-c4"][0] == "15.4"
    errors = [float(row[-1].split("%")[0]) for name, row in rows.items() if name not in ("rates", "---")]
    assert errors[0] < min(errors[1:])
    assert max(errors) == errors[-1]  # fresh for ever


@pytest.mark.slow
def test_a_model_that_sees_a_cut_again_and_again_ends_worse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    text = TINY.replace("TEXT", str(write_documents(tmp_path / "texts")))
    text = text.replace("batch: 8", "batch: 8\nrepeat: [1, 8]")
    text = text.replace("[15, 30, 60]", "[160]").replace('[0, 0.5, 0.75, "2:4"]', "[0.5]")
    text = text.replace("{layers: 1, width: 16}, {layers: 1, width: 32}, ", "").replace("workers: 2", "workers: 1")
    loaded, folder = parse_recipe(text, source="tiny.yaml"), Folder(tmp_path / "tiny")
    folder.prepare()
    train_runs(set_up(loaded, folder.corpus), folder, executor_of(loaded.recipe), Console(stderr=True, width=200))
    rows = list(csv.DictReader(folder.runs_table.read_text().splitlines()))
    losses = {row["unique_data"]: float(row["loss"]) for row in rows}
    assert losses.keys() == {"", "5121"}  # 160 updates of 8 sequences of 32, an eighth, and a token
    assert losses["5121"] > losses[""] + 0.05


@pytest.mark.slow
def test_a_calibration_with_repeats_ends_in_a_law_with_rates_and_a_page_that_compares_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    text = REPEATED.replace("[1, 4, 16]", "[1, 4]").replace('[0, 0.75, "2:4"]', "[0, 0.5, 0.75]")
    text = text.replace("fit: {bootstrap: 20}", "fit: {form: frantar2023, huber_delta: 0.01, bootstrap: 2}")
    loaded, folder = recipe(tmp_path, text), Folder(tmp_path / "small")
    calibrate(folder.root, loaded, executor_for(loaded), Console(stderr=True, width=200))
    law = read_law(folder.law)
    assert law.repetition is not None
    # The fakes take repeats for fresh data: so do the rates, as far as they are searched.
    assert float(law.repetition.rate("R_D").dense) > 30
    page = " ".join(folder.readme.read_text().split())
    assert "18 of 36 runs saw their data more than once, up to 3.99 times" in page  # 160 sequences of 40 and a token
