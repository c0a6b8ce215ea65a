"""Claims about recipes: what they mean, and what is said of broken ones."""

import hashlib
import json
import re
import tracemalloc
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import sparseplan
from sparseplan.calibration.recipe import (
    builtin_recipes,
    expand,
    load_recipe,
    parse_recipe,
    recipe_schema,
)
from sparseplan.errors import RecipeError
from sparseplan.fit.choose_form import AUTO, AVERAGE
from sparseplan.laws.forms.fitting import SPARSE
from sparseplan.runs.spec import Adafactor, AdamW
from sparseplan.runs.start import Checkpoint
from sparseplan.runs.strategies import (
    GradualMagnitude,
)
from sparseplan.runs.trunks import plan_segments
from sparseplan.shapes.bert import BertShape
from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.vit import VitShape
from tests.helpers.recipes import DATA, PLAIN, data_of, read, replaced, runs_of


def test_a_recipe_is_the_product_of_its_sizes_sparsities_lengths_and_seeds() -> None:
    runs = runs_of(PLAIN + "seeds: [0, 1]\n")
    assert len({run.run_id for run in runs}) == len(runs) == 2 * 3 * 2 * 2
    assert {(run.pruning.sparsity, run.pruning.pattern) for run in runs} == {
        (0.0, "unstructured"),
        (0.75, "unstructured"),
        (0.5, "2:4"),
    }
    assert {run.shape.dense_params for run in runs} == {12 * 32**2, 2 * 12 * 32**2}
    assert {run.shape.heads for run in runs} == {2}
    assert {type(run.shape) for run in runs} == {GptShape}  # the family of a recipe that names none


def test_the_family_decides_the_shape_and_a_run_of_another_family_is_another_run() -> None:
    runs, others = runs_of(), runs_of(replaced("context: 32", "family: bert\n  context: 32"))
    assert {type(run.shape) for run in others} == {BertShape}
    assert [run.shape.dense_params for run in runs] == [run.shape.dense_params for run in others]
    assert not {run.run_id for run in runs} & {run.run_id for run in others}


def test_a_family_that_does_not_exist_is_named_with_those_that_do() -> None:
    families = "gpt, gpt2, bert, vit, t5"
    with pytest.raises(RecipeError, match=rf"team\.yaml:5: model\.family: expected one of {families}, found"):
        read(replaced("context: 32", "family: brt\n  context: 32"))


VISION = PLAIN.replace("context: 32", "family: vit\n  patch: 4") + "data: {kind: images}\n"


def test_a_vision_recipe_counts_images_and_learns_their_size_from_the_data() -> None:
    loaded = read(VISION)
    runs = expand(loaded, *data_of(loaded))
    assert {type(run.shape) for run in runs} == {VitShape}
    assert {run.data_seen for run in runs} == {40, 80}  # 10 and 20 steps of 4 images
    assert {run.tokens_per_step for run in runs} == {4 * 7 * 7}
    seen = expand(read(VISION.replace("{steps: [10, 20]}", "{tokens: [400]}")), *data_of(loaded))
    assert {run.steps for run in seen} == {100}
    with pytest.raises(RecipeError, match=r"team\.yaml:8: model\.sizes\.shapes\[0\]: expected a patch that divides"):
        expand(read(VISION.replace("patch: 4", "patch: 5")), *data_of(loaded))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            VISION.replace("data: {kind: images}\n", ""),
            "data: expected data of kind images, which the family vit reads",
        ),
        (PLAIN + "data: {kind: images}\n", r"team\.yaml:11: data: expected text or tokens, which the family gpt reads"),
    ],
)
def test_data_of_a_kind_that_the_family_does_not_read_are_refused(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read(text)


def test_a_recipe_chooses_the_form_of_its_fit_among_those_that_can_be_fitted_to_sparse_runs() -> None:
    choices = {None, AUTO, AVERAGE, *SPARSE}
    for form in choices:
        text = PLAIN if form is None else PLAIN + f"fit: {{form: {form}}}\n"
        assert read(text).recipe.fit.form == form
    with pytest.raises(RecipeError, match=r"team\.yaml:11: fit\.form"):
        read(PLAIN + "fit: {form: chinchilla}\n")


def test_z_loss_reaches_every_run_and_without_it_identities_are_those_of_before() -> None:
    assert {run.z_loss for run in runs_of(PLAIN + "z_loss: 1.0e-4\n")} == {1e-4}
    plain, with_z = runs_of(), runs_of(PLAIN + "z_loss: 1.0e-4\n")
    assert [run.run_id for run in runs_of(PLAIN + "z_loss: 0\n")] == [run.run_id for run in plain]
    assert not {run.run_id for run in plain} & {run.run_id for run in with_z}


def test_what_a_recipe_says_of_training_reaches_every_run() -> None:
    text = PLAIN + "optimizer: {name: adafactor, learning_rate: 0.02}\nlearning_rate: {kind: inverse-sqrt, warmup: 3}\n"
    text += "pruning: {schedule: {kind: linear, start: 0.5, end: 0.9}, updates: 5}\nclip_norm: 0\ndtype: bfloat16\n"
    for run in runs_of(text):
        assert run.optimizer == Adafactor(learning_rate=0.02)
        assert (run.learning_rate.kind, run.learning_rate.warmup) == ("inverse-sqrt", 3)
        strategy = run.pruning.strategy
        assert isinstance(strategy, GradualMagnitude)
        assert (strategy.schedule.start, strategy.updates) == (0.5, 5)
        assert (run.clip_norm, run.dtype) == (0.0, "bfloat16")
    assert all(run.optimizer == AdamW() for run in runs_of())


def test_a_recipe_may_start_every_run_from_dense_runs_of_its_own_size_and_seed() -> None:
    text = PLAIN + "seeds: [0, 1]\nstart: {kind: dense-run, lengths: {tokens_per_dense_param: [2, 4]}}\n"
    runs = runs_of(text)
    plain = runs_of(PLAIN + "seeds: [0, 1]\n")
    assert len(runs) == 2 * len(plain)
    assert {(run.shape, run.seed, run.pruning, run.steps) for run in runs} == {
        (run.shape, run.seed, run.pruning, run.steps) for run in plain
    }
    for run in runs:
        assert run.dense_run is not None
        assert run.dense_data_seen is not None
        assert run.dense_data_seen / run.shape.dense_params in (2.0, 4.0)
        assert (run.dense_run.shape, run.dense_run.seed) == (run.shape, run.seed)
        assert run.dense_run.pruning.sparsity == 0


def test_a_recipe_may_start_from_a_file_of_weights_of_one_size(tmp_path: Path) -> None:
    weights = tmp_path / "dense.pt"
    weights.write_bytes(b"weights")
    start = f"start: {{kind: checkpoint, path: {weights}, data_seen: 1.0e+6}}\n"
    one = replaced("shapes: [{layers: 1, width: 32}, {layers: 2, width: 32}]", "shapes: [{layers: 1, width: 32}]")
    (found,) = {run.start for run in runs_of(one + start)}
    assert found == Checkpoint(path=str(weights), sha256=hashlib.sha256(b"weights").hexdigest(), data_seen=1e6)
    with pytest.raises(RecipeError, match=r":\d+: start\.path: expected runs of one dense size.*found 2 sizes"):
        runs_of(PLAIN + start)
    weights.unlink()
    with pytest.raises(RecipeError, match=r":\d+: start\.path: can't read the weights .*: No such file"):
        runs_of(one + start)


def test_a_start_that_cannot_be_is_refused_by_line() -> None:
    with pytest.raises(RecipeError, match=r"start\.kind: expected"):
        read(PLAIN + "start: {kind: dense}\n")
    with pytest.raises(RecipeError, match=r":\d+: start\.lengths: expected lengths of at most 1e\+09 updates"):
        runs_of(PLAIN + "start: {kind: dense-run, lengths: {tokens: [1.0e+30]}}\n")
    with pytest.raises(RecipeError, match="passes over the training data"):
        runs_of(PLAIN + "start: {kind: dense-run, lengths: {steps: [100000000]}}\n")


def test_a_grid_over_dense_sizes_cuts_every_sparsity_from_the_same_model() -> None:
    text = replaced(
        "sizes: {grid: shapes, shapes: [{layers: 1, width: 32}, {layers: 2, width: 32}]}",
        "sizes: {grid: dense, params: [1.0e+5, 4.0e+5], layers: 2, width_step: 16}",
    )
    runs = runs_of(text)
    assert {run.shape.dense_params for run in runs} == {2 * 12 * 64**2, 2 * 12 * 128**2}
    assert plan_segments(runs).saved > 0.2


def test_a_grid_over_nonzero_sizes_keeps_the_laws_n_and_lets_the_dense_model_grow_as_in_the_paper() -> None:
    text = replaced(
        "sizes: {grid: shapes, shapes: [{layers: 1, width: 32}, {layers: 2, width: 32}]}",
        "sizes: {grid: nonzero, params: [24576, 98304], layers: 2, width_step: 16}",
    ).replace('"2:4"', "0.9375")
    runs = runs_of(text)
    for run in runs:
        wanted = min((24576, 98304), key=lambda count: abs(count - run.nonzero_params))
        assert run.nonzero_params == pytest.approx(wanted, rel=0.03)
    # 24576 non-zero at S = 0.75 is 98304 dense: 2 x 12 x 64^2
    assert 2 * 12 * 64**2 in {run.shape.dense_params for run in runs if run.pruning.sparsity == 0.75}


def test_lengths_may_be_counted_in_tokens_or_in_tokens_a_weight() -> None:
    tokens = runs_of(replaced("{steps: [10, 20]}", "{tokens: [1280, 2560]}"))
    assert {run.steps for run in tokens} == {10, 20}  # 4 sequences of 32 tokens a step
    ratio = runs_of(replaced("{steps: [10, 20]}", "{tokens_per_dense_param: [1, 2]}"))
    assert {run.data_seen / run.shape.dense_params for run in ratio} == {1.0, 2.0}


def test_dense_is_trained_once_however_it_is_written() -> None:
    assert len(runs_of(replaced('[0, 0.75, "2:4"]', "[0, 0.75]"))) == 8
    with pytest.raises(
        RecipeError, match=r"team\.yaml:8: sparsities\[1\]: expected each sparsity once, found it twice"
    ):
        read(replaced('[0, 0.75, "2:4"]', '[0, "4:4"]'))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch: 4", "batch: four", r"team\.yaml:10: batch: expected a whole number, found 'four'"),
        ("batch: 4", "bach: 4", r"team\.yaml:10: bach: unknown key \(did you mean 'batch'\?\)"),
        ("batch: 4\n", "", r"team\.yaml:1: the key 'batch' is missing"),
        ("0.75", "1.5", r"team\.yaml:8: sparsities\[1\]: "),
        ('"2:4"', '"4:2"', r"team\.yaml:8: sparsities\[2\]: expected n of n:m between 1 and 2"),
        (
            '"2:4"',
            '"n:4"',
            r"team\.yaml:8: sparsities\[2\]: expected a number for unstructured sparsity, or one pattern",
        ),
        (
            "steps: [10, 20]",
            "steps: [10], tokens: [5]",
            r"team\.yaml:9: lengths: expected exactly one of steps, tokens",
        ),
        ("{steps: [10, 20]}", "{}", r"team\.yaml:9: lengths: expected exactly one of .* found none"),
        ("grid: shapes", "grid: shape", r"team\.yaml:7: model\.sizes.*expected one of .*found 'shape'"),
        ("width: 32}, ", "width: 4}, ", r"team\.yaml:7: model\.sizes\.shapes\[0\]\.width"),
        ("name: plain", "name: ../plain", r"team\.yaml:2: name"),
        ("recipe/1", "recipe/2", r"team\.yaml:1: format"),
    ],
)
def test_a_broken_recipe_is_named_by_line_and_key(old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read(replaced(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("head_width: 16", "head_width: 24", r"team\.yaml:7: model\.sizes\.shapes\[0\]: .* head_width 24 divides"),
        ('"2:4"', '"1:48"', r"team\.yaml:7: model\.sizes\.shapes\[0\]: expected a width that 48 divides"),
        ("[10, 20]", "[10, 20_000_000]", r"team\.yaml:9: lengths: expected at most 1 passes over the training data"),
        (
            "{grid: shapes, shapes: [{layers: 1, width: 32}, {layers: 2, width: 32}]}",
            "{grid: dense, params: [5.0e+5], layers: 1, width_step: 512}",
            r"team\.yaml:7: model\.sizes\.params\[0\]: expected a shape within 25% of 5e\+05",
        ),
        (
            "{grid: shapes, shapes: [{layers: 1, width: 32}, {layers: 2, width: 32}]}",
            "{grid: dense, params: [5.0e+5]}",
            "either layers or width_per_layer",
        ),
    ],
)
def test_a_grid_that_cannot_be_trained_is_refused_at_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        runs_of(replaced(old, new))


@pytest.mark.parametrize("path", builtin_recipes(), ids=lambda path: path.stem)
def test_every_built_in_recipe_is_valid_named_as_its_file_and_fits_the_schema(path: Path) -> None:
    loaded = load_recipe(path.stem)
    assert loaded.recipe.name == path.stem
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(json.dumps(recipe_schema())))
    runs = expand(loaded, *data_of(loaded))
    sparsities = {(run.pruning.sparsity, run.pruning.parsed.family) for run in runs}
    assert len({run.shape.dense_params for run in runs}) >= 3
    assert len({run.steps for run in runs}) >= 3
    assert len(runs) >= 24
    # two sparsities at the least, or a_S, b_S and c_S can't be told apart
    assert len({sparsity for sparsity, family in sparsities if sparsity and family == "unstructured"}) >= 2
    # what strategies or repeats are worth is asked of unstructured runs alone
    assert (0.5, "n:4") in sparsities or loaded.recipe.strategies or loaded.recipe.repeat != (1.0,)


def test_a_recipe_without_a_family_fits_the_schema() -> None:
    jsonschema.validate(yaml.safe_load(PLAIN), recipe_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(replaced("context: 32", "family: brt\n  context: 32")), recipe_schema())


def test_the_shipped_schema_is_that_of_the_code() -> None:
    shipped = Path(sparseplan.__file__).parent / "builtin" / "schemas" / "recipe.schema.json"
    assert json.loads(shipped.read_text()) == json.loads(json.dumps(recipe_schema()))


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        RecipeError, match=r"no built-in recipe is called 'gpt-stdlib-cpo' \(did you mean 'gpt-stdlib-cpu'"
    ):
        load_recipe("gpt-stdlib-cpo")
    with pytest.raises(RecipeError, match=r"missing\.yaml: can't read this recipe"):
        load_recipe("missing.yaml")


@given(st.text(max_size=300))
def test_any_text_is_a_recipe_or_a_recipe_error(text: str) -> None:
    with pytest.raises(RecipeError):
        parse_recipe(text, source="x.yaml")


def test_the_recipe_in_the_documentation_is_valid() -> None:
    page = (Path(__file__).parents[2] / "docs" / "calibration.md").read_text(encoding="utf-8")
    text = page.partition("```yaml\n")[2].partition("```")[0]
    runs = expand(read(text), DATA, 50304)
    assert len(runs) == 3 * 6 * 3 * 2
    for run in runs:
        assert min(abs(run.nonzero_params / wanted - 1) for wanted in (1e7, 4e7, 1.6e8)) < 0.05


@pytest.mark.parametrize("name", ["1e5", "1_000", "2026-11-24", "yes", "NO", "null", "0x1F", "1.5"])
def test_a_name_that_yaml_reads_as_something_else_is_refused_before_anything_is_trained(name: str) -> None:
    with pytest.raises(RecipeError, match=r"team\.yaml:2: name: expected (a name that YAML reads as )?text"):
        read(replaced("name: plain", f"name: {name}"))
    with pytest.raises(RecipeError, match=r"team\.yaml:2: name: expected a name that YAML reads as text"):
        read(replaced("name: plain", f'name: "{name}"'))


EXTREMES = ("0", "-1", "1", "70000", "20000000", "1000000000000000000000000000000", "1e308", "1e-300", "true", "null")
GRIDS = (
    "{grid: shapes, shapes: [{layers: 1, width: 32}, {layers: 2, width: 32}]}",
    "{grid: dense, params: [1.0e+5], layers: 2, width_step: 16}",
    "{grid: nonzero, params: [1.0e+5], width_per_layer: 32, width_step: 16}",
)
LENGTHS = ("{steps: [10, 20]}", "{tokens: [1280]}", "{tokens_per_dense_param: [0.1]}")
FURTHER = """\
max_epochs: 1.0
learning_rate: {warmup: 3, cooldown: 0.2}
optimizer: {name: adamw, learning_rate: 0.01, base_width: 32}
pruning: {schedule: {kind: cubic, start: 0.25, end: 0.75}, updates: 8}
seeds: [0]
evaluation_sequences: 16
fit: {bootstrap: 20, huber_delta: 0.01}
executor: {workers: 2, threads: 1, checkpoint_seconds: 5}
"""


@pytest.mark.parametrize("grid", GRIDS, ids=["shapes", "dense", "nonzero"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=["steps", "tokens", "ratio"])
def test_any_number_in_any_place_of_a_recipe_gives_runs_or_a_recipe_error_in_little_memory(
    grid: str, lengths: str
) -> None:
    text = PLAIN.replace(GRIDS[0], grid).replace(LENGTHS[0], lengths) + FURTHER
    assert runs_of(text)
    numbers = list(re.finditer(r"(?<=[ \[])\d[\d.e+]*(?=[],}\n])", text))
    assert len(numbers) >= 20
    tracemalloc.start()
    said: list[str] = []
    for number in numbers:
        for value in EXTREMES:
            changed = text[: number.start()] + value + text[number.end() :]
            try:
                runs = runs_of(changed)
                assert len({run.run_id for run in runs}) == len(runs)
            except RecipeError as problem:
                said.append(str(problem))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(said) > len(numbers)
    assert all("team.yaml:" in message for message in said)
    assert peak < 50e6
