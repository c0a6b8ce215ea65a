"""What every model shape is made of: prunable matrices, one rounding rule, usual proportions."""

from typing import Annotated, NamedTuple, TypeVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

MLP_RATIO = 4
Count = Annotated[int, Meta(ge=1)]
FloatOrArray = TypeVar("FloatOrArray", float, NDArray[np.float64])


class Matrix(NamedTuple):
    """One prunable weight, shaped `(outputs, inputs)` as torch's `nn.Linear.weight`; groups n:m run along inputs."""

    name: str
    outputs: int
    inputs: int

    @property
    def numel(self) -> int:
        """Weights in the matrix."""
        return self.outputs * self.inputs


class Images(NamedTuple):
    """What the images of a data set are: `side` x `side` pixels of `channels` values each, in `classes` classes."""

    side: int
    channels: int
    classes: int


Inputs = int | Images
"""What models are given to read: tokens of a vocabulary of so many, or images."""


def pruned_weights(numel: int, sparsity: float) -> int:
    """Weights of a matrix that are zero at a sparsity: the one rounding rule of counts and masks.

    >>> pruned_weights(12, 0.875)
    10
    """
    return round(numel * sparsity)


COMPRESSED_SHARE = 9 / 16
"""Bytes of 2:4 weights in 16 bits over dense ones: of 4 weights, 64 bits, 2 stay, 32 bits, with 2 bits of index each.

Source: NVIDIA, "Accelerating Inference with Sparsity Using the Ampere Architecture" (two-bit indices); torch's
semi-structured tensors state the same compression factor of 9/16 for bfloat16.
"""
TYPICAL_ASPECT = 128
"""Width over layers of large decoders: GPT-3 175B is 12288 / 96, Llama 7B is 4096 / 32."""


def typical_width(dense_params: FloatOrArray) -> FloatOrArray:
    """Width of a decoder of usual proportions, from 12 w^2 a block and w / `TYPICAL_ASPECT` blocks; not rounded.

    Source of the proportions: Brown et al. 2020, arXiv:2005.14165, table 2.1.

    >>> round(typical_width(7e9)), round(typical_width(175e9))
    (4211, 12313)
    """
    width: FloatOrArray = (dense_params * TYPICAL_ASPECT / (4 + 2 * MLP_RATIO)) ** (1.0 / 3.0)
    return width
