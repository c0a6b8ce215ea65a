"""A hardware profile as a typed value: what a device does with dense and with 2:4 weights, and how fast.

A *measured* profile holds times from `sparseplan bench`. A *datasheet* profile holds a vendor's peak figures and an
assumed utilization: an upper bound that no layer reaches. Both answer the same three questions, by the width of the
model: the speed-up of 2:4 over dense, the FLOP/s that training reaches, and which widths the answer rests on.

FLOP/s are counted as the planner counts C: 6 per prunable weight and token. The time of everything else in a block
(attention, norms) is in them, its FLOPs aren't; the head, the optimizer and communication are in neither.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct, field
from numpy.typing import NDArray

from sparseplan.hardware.kernels import Kernel, Positive, Spread, require_rows_once
from sparseplan.shapes.base import COMPRESSED_SHARE, MLP_RATIO

Array = NDArray[np.float64]
Floats = Array | float
Count = Annotated[int, Meta(ge=1)]
Part = Literal["linear", "block"]
Phase = Literal["forward", "training", "inference"]
Batch = Literal["small", "large"]

SMALL_BATCH = 64
"""Inference on at most this many tokens at once is bound by reading the weights: generating text."""
_AGREEMENT = 1.02


class Point(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time of one piece of work, dense and in 2:4, at one width and number of tokens.

    `linear` is the up projection of a block, 4 width outputs of width inputs; `block` a whole transformer block.
    `forward` is the forward pass as trained, compression of the weights included; `training` that and the backward
    pass; `inference` a forward pass with weights compressed beforehand.
    """

    part: Part
    phase: Phase
    width: Annotated[int, Meta(ge=1, le=2**20, description="Width of the residual stream: inputs of the layer.")]
    tokens: Annotated[int, Meta(ge=1, le=2**30, description="Tokens processed at once.")]
    context: Annotated[
        Count | None, Meta(description="Tokens of a sequence, of a block: what its attention looks back on.")
    ] = None
    dense: Annotated[Spread, Meta(description="Seconds with dense weights.")]
    sparse: Annotated[Spread | None, Meta(description="Seconds with 2:4 weights.")] = None
    speedup: Annotated[
        Spread | None,
        Meta(description="Dense over 2:4 seconds: of the medians, and percentiles of repeats side by side."),
    ] = None
    note: Annotated[str, Meta(description="Why there is no 2:4 time.")] = ""

    def __post_init__(self) -> None:
        if self.speedup is not None and self.sparse is None:
            raise ValueError("expected the seconds of 2:4 (sparse) beside its speedup, found none; add them")
        if self.speedup is not None and self.sparse is not None:
            ratio = self.dense.median / self.sparse.median
            if not 1 / _AGREEMENT <= self.speedup.median / ratio <= _AGREEMENT:
                raise ValueError(
                    f"expected as speedup the dense over the sparse seconds ({ratio:.3g}), "
                    f"found {self.speedup.median:.3g}"
                )

    @property
    def gain(self) -> Spread | None:
        """The speed-up of 2:4 as written, else from the medians; None where 2:4 wasn't measured."""
        if self.speedup is not None or self.sparse is None:
            return self.speedup
        return Spread(median=self.dense.median / self.sparse.median)

    @property
    def prunable_params(self) -> int:
        """Weights in the linear layers of the part: 4 w^2 in a layer, 12 w^2 in a block."""
        return (MLP_RATIO if self.part == "linear" else 4 + 2 * MLP_RATIO) * self.width**2

    @property
    def model_flops(self) -> float:
        """FLOPs as the planner counts them: 2 per weight and token forward, 4 backward."""
        return self._flops_per_weight * self.prunable_params * self.tokens

    @property
    def machine_flops(self) -> float:
        """FLOPs with those of causal attention: width x context / 2 products for scores and as many for values."""
        attention = self.width * (self.context or 0) if self.part == "block" else 0
        return self._flops_per_weight * (self.prunable_params + attention) * self.tokens

    @property
    def _flops_per_weight(self) -> float:
        return 6.0 if self.phase == "training" else 2.0


class Hardware(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device."""

    device: Annotated[str, Meta(min_length=1, description="Its name, as its driver gives it.")]
    accelerator: Literal["cuda", "cpu", "other"] = "other"
    capability: Annotated[str, Meta(description="CUDA compute capability, as in 9.0.")] = ""
    memory_bytes: Positive | None = None
    memory_bandwidth: Annotated[Positive | None, Meta(description="Peak bytes per second that its memory reads.")] = (
        None
    )


class TwoToFour(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether this device multiplies 2:4 weights faster at all: the backend that does, or the reason that none does."""

    backend: Annotated[str | None, Meta(description="cusparselt or cutlass; nothing where there is none.")] = None
    reason: str = ""


class _Common(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    format: Annotated[Literal["sparseplan-hardware/1"], Meta(description="This file's format.")]
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    description: str
    hardware: Hardware
    dtype: Annotated[str, Meta(description="Number format of weights and activations.")] = "bfloat16"
    kernels: Annotated[
        list[Kernel],
        Meta(description="What software makes of sparsity here; for its pattern it stands before the rest."),
    ] = field(default_factory=list)


class DatasheetProfile(_Common, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="datasheet"):
    """A vendor's peak figures for one device, and the share of them that training is assumed to reach."""

    peak_flops: Annotated[float, Meta(gt=0, description="Peak dense FLOP/s of one device in `dtype`.")]
    peak_flops_2to4: Annotated[Positive | None, Meta(description="Peak with 2:4 weights, counted as dense.")] = None
    utilization: Annotated[float, Meta(gt=0, le=1, description="Assumed share of the peak that training reaches.")]
    known_as: Annotated[list[str], Meta(description="Device names, as a driver gives them, that this describes.")] = (
        field(default_factory=list)
    )
    source: Annotated[str, Meta(min_length=1, description="Where the figures are printed.")]
    date: Annotated[str, Meta(description="When they were looked up, as in 2026-11.")] = ""

    def __post_init__(self) -> None:
        require_rows_once(self.kernels)
        if self.peak_flops_2to4 is not None and not 1 <= self.peak_flops_2to4 / self.peak_flops <= 2:
            raise ValueError(
                "peak_flops_2to4: expected between 1 and 2 times peak_flops, since 2:4 leaves half of the products, "
                f"found {self.peak_flops_2to4 / self.peak_flops:.3g} times"
            )


class MeasuredProfile(_Common, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="measured"):
    """What `sparseplan bench` measured on one device."""

    peak_flops: Annotated[Positive | None, Meta(description="Peak dense FLOP/s, for utilization.")] = None
    two_to_four: TwoToFour
    points: Annotated[list[Point], Meta(min_length=1, max_length=10_000)]
    date: str = ""
    driver: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    provenance: Annotated[dict[str, str], Meta(description="How it was measured.")] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_rows_once(self.kernels)
        seen: set[tuple[str, str, int, int]] = set()
        for index, point in enumerate(self.points):
            key = (point.part, point.phase, point.width, point.tokens)
            if key in seen:
                where = f"{point.part} {point.phase} at width {point.width} and {point.tokens} tokens"
                raise ValueError(f"points[{index}]: expected each piece of work once, found {where} twice; remove one")
            seen.add(key)


Profile = DatasheetProfile | MeasuredProfile


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A quantity by width: linear in the logarithm of the width between points, constant beyond the outermost.

    Attributes:
        widths: Measured widths, ascending, shape (n,); None where the quantity is the same at every width.
        median: Values, shape (n,), or (1,) for a constant.
        low: Percentile 10 of the values, same shape.
        high: Percentile 90.
    """

    widths: Array | None
    median: Array
    low: Array
    high: Array

    def at(self, width: Floats) -> Array:
        """The median at any widths, of their shape."""
        return self._interpolated(self.median, width)

    def spread_at(self, width: float) -> Spread:
        """Median, low and high at one width."""
        median, low, high = (float(self._interpolated(values, width)) for values in (self.median, self.low, self.high))
        return Spread(median=median, low=min(low, median), high=max(high, median))

    def _interpolated(self, values: Array, width: Floats) -> Array:
        w = np.asarray(width, dtype=np.float64)
        if self.widths is None:
            return np.full(w.shape, values[0])
        return np.asarray(np.interp(np.log(w), np.log(self.widths), values))


def speedup(profile: Profile, phase: Phase, batch: Batch = "large", *, part: Part | None = None) -> Curve | None:
    """The speed-up of 2:4 over dense by width; None where the device doesn't accelerate 2:4 or it wasn't measured.

    A measured training speed-up is that of a whole block where there is one, else of a layer, and inference that of a
    layer; each at the largest number of tokens (the smallest, for a small batch). `part` asks for one of the two.

    A datasheet's is derived from its peaks with ratio r. Forward and inference on a large batch: r. Training: of the
    three products forward, by inputs and by weights only the first takes compressed weights, so 3 / (2 + 1/r), 1.2 for
    r = 2. Inference on a small batch reads weights, and 2:4 in 16 bits is 9/16 of the bytes: 16/9.
    """
    if isinstance(profile, DatasheetProfile):
        if profile.peak_flops_2to4 is None:
            return None
        ratio = profile.peak_flops_2to4 / profile.peak_flops
        if phase == "training":
            return _constant(3.0 / (2.0 + 1.0 / ratio))
        return _constant(1.0 / COMPRESSED_SHARE if phase == "inference" and batch == "small" else ratio)
    order: tuple[Part, ...] = ("block", "linear") if phase == "training" else ("linear", "block")
    for candidate in order if part is None else (part,):
        points = _one_a_width(
            [p for p in profile.points if p.part == candidate and p.phase == phase and p.gain is not None], batch
        )
        if points:
            gains = [point.gain for point in points if point.gain is not None]
            return _curve(points, gains)
    return None


def training_rate(profile: Profile) -> Curve | None:
    """Model FLOP/s of dense training by width, from whole blocks where there are any; None where not measured."""
    if isinstance(profile, DatasheetProfile):
        return _constant(profile.peak_flops * profile.utilization)
    return _per_second(profile, lambda point: point.model_flops)


def inference_rate(profile: Profile, tokens: float | None = None, utilization: float | None = None) -> Curve | None:
    """FLOP/s of dense inference by width, 2 per weight and token; None where not measured.

    Each step reads all weights once, 2 bytes each, for `tokens` at once, so that at most `tokens` FLOPs come to a byte:
    the peak bandwidth times `tokens` is the most that a datasheet can promise.

    Args:
        profile: The device.
        tokens: How many are processed at once; None for so many that multiplying is the limit.
        utilization: Share of the peak that multiplying reaches, in place of the datasheet's.
    """
    if isinstance(profile, DatasheetProfile):
        rate = profile.peak_flops * (utilization or profile.utilization)
        bandwidth = profile.hardware.memory_bandwidth
        if tokens is not None and bandwidth is not None:
            rate = min(rate, tokens * bandwidth)
        return _constant(rate)
    return _per_second(profile, lambda point: point.model_flops, "inference", batch_of(tokens))


def batch_of(tokens: float | None) -> Batch:
    """Whether reading the weights or multiplying bounds inference on some tokens at once."""
    return "small" if tokens is not None and tokens <= SMALL_BATCH else "large"


def training_utilization(profile: Profile) -> Curve | None:
    """Share of the peak that dense training reaches, by width, the FLOPs of attention counted; None where unknown.

    Source: model FLOPs utilization, Chowdhery et al. 2022, arXiv:2204.02311, appendix B.
    """
    if isinstance(profile, DatasheetProfile):
        return _constant(profile.utilization)
    peak = profile.peak_flops
    return None if peak is None else _per_second(profile, lambda point: point.machine_flops / peak)


def _per_second(
    profile: MeasuredProfile, work: Callable[[Point], float], phase: Phase = "training", batch: Batch = "large"
) -> Curve | None:
    """Work per second of a dense phase by width, from whole blocks where there are any."""
    for part in ("block", "linear"):
        points = _one_a_width([p for p in profile.points if p.part == part and p.phase == phase], batch)
        if points:
            spreads = []
            for point in points:
                low, high = point.dense.ends
                done = work(point)
                spreads.append(Spread(median=done / point.dense.median, low=done / high, high=done / low))
            return _curve(points, spreads)
    return None


def _one_a_width(points: list[Point], batch: Batch) -> list[Point]:
    """The point with most tokens at each width, ascending; for a small batch, the fewest, at most `SMALL_BATCH`."""
    large = batch == "large"
    eligible = [point for point in points if (point.tokens > SMALL_BATCH) == large]
    chosen: dict[int, Point] = {}
    for point in sorted(eligible, key=lambda point: point.tokens, reverse=large):
        chosen.setdefault(point.width, point)
    return [chosen[width] for width in sorted(chosen)]


def _constant(value: float) -> Curve:
    values = np.array([value])
    return Curve(widths=None, median=values, low=values, high=values)


def _curve(points: list[Point], spreads: list[Spread]) -> Curve:
    return Curve(
        widths=np.array([point.width for point in points], dtype=np.float64),
        median=np.array([spread.median for spread in spreads]),
        low=np.array([spread.ends[0] for spread in spreads]),
        high=np.array([spread.ends[1] for spread in spreads]),
    )
