"""Memory of real models, against hand counts and published figures."""

import pytest

from sparseplan.shapes.real.architecture import Architecture
from sparseplan.shapes.real.file import load_model
from sparseplan.shapes.real.memory import activation_bytes, cache_bytes, inference_memory, training_memory


def built_in(name: str) -> Architecture:
    return load_model(name).architecture


def test_states_take_16_bytes_per_parameter_split_over_the_devices() -> None:
    # Rajbhandari et al. 2020, arXiv:1910.02054, section 3.1: a model of 1.5B parameters needs at least 24 GB
    memory = training_memory(built_in("gpt2-xl"), 1024, devices=4)
    total = 1_557_611_200
    assert (memory.weights, memory.gradients, memory.optimizer) == (2 * total, 2 * total, 12 * total)
    assert memory.per_device == 4 * total + memory.activations


def test_gpts_activations_are_korthikantis_without_dropout() -> None:
    # arXiv:2205.05198, equation 2: s b h L (34 + 5 a s / h), of which two masks of dropout are 2, and scores are
    # computed again; section 4.3: logits in float32 4 s v, inputs of head and last norm 2 s h each
    s, h, L, v = 1024, 768, 12, 50_257
    assert activation_bytes(built_in("gpt2"), s) == s * h * L * 32 + 4 * s * v + 4 * s * h


def test_llamas_activations_are_those_of_a_hand_count() -> None:
    s, w, kv, hidden = 8192, 4096, 1024, 14_336
    # 16 bits each: inputs of two norms and of what reads them, queries, keys, values, attention's output; gate, its
    # SiLU, up and their product
    block = 2 * s * (4 * w + w + 2 * kv + w + 4 * hidden)
    around = 4 * s * 128_256 + 4 * s * w
    model = built_in("llama-3-8b")
    assert activation_bytes(model, s) == 32 * block + around
    assert activation_bytes(model, s, recomputed=True) == 32 * 2 * s * w + block + around


def test_an_encoder_decoder_keeps_what_both_stacks_see() -> None:
    s, t, w, f, L, V = 512, 114, 768, 2048, 12, 32_128
    encoder = 2 * s * (2 * w + 2 * w + 4 * w + 4 * f)
    # one more norm, and attention to the encoder: its input, queries and output of targets, keys and values of inputs
    decoder = 2 * (t * (3 * w + 2 * w + 4 * w + 4 * f + w + 2 * w) + s * 2 * w)
    expected = L * (encoder + decoder) + t * (4 * V + 4 * w)
    assert activation_bytes(built_in("t5-v1.1-base"), s) == expected


def test_llama_3_8b_keeps_128_kib_of_keys_and_values_per_token() -> None:
    # 2 x 32 layers x 8 heads x 128 x 2 bytes: a GiB for 8,192 tokens
    assert cache_bytes(built_in("llama-3-8b"), 8192) == 2**30


def test_a_window_bounds_what_is_kept() -> None:
    model = built_in("mistral-7b")
    assert cache_bytes(model, 4096) == cache_bytes(model, 100_000) == 2 * 32 * 8 * 128 * 2 * 4096


def test_an_encoder_keeps_nothing_and_a_decoder_keeps_the_encoders_too() -> None:
    assert cache_bytes(built_in("bert-base"), 512) == cache_bytes(built_in("vit-b-16"), 197) == 0
    assert cache_bytes(built_in("t5-v1.1-base"), 512) == 2 * 2 * 768 * 12 * (114 + 512)


def test_compressed_weights_take_what_their_format_says() -> None:
    model = built_in("llama-3-8b")
    prunable, rest = 6_979_321_856, 2 * (8_030_261_248 - 6_979_321_856)
    half = inference_memory(model, 8192, 0.5, two_of_four=True)
    assert half.dense == 2 * 8_030_261_248
    # 2 of 4 values of 16 bits and 2 bits of index for each: 36 bits of 64
    assert half.formats["2:4"] == rest + 2 * prunable * 36 / 64
    assert half.formats["bitmask"] == rest + prunable + prunable / 8
    rows = 32 * (4096 + 1024 + 1024 + 4096 + 14_336 + 14_336 + 4096)
    assert half.formats["csr"] == rest + 4 * prunable / 2 + 4 * rows
    assert half.format == "2:4"


@pytest.mark.parametrize(
    ("sparsity", "format"), [(0.0, "dense"), (0.06, "dense"), (0.07, "bitmask"), (0.93, "bitmask"), (0.95, "csr")]
)
def test_a_format_is_used_where_it_pays(sparsity: float, format: str) -> None:
    # a bit per weight against 16 S bits saved, from 1/16; 16 bits of column per kept one against that bit, from 15/16
    memory = inference_memory(built_in("llama-3-8b"), 8192, sparsity, two_of_four=False)
    assert memory.format == format
    assert memory.compressed == min(memory.formats.values())


def test_more_devices_take_less_each_and_longer_contexts_more() -> None:
    model = built_in("qwen2.5-7b")
    few, many, long = (training_memory(model, T, K) for T, K in ((4096, 8), (4096, 64), (8192, 64)))
    assert few.per_device - few.activations == pytest.approx(8 * (many.per_device - many.activations), rel=1e-12)
    assert long.activations == pytest.approx(2 * many.activations, rel=1e-12)
