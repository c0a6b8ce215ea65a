"""Shapes of encoder-decoders: what counts, and how much text a sequence takes."""

import math

import pytest

from sparseplan.shapes.sizes import DenseGrid, ShapeGrid, Size
from sparseplan.shapes.t5 import T5Model, T5Shape, spans_for
from tests.helpers.specs import T5


def test_the_linear_layers_of_t5_base_are_twenty_eight_squared_widths_a_layer() -> None:
    # t5x, T5.1.1 base: 12 + 12 layers, width 768, 12 heads of 64, MLPs of 2048; counted in arXiv:2309.08520 without
    # embedding, head, norms and relative positions
    base = T5Shape(layers=12, width=768, heads=12, mlp_width=2048, vocab=32_000, context=512)
    encoder = 4 * 768**2 + 3 * 768 * 2048
    decoder = 8 * 768**2 + 3 * 768 * 2048
    assert base.dense_params == 12 * (encoder + decoder) == 12 * 28 * 768**2 == 198_180_864
    assert sum(matrix.numel for matrix in base.matrices) == base.dense_params
    assert len(base.matrices) == 12 * 7 + 12 * 11


def test_what_is_never_pruned_is_embedding_head_relative_positions_and_norms() -> None:
    # 256 bytes, start, end, 3 sentinels; 32 buckets x 2 heads a stack; 2 norms an encoder block, 3 a decoder's, 1 each
    assert T5.tokens == 256 + 2 + 3
    assert T5.other_params == 2 * 261 * 32 + 2 * 32 * 2 + (2 * 2 + 3 * 2 + 2) * 32
    assert T5.loss_of_a_guess == math.log(261)
    assert (T5.start_token, T5.end_token, T5.first_sentinel) == (256, 257, 260)


@pytest.mark.parametrize(
    ("inputs", "window", "noise", "spans", "targets"),
    [
        (512, 568, 85, 28, 114),  # as t5/data/preprocessors.py documents for C4
        (64, 70, 10, 3, 14),  # round(10.5) = 10: half to even, as Python's round there
    ],
)
def test_a_window_is_the_most_text_whose_inputs_fit(
    inputs: int, window: int, noise: int, spans: int, targets: int
) -> None:
    found = spans_for(inputs)
    assert found == (window, noise, spans)
    assert (found.inputs, found.targets) == (inputs, targets)


def test_d_counts_inputs_and_epochs_count_the_text_behind_them() -> None:
    assert (T5.tokens_per_sequence, T5.data_per_sequence, T5.entries_per_sequence) == (64, 64, 70)


def test_a_recipe_chooses_the_shape_nearest_to_a_count_with_mlps_in_multiples_of_eight() -> None:
    model = T5Model(sizes=ShapeGrid(shapes=(Size(layers=2, width=32),)), context=64, head_width=16)
    assert model.mlp_width(32) == 88  # 8/3 x 32 = 85.3
    assert model.shape(0, 0.5, 256) == T5
    wanted = 2 * (12 * 48**2 + 6 * 48 * 128)
    grid = T5Model(sizes=DenseGrid(params=(wanted,), layers=2, width_step=16), context=64, head_width=16)
    assert (grid.shape(0, 0.5, 256).width, grid.shape(0, 0.5, 256).dense_params) == (48, wanted)
