"""The sizes of a grid of models: shapes written out, or counts of prunable weights for which shapes are chosen."""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

COUNT_TOLERANCE = 0.25
"""How far the nearest shape may be from a wanted parameter count; the run records the count that it has."""
MAX_WIDTH = 65536
MAX_LAYERS = 1_000

Positive = Annotated[float, Meta(gt=0)]
Layers = Annotated[int, Meta(ge=1, le=MAX_LAYERS)]
ParamsOf = Callable[[int, int], int]
"""Prunable weights of a model of a number of blocks and a width: what a model family says of itself."""


class Size(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dense shape; heads follow from the recipe's `head_width`."""

    layers: Layers
    width: Annotated[int, Meta(ge=8, le=MAX_WIDTH, description="Multiples of 64 on a GPU.")]


class ShapeGrid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="grid", tag="shapes"):
    """Dense shapes, written out; every sparsity is cut from every one of them."""

    shapes: Annotated[tuple[Size, ...], Meta(min_length=1)]

    @property
    def keys(self) -> tuple[tuple[str, int], ...]:
        """Where each size stands in the grid."""
        return tuple(("shapes", index) for index in range(len(self.shapes)))

    def size(self, index: int, _sparsity: float, _params_of: ParamsOf) -> Size:
        """The size at a place."""
        return self.shapes[index]


class _CountGrid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="grid"):
    params: Annotated[tuple[Positive, ...], Meta(min_length=1, description="Prunable parameters.")]
    layers: Annotated[Layers | None, Meta(description="Blocks of every size; or give width_per_layer.")] = None
    width_per_layer: Annotated[Positive | None, Meta(description="Width over blocks, kept about constant.")] = None
    width_step: Annotated[int, Meta(ge=2, le=MAX_WIDTH, description="Widths are multiples of this.")] = 64

    def __post_init__(self) -> None:
        if (self.layers is None) == (self.width_per_layer is None):
            raise ValueError("expected either layers or width_per_layer, so that a count names one shape")

    @property
    def keys(self) -> tuple[tuple[str, int], ...]:
        """Where each size stands in the grid."""
        return tuple(("params", index) for index in range(len(self.params)))

    def _nearest(self, dense_params: float, params_of: ParamsOf) -> Size:
        size = self.nearest(dense_params, params_of)
        found = params_of(size.layers, size.width)
        if abs(found / dense_params - 1.0) > COUNT_TOLERANCE:
            raise ValueError(
                f"expected a shape within {COUNT_TOLERANCE:.0%} of {dense_params:.4g} prunable parameters, the nearest "
                f"has {found:.4g} ({size.layers} blocks of width {size.width}); lower width_step, or write shapes out"
            )
        return size

    def nearest(self, dense_params: float, params_of: ParamsOf) -> Size:
        """The size whose prunable weights are nearest to a count, on a log scale.

        >>> twelve = lambda layers, width: 12 * layers * width**2
        >>> DenseGrid(params=(1,), layers=2, width_step=32).nearest(98304, twelve)
        Size(layers=2, width=64)
        >>> DenseGrid(params=(1,), width_per_layer=64, width_step=64).nearest(85e6, twelve)
        Size(layers=12, width=768)
        """
        options: list[tuple[float, int, int]] = []
        for width in range(self.width_step, MAX_WIDTH + 1, self.width_step):
            layers = self.layers
            if layers is None:
                layers = max(1, round(min(float(MAX_LAYERS), width / (self.width_per_layer or 1.0))))
            ratio = params_of(layers, width) / dense_params
            options.append((max(ratio, 1.0 / ratio), layers, width))
            if ratio > 1:  # counts grow with the width: every later one is further off
                break
        _, layers, width = min(options)
        return Size(layers=layers, width=width)


class DenseGrid(_CountGrid, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="grid", tag="dense"):
    """Parameter counts before pruning."""

    def size(self, index: int, _sparsity: float, params_of: ParamsOf) -> Size:
        """The size nearest to the count at a place.

        Raises:
            ValueError: if none is within `COUNT_TOLERANCE`.
        """
        return self._nearest(self.params[index], params_of)


class NonzeroGrid(_CountGrid, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="grid", tag="nonzero"):
    """Parameter counts that are left after pruning: the law's N. A run at S is cut from a model of N / (1 - S)."""

    def size(self, index: int, sparsity: float, params_of: ParamsOf) -> Size:
        """The size that is nearest to the count at a place once it is pruned to `sparsity`.

        Raises:
            ValueError: if none is within `COUNT_TOLERANCE`.
        """
        return self._nearest(self.params[index] / (1.0 - sparsity), params_of)


Sizes = ShapeGrid | DenseGrid | NonzeroGrid
