"""What is timed: a layer or a block, dense and 2:4, checked against each other before any timing.

Weights are float32 masters and products run in the device's training dtype, as in training. Dense and 2:4 work on
weights of their own, drawn anew for every case; inputs are several and take turns. Inference reads weights that are in
the training dtype (or compressed) beforehand; on few tokens it goes through enough copies of them to miss the cache,
as a model of many layers does.

Shapes: B sequences, T tokens, W width.
"""

import math
from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparseplan.hardware.bench.protocol import BLOCK_CONTEXT, Case
from sparseplan.hardware.profile import SMALL_BATCH, Point
from sparseplan.shapes.base import MLP_RATIO
from sparseplan.shapes.gpt import GptShape
from sparseplan.train.bench.device import BackendChoice, two_of_four
from sparseplan.train.bench.timing import Work, compare
from sparseplan.train.models.base import PrunableLinear
from sparseplan.train.models.transformer import Block, rotary_tables
from sparseplan.train.semi_structured import SIDE_MULTIPLE, Backend, sparse_linear

HEAD_WIDTH = 64
INPUTS = 3
CHECK_ROWS = 256
MOST_COPIES = 64
ERROR_RATIO = 2.0
"""The 2:4 result may be this many times further from the exact one than the dense result in the same dtype."""

Compute = Callable[[Tensor], Tensor]


class Bench:
    """Times cases on one device, with products in `dtype` and about `seconds` of repeats a case."""

    def __init__(self, *, device: torch.device, dtype: torch.dtype, found: BackendChoice, seconds: float) -> None:
        self._device, self._dtype, self._found, self._seconds = device, dtype, found, seconds

    def measure(self, case: Case) -> Point:
        """Check that dense and 2:4 agree, then time both; only dense where 2:4 can't run or is wrong."""
        make = self._layer if case.part == "linear" else self._block
        note = ""
        sparse: Work | None = None
        if self._found.backend is not None:
            if case.width % SIDE_MULTIPLE:
                note = f"2:4 products need widths in multiples of {SIDE_MULTIPLE}"
            else:
                note = self._fault(case)
                sparse = make(case, self._found.backend) if not note else None
        timing = compare(make(case, None), sparse, seconds=self._seconds, device=self._device)
        return Point(
            part=case.part,
            phase=case.phase,
            width=case.width,
            tokens=case.tokens,
            context=min(case.tokens, BLOCK_CONTEXT) if case.part == "block" else None,
            dense=timing.dense,
            sparse=timing.sparse,
            speedup=timing.speedup,
            note=note,
        )

    def _fault(self, case: Case) -> str:
        """What is wrong with 2:4 products of this case's shape; empty where nothing is."""
        backend = self._found.backend
        assert backend is not None
        try:
            if case.part == "linear":
                return layer_fault(self._weight(case.width, sparse=True), backend, dtype=self._dtype)
            block = self._fresh_block(case.width, sparse=True)
            return block_fault(block, backend, dtype=self._dtype)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, NotImplementedError) as problem:  # a shape that the backend doesn't take
            return f"2:4 products fail: {str(problem).splitlines()[0]}"

    def _weight(self, width: int, *, sparse: bool) -> Tensor:
        weight = torch.randn(MLP_RATIO * width, width, device=self._device) / math.sqrt(width)
        if sparse:
            weight *= two_of_four(weight)
        return weight

    def _inputs(self, *shape: int, dtype: torch.dtype | None = None) -> list[Tensor]:
        return [torch.randn(*shape, device=self._device, dtype=dtype or self._dtype) for _ in range(INPUTS)]

    def _copies(self, tokens: int, weight_bytes: float) -> int:
        """How many copies of a weight inference takes turns in."""
        if tokens > SMALL_BATCH or self._device.type != "cuda":
            return 1
        cache = torch.cuda.get_device_properties(self._device).L2_cache_size
        return int(min(MOST_COPIES, 1 + 3 * cache // weight_bytes))

    def _layer(self, case: Case, backend: Backend | None) -> Work:
        sparse = backend is not None
        if case.phase == "inference":
            count = self._copies(case.tokens, 2.0 * MLP_RATIO * case.width**2)
            ready: list[Any] = [self._weight(case.width, sparse=sparse).to(self._dtype) for _ in range(count)]
            if backend is not None:
                ready = [backend.compress(weight) for weight in ready]
            multiply = functional.linear if backend is None else backend.linear
            turns, inputs = cycle(ready), cycle(self._inputs(case.tokens, case.width))
            return torch.inference_mode()(lambda: multiply(next(inputs), next(turns)))
        weight = self._weight(case.width, sparse=sparse)
        if case.phase == "forward":
            inputs = cycle(self._inputs(case.tokens, case.width))
            return self._forward(lambda x: product(x, weight, backend), inputs)
        parameter = nn.Parameter(weight)
        inputs = cycle([x.requires_grad_() for x in self._inputs(case.tokens, case.width)])
        upstream = torch.randn(case.tokens, MLP_RATIO * case.width, device=self._device, dtype=self._dtype)
        masks = [(parameter, weight != 0)] if sparse else []
        return self._training(lambda x: product(x, parameter, backend), inputs, upstream, [parameter], masks)

    def _block(self, case: Case, backend: Backend | None) -> Work:
        block = self._fresh_block(case.width, sparse=backend is not None)
        context = min(case.tokens, BLOCK_CONTEXT)
        cos, sin = rotation(case.width, context, self._device)
        stream = self._dtype if case.phase == "inference" else torch.float32  # the residual stream under autocast
        inputs = self._inputs(case.tokens // context, context, case.width, dtype=stream)
        if case.phase == "inference":
            block = block.to(self._dtype)
            for layer in linears(block):
                layer.backend = None if backend is None else Compressed(backend, layer.weight.detach())
            turns = cycle(inputs)
            return torch.inference_mode()(lambda: block(next(turns), (cos, sin)))
        for layer in linears(block):
            layer.backend = backend
        if case.phase == "forward":
            return self._forward(lambda x: block(x, (cos, sin)), cycle(inputs))
        masks = [(weight, weight.detach() != 0) for weight in prunable(block)] if backend is not None else []
        upstream = torch.randn_like(inputs[0])
        for x in inputs:
            x.requires_grad_()
        return self._training(lambda x: block(x, (cos, sin)), cycle(inputs), upstream, list(block.parameters()), masks)

    def _fresh_block(self, width: int, *, sparse: bool) -> Block:
        shape = GptShape(layers=1, width=width, heads=width // head_width(width), vocab=2, context=BLOCK_CONTEXT)
        block = Block(shape, causal=True).to(self._device)
        with torch.no_grad():
            for layer in linears(block):
                layer.weight.normal_(0.0, layer.in_features**-0.5)
                if sparse:
                    layer.weight.mul_(two_of_four(layer.weight))
        return block

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._dtype == torch.bfloat16)

    def _forward(self, compute: Compute, inputs: "cycle[Tensor]") -> Work:
        def work() -> None:
            with torch.no_grad(), self._autocast():
                compute(next(inputs))

        return work

    def _training(
        self,
        compute: Compute,
        inputs: "cycle[Tensor]",
        upstream: Tensor,
        parameters: list[nn.Parameter],
        masks: list[tuple[nn.Parameter, Tensor]],
    ) -> Work:
        """Forward and backward; gradients of 2:4 weights pass the masks, and all are dropped before the next time."""

        def work() -> None:
            x = next(inputs)
            for parameter in parameters:
                parameter.grad = None
            with self._autocast():
                y = compute(x)
            torch.autograd.backward(y, upstream.to(y.dtype))
            for parameter, mask in masks:
                assert parameter.grad is not None
                parameter.grad.mul_(mask)
            x.grad = None

        return work


class Compressed:
    """A backend for inference: the weight was compressed once, beforehand."""

    def __init__(self, backend: Backend, weight: Tensor) -> None:
        self._backend, self._shape, self._packed = backend, weight.shape, backend.compress(weight)

    def compress(self, weight: Tensor) -> Any:
        """Give what was compressed beforehand."""
        assert weight.shape == self._shape
        return self._packed

    def linear(self, x: Tensor, compressed: Any) -> Tensor:
        """Multiply."""
        return self._backend.linear(x, compressed)


def head_width(width: int) -> int:
    """Width of an attention head: 64, or what divides a narrower model."""
    return HEAD_WIDTH if width % HEAD_WIDTH == 0 else width


def rotation(width: int, context: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary positions of a block's queries and keys, on the device."""
    turned = 2 * (width // head_width(width))
    cos, sin = rotary_tables(context, heads=turned, head_width=head_width(width))
    return cos.to(device), sin.to(device)


def linears(block: Block) -> list[PrunableLinear]:
    """The prunable layers of a block."""
    return [module for module in block.modules() if isinstance(module, PrunableLinear)]


def prunable(block: Block) -> list[nn.Parameter]:
    """Their weights."""
    names = [name for name, module in block.named_modules() if isinstance(module, PrunableLinear)]
    return [block.get_parameter(f"{name}.weight") for name in names]


def product(x: Tensor, weight: Tensor, backend: Backend | None) -> Tensor:
    """`x @ weight.T`, dense or on the compressed weight."""
    return functional.linear(x, weight) if backend is None else sparse_linear(x, weight, backend)


def layer_fault(weight: Tensor, backend: Backend, *, dtype: torch.dtype) -> str:
    """How 2:4 products with a weight differ from the exact ones, forward and backward; empty where they agree.

    Result, gradient by inputs and gradient by weights are compared with float64, and may be off by `ERROR_RATIO` times
    what dense products in the same dtype are off by.
    """
    x = torch.randn(CHECK_ROWS, weight.shape[1], device=weight.device, dtype=dtype)
    dy = torch.randn(CHECK_ROWS, weight.shape[0], device=weight.device, dtype=dtype)
    cast = weight.to(dtype)
    exact = _with_gradients(functional.linear, x.double(), cast.double(), dy.double())
    dense = _with_gradients(functional.linear, x, cast, dy)
    sparse = _with_gradients(lambda x, w: sparse_linear(x, w, backend), x, cast, dy)
    for name, right, near, tried in zip(
        ("product", "input gradient", "weight gradient"), exact, dense, sparse, strict=True
    ):
        scale = right.abs().max()
        off, allowed = (tried.double() - right).abs().max(), (near.double() - right).abs().max()
        if not off <= ERROR_RATIO * torch.maximum(allowed, torch.finfo(dtype).eps * scale):  # NaN counts as wrong
            return f"the 2:4 {name} is wrong: off by {off:.2g}, dense by {allowed:.2g}"
    return ""


def _with_gradients(
    compute: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor, dy: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    y = compute(x, weight)
    dx, dw = torch.autograd.grad(y, (x, weight), dy)
    return y.detach(), dx, dw


def block_fault(block: Block, backend: Backend, *, dtype: torch.dtype) -> str:
    """How a block with 2:4 products differs from itself in float32, beyond what it does with dense ones."""
    width = block.qkv.in_features
    cos, sin = rotation(width, CHECK_ROWS, block.qkv.weight.device)
    x = torch.randn(1, CHECK_ROWS, width, device=block.qkv.weight.device)

    def result(kind: Backend | None, *, exact: bool) -> Tensor:
        for layer in linears(block):
            layer.backend = kind
        with torch.no_grad(), torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=not exact):
            y: Tensor = block(x, (cos, sin))
        return y.float()

    low = dtype != torch.bfloat16
    right, near, tried = result(None, exact=True), result(None, exact=low), result(backend, exact=low)
    off, allowed, size = ((y - right).norm() for y in (tried, near, torch.zeros_like(right)))
    if not off <= ERROR_RATIO * torch.maximum(allowed, torch.finfo(dtype).eps * size):
        return (
            f"a block with 2:4 products is wrong: off by {off / size:.2g} of its result, dense by {allowed / size:.2g}"
        )
    return ""
