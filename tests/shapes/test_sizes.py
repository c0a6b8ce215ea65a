"""Claims about sizes: which shape a count of weights means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.sizes import COUNT_TOLERANCE, DenseGrid, NonzeroGrid, ShapeGrid, Size


@given(layers=st.integers(1, 40), step=st.sampled_from([16, 32, 64]), count=st.floats(1e7, 1e10))
def test_the_nearest_shape_is_within_the_tolerance_wherever_widths_are_fine_enough(
    layers: int, step: int, count: float
) -> None:
    grid = DenseGrid(params=(count,), layers=layers, width_step=step)
    size = grid.nearest(count, GptShape.prunable_params)
    assert size.layers == layers
    ratio = 12 * layers * size.width**2 / count
    # neighbouring widths v < w differ by (w / v)^2 in count, so the nearer of them is within w / v
    assert max(ratio, 1 / ratio) <= size.width / (size.width - step)
    assert size.width % step == 0


def test_counts_before_and_after_pruning_name_the_same_shape_at_the_density_between_them() -> None:
    dense = DenseGrid(params=(98304,), layers=2, width_step=16)
    nonzero = NonzeroGrid(params=(24576,), layers=2, width_step=16)
    wanted = Size(layers=2, width=64)  # 2 x 12 x 64^2 = 98304, of which a quarter is left at S = 0.75
    assert dense.size(0, 0.75, GptShape.prunable_params) == nonzero.size(0, 0.75, GptShape.prunable_params) == wanted
    assert ShapeGrid(shapes=(wanted,)).size(0, 0.75, GptShape.prunable_params) == wanted


def test_a_count_without_a_near_shape_is_refused_with_the_nearest() -> None:
    coarse = DenseGrid(params=(5e5,), layers=1, width_step=512)
    with pytest.raises(ValueError, match=r"the nearest has 3\.146e\+06 \(1 blocks of width 512\)"):
        coarse.size(0, 0.0, GptShape.prunable_params)
    assert COUNT_TOLERANCE == 0.25
