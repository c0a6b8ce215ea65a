"""A semi-structured product without a GPU."""

from typing import NamedTuple

import pytest

pytest.importorskip("torch")

from torch import Tensor
from torch.nn import functional


class Compressed(NamedTuple):
    """Half the weights, and where in its group of four each one was."""

    values: Tensor
    positions: Tensor


class Reference:
    """Compressed 2:4 in plain torch: keep two of four with their positions, scatter them back to multiply."""

    def __init__(self) -> None:
        self.products = 0

    def compress(self, weight: Tensor) -> Compressed:
        groups = weight.reshape(weight.shape[0], -1, 4)
        positions = groups.abs().topk(2, dim=2).indices
        values = groups.gather(2, positions)
        return Compressed(values, positions)

    def linear(self, x: Tensor, compressed: Compressed) -> Tensor:
        self.products += 1
        rows, groups, _ = compressed.values.shape
        spread = compressed.values.new_zeros(rows, groups, 4)
        weight = spread.scatter(2, compressed.positions, compressed.values).view(rows, groups * 4)
        return functional.linear(x, weight)
