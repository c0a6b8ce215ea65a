"""Shapes of decoders, without torch."""

from sparseplan.shapes.base import pruned_weights
from tests.helpers.specs import SHAPE


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
