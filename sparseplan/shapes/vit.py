"""Vision transformers: attention among all patches of an image, trained to name its class.

An image of side s is cut into (s / patch)^2 patches, each a token; D counts images. The blocks are those of the other
families without rotation: places are learned. The embedding of patches, places, pooling and the head are never pruned
and not counted in N, as in Frantar et al. 2023, arXiv:2309.08520, where N counts the blocks only.
"""

import math
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from sparseplan.shapes.base import MLP_RATIO, Images, Inputs
from sparseplan.shapes.transformer import BlockStack, StackModel

Pooling = Annotated[
    Literal["map", "mean"],
    Meta(
        description="How patches become one vector: a learned query attends to them, with an MLP behind (MAP, Zhai et "
        "al. 2021, arXiv:2106.04560), or their mean (Beyer et al. 2022, arXiv:2205.01580)."
    ),
]
Patch = Annotated[int, Meta(ge=1, le=4096, description="Side of a patch in pixels; it divides an image's.")]


class VitShape(BlockStack, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="vit"):
    """An image classifier: pre-norm, learned places, no biases.

    >>> shape = VitShape(layers=12, width=768, heads=12, side=224, channels=3, patch=16, classes=1000, pooling="map")
    >>> shape.tokens_per_sequence, shape.dense_params == 12 * 12 * 768**2
    (196, True)
    """

    side: Annotated[int, Meta(ge=1, le=65536, description="Side of an image in pixels.")]
    channels: Annotated[int, Meta(ge=1, le=1024, description="Values of a pixel.")]
    patch: Patch
    classes: Annotated[int, Meta(ge=2, le=256, description="Classes of images.")]
    pooling: Pooling

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side % self.patch:
            raise ValueError(f"expected a patch that divides the images' side {self.side}, found {self.patch}")

    @property
    def patch_values(self) -> int:
        """Numbers of a patch, all channels."""
        return self.channels * self.patch**2

    @property
    def tokens_per_sequence(self) -> int:
        """Patches of an image: the tokens that the blocks see."""
        return (self.side // self.patch) ** 2

    @property
    def data_per_sequence(self) -> int:
        """What one sequence adds to D: an image."""
        return 1

    @property
    def entries_per_sequence(self) -> int:
        """Entries of the training data that one sequence is made of: an image."""
        return 1

    @property
    def other_params(self) -> int:
        """What is never pruned: embedding of patches and places, norms, head, and what pools.

        Pooling by a query has that query, 4 w^2 of attention, a norm and 8 w^2 of an MLP.
        """
        w = self.width
        embedding = (self.patch_values + self.tokens_per_sequence) * w
        pool = (4 + 2 * MLP_RATIO) * w * w + 2 * w if self.pooling == "map" else 0
        return embedding + (2 * self.layers + 1) * w + pool + self.classes * w

    @property
    def loss_of_a_guess(self) -> float:
        """Loss in nats of a model that takes every class for equally likely."""
        return math.log(self.classes)

    @staticmethod
    def loss_per(data_unit: str) -> str:
        """What the loss is a mean over: every image."""
        return data_unit

    def machine_flops_per_token(self) -> float:
        """FLOPs of one patch's forward and backward pass as a dense machine does them, for utilization.

        6 per weight of the blocks, 12 w T per block for attention in both directions (PaLM, arXiv:2204.02311,
        appendix B); 4 per weight of the embedding, whose inputs need no gradient. What is done once an image, the head
        and pooling's MLP, counts for a T-th; pooling's keys and values are made of every patch.
        """
        w, T = self.width, self.tokens_per_sequence
        blocks = 6.0 * self.dense_params + 12.0 * self.layers * w * T
        once = 6.0 * self.classes * w
        pool = 0.0
        if self.pooling == "map":
            pool = 6.0 * 2 * w * w + 12.0 * w
            once += 6.0 * (2 + 2 * MLP_RATIO) * w * w
        return blocks + 4.0 * self.patch_values * w + pool + once / T


class VitModel(StackModel, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="vit"):
    """Image classifiers of a recipe."""

    reads: ClassVar[type] = Images

    patch: Patch
    pooling: Pooling = "map"

    def shape(self, index: int, sparsity: float, inputs: Inputs) -> VitShape:
        """The shape that the size at `index` of the grid means at a sparsity, for images.

        Raises:
            ValueError: if there is none.
        """
        assert isinstance(inputs, Images), "a recipe's data are checked against what its family reads"
        size = self.sizes.size(index, sparsity, VitShape.prunable_params)
        return VitShape(
            layers=size.layers,
            width=size.width,
            heads=self.heads(size),
            side=inputs.side,
            channels=inputs.channels,
            patch=self.patch,
            classes=inputs.classes,
            pooling=self.pooling,
        )
