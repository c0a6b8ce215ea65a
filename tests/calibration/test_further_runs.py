"""Claims about runs beside a grid: which a recipe could train, the recipe that asks for them, the sweep that grows."""

import json
from pathlib import Path

import msgspec
import pytest

import sparseplan as sp
from sparseplan.calibration.further_runs import reach, with_runs
from sparseplan.calibration.manifest import read_manifest
from sparseplan.calibration.recipe import LoadedRecipe, load_recipe, parse_recipe
from sparseplan.cli import run
from sparseplan.errors import PlanError, RecipeError, SweepError
from sparseplan.plan.candidates import Span
from sparseplan.plan.next_runs import NextRun
from sparseplan.sweep.folder import Folder
from tests.helpers.sweeps import RECIPE, environment, setup_in, sweep_in

ALSO = """\
also:
  - {layers: 3, width: 24, sparsity: 0.5, steps: 160}
  - {layers: 1, width: 8, sparsity: "2:4", steps: 20}  # of the grid
"""


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def a_run(*, layers: int, width: int, sparsity: float, steps: int, pattern: str = "unstructured") -> NextRun:
    dense = 12 * layers * width**2
    return NextRun(
        pattern=pattern,
        sparsity=sparsity,
        nonzero_params=dense * (1 - sparsity),
        dense_params=dense,
        data_seen=steps * 32,
        data_unit="byte",
        train_flops=1e9,
        gain=0.1,
        predicted=3.0,
        layers=layers,
        width=width,
        steps=steps,
    )


def test_a_run_beside_the_grid_is_trained_once_as_it_says(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep", RECIPE + ALSO)
    assert len(setup.runs) == 2 * 3 * 3 + 1
    last = setup.runs[-1]
    assert (last.shape.layers, last.shape.width, last.shape.heads, last.steps) == (3, 24, 3, 160)
    assert last.nonzero_params == 12 * 3 * 24**2 // 2


@pytest.mark.parametrize(
    ("also", "says"),
    [
        ("{layers: 1, width: 12, sparsity: 0, steps: 5}", r"small.yaml:\d+: also\[0\].width: .*head_width 8 divides"),
        ('{layers: 1, width: 16, sparsity: "n:4", steps: 5}', r"also\[0\].sparsity: expected a number .*'n:4'"),
        ("{layers: 1, width: 16, sparsity: 0.5, steps: 99999}", r"also\[0\].steps: expected at most 1 passes"),
        ("{layers: 1, width: 16, sparsity: 0.5}", r"also\[0\]: expected a key `steps`|steps"),
    ],
)
def test_a_run_that_cannot_be_trained_is_refused_at_its_line(also: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=says):
        setup_in(tmp_path, tmp_path / "sweep", f"{RECIPE}also:\n  - {also}\n")


def test_a_finished_sweep_grows_by_runs_and_loses_none(tmp_path: Path, fakes: None) -> None:
    root = tmp_path / "sweep"
    first = sweep_in(tmp_path, root)
    stamps = {path.name: path.stat().st_mtime_ns for path in Folder(root).records.glob("*.json")}
    grown = sweep_in(tmp_path, root, RECIPE + ALSO)
    assert len(grown.records) == len(first.records) + 1
    assert {
        path.name: path.stat().st_mtime_ns for path in Folder(root).records.glob("*.json")
    }.items() >= stamps.items()
    manifest = read_manifest(Folder(root))
    assert manifest is not None
    assert set(manifest.run_ids) == set(grown.records)
    assert Folder(root).recipe.read_text().endswith(ALSO)
    with pytest.raises(SweepError, match="also: 1 of the folder's runs is no longer asked for; put them back"):
        sweep_in(tmp_path, root)


def test_sizes_that_a_recipe_can_have_are_of_its_kind(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, tmp_path / "sweep")  # one block of width 8 or 16: more width, not more blocks
    found = reach(setup, Span(low=700, high=50_000))
    assert {size.layers for size in found.sizes.values()} == {1}
    assert [size.width for size in found.sizes.values()] == [8, 16, 24, 32, 48, 64]
    models = found.trainable(Span(low=640, high=1e12))
    assert models.data_seen.tolist() == [640 * 2**k for k in range(len(models.data_seen))]
    assert models.data_seen[-1] <= setup.data.train.tokens < 2 * models.data_seen[-1]
    with pytest.raises(PlanError, match="`data`: the recipe's runs see at most"):
        found.trainable(Span(low=1e9, high=1e12))


WAYS = {
    "at the end": RECIPE,
    "after runs of before": RECIPE + "# chosen by hand\n" + ALSO,
    "above other keys": ALSO + RECIPE,
    "between keys": RECIPE.replace("batch: 2\n", ALSO + "batch: 2\n"),
    "in one line": RECIPE + "also: [{layers: 3, width: 24, sparsity: 0.5, steps: 160}]\n",
    "over lines": RECIPE.replace(
        "batch: 2\n", "also: [\n{layers: 3, width: 24, sparsity: 0.5, steps: 160}\n]\nbatch: 2\n"
    ),
    "in braces": json.dumps(
        {
            **parse_recipe(RECIPE, source="x").document.data,
            "also": [{"layers": 3, "width": 24, "sparsity": 0, "steps": 9}],
        }
    ),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_a_recipe_with_further_runs_is_the_recipe_and_those_runs(way: str) -> None:
    before = parse_recipe(WAYS[way], source="small.yaml")
    runs = [
        a_run(layers=2, width=40, sparsity=0.75, steps=80),
        a_run(layers=1, width=16, sparsity=0.5, steps=320, pattern="2:4"),
    ]
    text = with_runs(before, runs)
    after = parse_recipe(text, source="next.yaml").recipe
    assert len(after.also) == len(before.recipe.also) + 2
    assert [(run.layers, run.width, run.sparsity, run.steps) for run in after.also[-2:]] == [
        (2, 40, 0.75, 80),
        (1, 16, "2:4", 320),
    ]
    assert facts(after) == facts(before.recipe) | {"also": msgspec.to_builtins(after.also)}
    twice = parse_recipe(with_runs(parse_recipe(text, source="next.yaml"), runs[:1]), source="next.yaml").recipe
    assert len(twice.also) == len(after.also) + 1
    if way == "after runs of before":
        assert "# chosen by hand" in text


def facts(recipe: object) -> dict[str, object]:
    return dict(msgspec.to_builtins(recipe))


def test_next_writes_a_recipe_that_calibrate_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "next.yaml"
    words = [
        "next",
        "--recipe",
        "gpt-stdlib-cpu",
        "--flops",
        "1e15",
        "--budget",
        "1e13",
        "--most",
        "3",
        "--out",
        str(out),
    ]
    assert run([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert f"wrote {out}" in said.err
    answer = json.loads(said.out)
    assert answer["law"]["name"] == "gpt-stdlib-cpu"
    base, grown = load_recipe("gpt-stdlib-cpu"), load_recipe(str(out))
    assert facts(grown.recipe) == facts(base.recipe) | {"also": msgspec.to_builtins(grown.recipe.also)}
    for asked, chosen in zip(grown.recipe.also, answer["runs"], strict=True):
        assert chosen["dense_params"] == 12 * asked.layers * asked.width**2
        assert chosen["data_seen"] == asked.steps * 8 * 64
        assert asked.sparsity == chosen["sparsity"]
    assert not any((run["sparsity"], run["dense_params"], run["steps"]) in trained(base) for run in answer["runs"])
    assert run(words) == 2
    assert "there is a file already" in capsys.readouterr().err


def trained(base: LoadedRecipe) -> set[tuple[float, int, int]]:
    return {
        (S, 12 * 2 * w**2, steps)
        for S in (0.0, 0.5, 0.75, 0.875)
        for w in (16, 32, 48, 64)
        for steps in (500, 1000, 2000)
    }


def test_a_recipe_of_other_data_than_the_law_s_is_refused() -> None:
    with pytest.raises(PlanError, match=r"`recipe`: .*gpt-stdlib-cpu.yaml counts bytes, the law .* tokens"):
        sp.next_runs(1e22, law="frantar2023-t5-c4-refit", recipe="gpt-stdlib-cpu")


def test_runs_chosen_without_a_recipe_make_none(tmp_path: Path) -> None:
    answer = sp.next_runs(1e22, most=1)
    with pytest.raises(PlanError, match="chosen without one"):
        answer.save_recipe(tmp_path / "next.yaml", "gpt-stdlib-cpu")
    assert run(["next", "--flops", "1e22", "--out", str(tmp_path / "next.yaml")]) == 2
