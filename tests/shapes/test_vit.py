"""Shapes of vision transformers: what counts, what doesn't, and what patches make of D."""

import math

import pytest

from sparseplan.shapes.base import Images
from sparseplan.shapes.sizes import ShapeGrid, Size
from sparseplan.shapes.vit import VitModel, VitShape
from tests.helpers.specs import VIT


def test_the_papers_vit_has_twelve_squared_widths_a_block_and_196_patches() -> None:
    # arXiv:2309.08520: N = 12 (12 x 768^2) for ViT-B, 196 tokens an image of 224 pixels in patches of 16
    shape = VitShape(layers=12, width=768, heads=12, side=224, channels=3, patch=16, classes=1000, pooling="map")
    assert shape.dense_params == sum(matrix.numel for matrix in shape.matrices) == 12 * 12 * 768**2 == 84_934_656
    assert shape.tokens_per_sequence == 14 * 14 == 196
    assert shape.data_per_sequence == shape.entries_per_sequence == 1


def test_patches_places_norms_pooling_and_head_are_counted_apart() -> None:
    # 4 values a patch x 32, 16 places x 32, 5 norms x 32, head 10 x 32
    mean = 4 * 32 + 16 * 32 + 5 * 32 + 10 * 32
    assert VIT.pooling == "mean"
    assert VIT.other_params == mean
    pooled = VitShape(layers=2, width=32, heads=2, side=8, channels=1, patch=2, classes=10, pooling="map")
    # a query of 32, its norm, 4 w^2 of attention and 8 w^2 of an MLP, none of them in N
    assert pooled.other_params == mean + 32 + 32 + 12 * 32**2
    assert pooled.matrices == VIT.matrices


def test_a_guess_among_the_classes_loses_their_logarithm_an_image() -> None:
    assert VIT.loss_of_a_guess == math.log(10)
    assert VIT.loss_per("image") == "image"


def test_a_patch_that_does_not_divide_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a patch that divides the images' side 8, found 3"):
        VitShape(layers=1, width=32, heads=2, side=8, channels=1, patch=3, classes=10, pooling="mean")


def test_a_recipe_takes_side_channels_and_classes_from_the_data() -> None:
    model = VitModel(sizes=ShapeGrid(shapes=(Size(layers=2, width=32),)), patch=2, head_width=16, pooling="mean")
    assert model.shape(0, 0.5, Images(side=8, channels=1, classes=10)) == VIT


@pytest.mark.parametrize(("sparsity", "left"), [(0.5, 12_288), (0.75, 6144), (0.875, 3072)])
def test_every_pattern_of_four_and_eight_divides_the_inputs_of_every_matrix(sparsity: float, left: int) -> None:
    assert VIT.nonzero_params(sparsity) == left  # of 2 x 12 x 32^2 = 24,576
    assert all(matrix.inputs % 8 == 0 for matrix in VIT.matrices)
