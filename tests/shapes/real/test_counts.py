"""Parameters and FLOPs of real models, against published counts, hand counts and other ways of counting."""

import json
from pathlib import Path

import pytest

from sparseplan.common.yaml_document import parse_document
from sparseplan.errors import ModelError
from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.real.architecture import Architecture
from sparseplan.shapes.real.file import builtin_models, load_model, read_model_file
from sparseplan.shapes.real.registry import READERS, read_config
from sparseplan.shapes.t5 import T5Shape
from sparseplan.shapes.vit import VitShape


def built_in(name: str) -> Architecture:
    return load_model(name).architecture


@pytest.mark.parametrize("name", [path.stem for path in builtin_models()])
def test_a_built_in_model_has_its_published_number_of_parameters(name: str) -> None:
    file = next(read_model_file(path) for path in builtin_models() if path.stem == name)
    assert file.name == name
    assert built_in(name).total_params == file.parameters


def test_pythias_have_their_published_numbers_without_embeddings() -> None:
    # Model cards of EleutherAI/pythia-*: "Non-Embedding Params", which leave out embedding and head.
    published = {
        "70m": 18_915_328,
        "160m": 85_056_000,
        "410m": 302_311_424,
        "1b": 805_736_448,
        "1.4b": 1_208_602_624,
        "2.8b": 2_517_652_480,
        "6.9b": 6_444_163_072,
        "12b": 11_327_027_200,
    }
    for size, count in published.items():
        model = built_in(f"pythia-{size}")
        assert model.total_params - model.embedding.params - model.head.params == count


def test_gemmas_have_their_published_numbers_without_embeddings() -> None:
    # Gemma Team 2024, arXiv:2408.00118, table 2
    published = {"2b": 2_024_517_888, "9b": 8_324_201_984, "27b": 26_047_480_320}
    for size, count in published.items():
        model = built_in(f"gemma-2-{size}")
        assert model.total_params - model.embedding.params == count


def test_a_config_without_sizes_means_what_transformers_means_by_it() -> None:
    # Parameters of transformers 4.57.1's own models of a default config, on torch's meta device: causal language
    # models, BertForPreTraining, RobertaForMaskedLM, ViTForImageClassification, (M)T5ForConditionalGeneration.
    counted = {
        "bert": 110_106_428,
        "gemma": 8_537_680_896,
        "gemma2": 2_614_341_888,
        "gemma3_text": 2_628_658_432,
        "gpt2": 124_439_808,
        "gpt_neox": 20_554_567_680,
        "llama": 6_738_415_616,
        "mistral": 7_241_732_096,
        "mt5": 300_176_768,
        "olmo2": 6_888_624_128,
        "opt": 125_239_296,
        "phi3": 3_821_079_552,
        "qwen2": 12_049_846_272,
        "qwen3": 12_049_461_248,
        "roberta": 124_696_665,
        "t5": 60_506_624,
        "vit": 85_800_194,
    }
    assert set(counted) == set(READERS)
    for kind, count in counted.items():
        assert config(f"model_type: {kind}").total_params == count, kind


def test_configs_of_every_kind_have_the_parameters_that_transformers_gives_them() -> None:
    # Random configs, each counted as the ones above.
    rows = json.loads((Path(__file__).parent / "transformers-4.57.1.json").read_text(encoding="utf-8"))
    assert {row["config"]["model_type"] for row in rows} == set(READERS)
    assert len(rows) > 40
    for row in rows:
        assert config(json.dumps(row["config"])).total_params == row["parameters"], row


def config(text: str) -> Architecture:
    return read_config(parse_document(text, source="config.json", kind="model config", error=ModelError))


def test_the_parts_of_llama_3_8b_are_those_of_a_hand_count() -> None:
    model = built_in("llama-3-8b")
    # 32 blocks: q and out 4096 x 4096, k and v 1024 x 4096, three of 14336 x 4096
    assert model.prunable_params == 32 * (2 * 4096**2 + 2 * 1024 * 4096 + 3 * 14336 * 4096) == 6_979_321_856
    assert model.embedding.params == model.head.params == 128_256 * 4096
    assert model.rest_params == (2 * 32 + 1) * 4096


def test_every_matrix_of_a_block_is_counted_once() -> None:
    for path in builtin_models():
        model = built_in(path.stem)
        matrices = sum(stack.layers * sum(one.numel for one in stack.matrices) for stack in model.stacks)
        assert matrices == model.prunable_params


def test_gpt_2s_flops_are_those_of_a_hand_count() -> None:
    flops = built_in("gpt2").flops_per_token(1024)
    assert flops.weights == 6 * 12 * 12 * 768**2
    # a token sees itself and those before it, 512.5 in the mean: two products of 768, 2 FLOPs each, thrice in all
    assert flops.attention == pytest.approx(12 * 12 * 768 * 512.5, rel=1e-12)
    assert flops.head == 6 * 50_257 * 768
    assert flops.embedding == 0


def test_an_encoders_flops_are_those_of_palms_formula() -> None:
    # Chowdhery et al. 2022, arXiv:2204.02311, appendix B: 6 N + 12 L H Q T per token, with nothing masked
    model = built_in("bert-base")
    flops = model.flops_per_token(512)
    assert flops.weights + flops.attention == 6 * model.prunable_params + 12 * 12 * 12 * 64 * 512
    # of 15 % of the tokens: a matrix of the width, then the table
    assert flops.head == pytest.approx(0.15 * 6 * (768**2 + 30_522 * 768), rel=1e-12)


def test_a_decoders_flops_agree_with_those_of_the_models_that_are_trained_here() -> None:
    shape = GptShape(
        layers=32, width=4096, heads=32, kv_heads=8, mlp="gated", mlp_width=14336, vocab=128_256, context=8192
    )
    flops = built_in("llama-3-8b").flops_per_token(8192)
    # there a token sees T / 2 others, here (T + 1) / 2
    assert flops.total - flops.attention / 8193 == pytest.approx(shape.machine_flops_per_token(), rel=1e-12)


def test_an_encoder_decoders_flops_agree_with_those_of_the_models_that_are_trained_here() -> None:
    shape = T5Shape(layers=12, width=768, heads=12, mlp_width=2048, vocab=32_000, context=512)
    model, T, U = built_in("t5-v1.1-base"), 512, 114
    flops = model.flops_per_token(T)
    # there masked pairs of the decoder count too, and the vocabulary has sentinels and an end
    masked = 12 * 768 * 12 * (U * U - U * (U + 1) / 2)
    head = 6 * U * 768 * (32_128 - shape.tokens)
    assert flops.total * T == pytest.approx(shape.machine_flops_per_token() * T - masked + head, rel=1e-12)


def test_a_vision_transformers_flops_agree_with_those_of_the_models_that_are_trained_here() -> None:
    shape = VitShape(layers=12, width=768, heads=12, side=224, channels=3, patch=16, classes=256, pooling="mean")
    flops = built_in("vit-b-16").flops_per_token(197)
    # there are no class token, 1,000 classes here
    assert flops.weights == 6 * shape.dense_params
    assert flops.attention == 12 * 12 * 768 * 197
    assert flops.embedding == 4 * shape.patch_values * 768
    assert flops.head == pytest.approx(6 * 1000 * 768 / 197, rel=1e-12)


@pytest.mark.parametrize(("name", "context"), [("mistral-7b", 8192), ("gemma-2-2b", 8192), ("gemma-2-2b", 1024)])
def test_a_window_limits_what_a_token_sees(name: str, context: int) -> None:
    model = built_in(name)
    stack = model.stacks[0]
    seen = sum(min(place, 4096) for place in range(1, context + 1)) / context
    full = sum(range(1, context + 1)) / context
    windowed = 32 if name == "mistral-7b" else 13
    expected = windowed * seen + (stack.layers - windowed) * full
    assert stack.attended(context) == pytest.approx(expected, rel=1e-12)
    assert model.flops_per_token(context).attention == pytest.approx(12 * stack.attention.width * expected, rel=1e-12)


def test_longer_contexts_change_attention_alone() -> None:
    model = built_in("qwen3-8b")
    short, long = model.flops_per_token(4096), model.flops_per_token(32_768)
    assert (short.weights, short.head) == (long.weights, long.head)
    assert long.attention / short.attention == pytest.approx(32_769 / 4097, rel=1e-12)


def test_the_windows_of_a_config_are_read_from_its_list_of_layers() -> None:
    layers = "[full_attention, sliding_attention, sliding_attention]"
    text = f"model_type: gemma2\nnum_hidden_layers: 3\nsliding_window: 16\nlayer_types: {layers}"
    assert (config(text).stacks[0].window, config(text).stacks[0].windowed_layers) == (16, 2)
    by_rule = config("model_type: gemma2\nnum_hidden_layers: 3\nsliding_window: 16").stacks[0]
    assert by_rule.windowed_layers == 2  # the first and the third
    qwen = "model_type: qwen2\nnum_hidden_layers: 30\nuse_sliding_window: {}"
    assert config(qwen.format("false")).stacks[0].window is None
    assert config(qwen.format("true")).stacks[0].windowed_layers == 2  # 30 blocks but the first 28


def test_names_that_transformers_takes_for_a_field_are_taken() -> None:
    assert config(
        "model_type: gpt2\nhidden_size: 1024\nnum_hidden_layers: 24\nnum_attention_heads: 16"
    ).total_params == (354_823_168)
