"""Configs of Hugging Face models: found by name, place or path; broken ones are one clear error."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparseplan.errors import ModelError
from sparseplan.shapes.real.config import Config
from sparseplan.shapes.real.facts import facts
from sparseplan.shapes.real.file import builtin_models, load_model
from sparseplan.shapes.real.registry import READERS


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(fields, indent=2), encoding="utf-8")
    return path


def test_a_model_is_found_by_name_by_place_on_the_hub_by_path_and_by_folder(tmp_path: Path) -> None:
    path = written(tmp_path, model_type="llama", hidden_size=2048, num_hidden_layers=4, torch_dtype="bfloat16")
    by_path, by_folder = load_model(str(path)), load_model(tmp_path)
    assert by_path.architecture == by_folder.architecture
    assert (by_path.context, by_path.published_params) == (2048, None)
    assert load_model("meta-llama/Meta-Llama-3-8B") == load_model("llama-3-8b") == load_model("Llama-3-8B")


def test_every_place_on_the_hub_is_one_models() -> None:
    from sparseplan.shapes.real.file import read_model_file

    places = [file.hub for file in map(read_model_file, builtin_models()) if file.hub is not None]
    assert len(set(places)) == len(places) > 40


def test_json_as_other_programs_write_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{\n\t"model_type": "gpt2",\n\t"n_embd": 1600, "n_layer": 48, "n_head": 25,\n\t"eps": 1e-05\n}\n')
    assert load_model(path).architecture.total_params == 1_557_611_200


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "lama"}, "2: model_type: expected a model_type of bert, "),
        ({"model_type": "lama"}, "found 'lama' (did you mean 'llama'?)"),
        ({"hidden_size": 64}, "found none"),
        ({"model_type": 3}, "found 3"),
        (
            {"model_type": "mixtral", "num_local_experts": 8},
            "3: num_local_experts: expected a dense model, found a mix",
        ),
        ({"model_type": "qwen3_moe", "num_experts": 128}, "mixture of experts"),
        ({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}}, "save its text_config, a gemma3_text"),
        ({"model_type": "llama", "hidden_size": "4096"}, "3: hidden_size: expected a whole number, found '4096'"),
        ({"model_type": "llama", "hidden_size": 0}, "3: hidden_size: expected a whole number >= 1, found 0"),
        ({"model_type": "gpt2", "hidden_size": 1.5}, "3: n_embd: expected a whole number, found 1.5"),
        ({"model_type": "gpt2", "n_embd": 100}, "expected heads that divide the width 100, found 12"),
        ({"model_type": "llama", "num_key_value_heads": 5}, "keys and values that divide the 32 heads, found 5"),
        ({"model_type": "vit", "patch_size": 512}, "expected a patch_size of at most image_size 224, found 512"),
        ({"model_type": "gemma2", "layer_types": ["full_attention"]}, "for each of 26 blocks, found 1"),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "expected a decoder"),
    ],
)
def test_a_broken_config_is_one_error_that_says_where(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as problem:
        load_model(written(tmp_path, **fields))
    assert str(problem.value).startswith(str(tmp_path / "config.json"))
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model_type": }', "null", "\x00"])
def test_what_is_no_config_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        load_model(path)


def test_a_place_on_the_hub_that_is_not_built_in_asks_for_its_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Qwen/Qwen-72B: there is no such file or folder\. Of a model on the Hugging"):
        load_model("Qwen/Qwen-72B")
    with pytest.raises(ModelError, match=r"config\.json: can't read this model config"):
        load_model(tmp_path)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"did you mean 'mistral-7b'\?"):
        load_model("mistral7b")


VALUES = (
    st.integers(-3, 200_000)
    | st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.lists(st.sampled_from(["full_attention", "sliding_attention"]), max_size=3)
)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(READERS)))
    reader: type[Config] = READERS[kind]
    sizes = st.integers(1, 64).map(lambda k: 64 * k)
    names = st.sampled_from(sorted({*reader.__struct_fields__, *reader.other_names}))
    return draw(st.dictionaries(names, sizes | VALUES, max_size=5)) | {"model_type": kind}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=configs())
def test_any_config_is_counted_or_is_one_clear_error(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = written(tmp_path, **fields)
    problem = None
    try:
        model = load_model(path)
    except ModelError as caught:
        problem = str(caught)
    if problem is not None:
        assert problem.startswith(str(path))
        return
    shape = model.architecture
    context = min(model.context or 512, 1024)
    found = facts(model, context, devices=3, sparsity=0.5)
    assert 0 < shape.prunable_params < shape.total_params
    assert 0 < found.flops_per_token.weights < found.flops_per_token.total
    memory = found.training_memory
    assert memory.per_device_recomputed > 16 * shape.total_params / 3
    assert found.inference_memory.compressed <= found.inference_memory.dense
