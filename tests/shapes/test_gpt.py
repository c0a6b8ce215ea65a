"""Shapes of decoders, without torch."""

import msgspec
import pytest

from sparseplan.shapes.base import pruned_weights
from sparseplan.shapes.gpt import GptModel, GptShape
from sparseplan.shapes.sizes import DenseGrid, ShapeGrid, Size
from tests.helpers.specs import LLAMA, SHAPE


def test_a_gpt_block_has_twelve_squared_widths_of_prunable_weights() -> None:
    # The paper's count of a decoder block: 12 w^2, arXiv:2309.08520, section 2.
    assert SHAPE.dense_params == 2 * 12 * 64**2
    assert sum(matrix.numel for matrix in SHAPE.matrices) == SHAPE.dense_params
    assert SHAPE.nonzero_params(0.75) == SHAPE.dense_params // 4


def test_a_tokens_machine_flops_are_six_a_matmul_weight_and_causal_attention() -> None:
    # blocks 98304 + head 16384 weights; attention 2 products x 2 FLOPs x 3 (with backward) x w x T/2 a block
    assert SHAPE.machine_flops_per_token() == 6 * (98304 + 16384) + 2 * (2 * 2 * 3 * 64 * 32 / 2)


def test_the_rounding_of_pruned_weights_is_exact_for_groups() -> None:
    assert [pruned_weights(4096, kept / 8) for kept in range(8)] == [512 * kept for kept in range(8)]


def test_a_llama_like_block_has_fewer_keys_and_a_third_matrix_in_its_mlp() -> None:
    # width 32, 4 heads of 8, 2 for keys and values: q and out 2 x 32^2, k and v 2 x 32 x 16; MLP 3 x 32 x 88
    assert LLAMA.dense_params == 2 * (2 * 32**2 + 2 * 32 * 16 + 3 * 32 * 88) == 23_040
    assert sum(matrix.numel for matrix in LLAMA.matrices) == LLAMA.dense_params
    assert [(m.name.split(".")[2], m.outputs, m.inputs) for m in LLAMA.matrices[:5]] == [
        ("qkv", 64, 32),
        ("out", 32, 32),
        ("gate", 88, 32),
        ("up", 88, 32),
        ("down", 32, 88),
    ]


def test_llama_models_have_the_published_number_of_parameters() -> None:
    # Touvron et al. 2023, arXiv:2302.13971, table 2: 6.7B; Meta 2024, Llama 3: 8.03B
    first = GptShape(layers=32, width=4096, heads=32, mlp="gated", mlp_width=11008, vocab=32_000, context=2048)
    assert first.dense_params + first.other_params == 6_738_415_616
    third = GptShape(
        layers=32, width=4096, heads=32, kv_heads=8, mlp="gated", mlp_width=14336, vocab=128_256, context=8192
    )
    assert third.dense_params + third.other_params == 8_030_261_248


def test_a_recipe_of_llama_like_sizes_finds_the_nearest_by_their_own_count() -> None:
    wanted = 2 * (2 * 64**2 + 2 * 64 * 32 + 3 * 64 * 176)
    model = GptModel(
        sizes=DenseGrid(params=(wanted,), layers=2, width_step=16),
        context=32,
        head_width=8,
        queries_per_kv=2,
        mlp="gated",
        mlp_ratio=8 / 3,
    )
    shape = model.shape(0, 0.5, 256)
    assert (shape.width, shape.heads, shape.kv_heads, shape.mlp_width) == (64, 8, 4, 168)
    assert shape.dense_params == pytest.approx(wanted, rel=0.05)


def test_heads_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(ValueError, match="expected kv_heads that divide the 4 heads, found 3"):
        GptShape(layers=2, width=32, heads=4, kv_heads=3, vocab=256, context=32)
    model = GptModel(sizes=ShapeGrid(shapes=(Size(layers=1, width=32),)), context=32, head_width=32, queries_per_kv=2)
    with pytest.raises(ValueError, match="expected heads that queries_per_kv 2 divides, found 1"):
        model.shape(0, 0.0, 256)


def test_a_plain_decoder_is_written_as_before_so_that_its_runs_keep_their_identities() -> None:
    assert msgspec.to_builtins(SHAPE) == {
        "family": "gpt",
        "layers": 2,
        "width": 64,
        "heads": 2,
        "vocab": 256,
        "context": 32,
    }
