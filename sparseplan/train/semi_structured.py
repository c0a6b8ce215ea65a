"""2:4 products on sparse tensor cores: a compressed weight in the forward pass, dense products in the backward pass.

The mask is exactly 2:4 only once the ramp has ended, so this is for the last phase of a run, where a check on the
device at hand finds it right and faster (`choose`); elsewhere 2:4 is trained by masks, like every other pattern.
Compression doesn't check the pattern, so we do; it is done anew for every product, since every update moves the weight.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

MIN_CAPABILITY = (8, 0)
SIDE_MULTIPLE = 64
SPEED_MARGIN = 1.02
"""How much faster the sparse step has to be before it is used."""


class Backend(Protocol):
    """Compresses a 2:4 weight and multiplies with it."""

    def compress(self, weight: Tensor) -> Any:
        """Compress a `(outputs, inputs)` weight of which every 4 consecutive inputs have at most 2 non-zeros."""

    def linear(self, x: Tensor, compressed: Any) -> Tensor:
        """`x @ weight.T` for `x` of shape `(rows, inputs)`."""


class CuSparseLt:
    """torch's semi-structured tensors on cuSPARSELt, the one backend that runs on Hopper."""

    def __init__(self) -> None:
        warnings.filterwarnings("ignore", message="The PyTorch API of SparseSemiStructuredTensor is in prototype")

    def compress(self, weight: Tensor) -> Any:
        """Compress a bfloat16 CUDA weight."""
        from torch.sparse import SparseSemiStructuredTensorCUSPARSELT  # noqa: PLC0415  absent in CPU-only builds

        return SparseSemiStructuredTensorCUSPARSELT.from_dense(weight)

    def linear(self, x: Tensor, compressed: Any) -> Tensor:
        """Multiply on sparse tensor cores."""
        return torch.nn.functional.linear(x, compressed)


class SparseForward(torch.autograd.Function):
    """`x @ weight.T` with the weight compressed; gradients by dense products, since the weight itself stays dense."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, backend: Backend) -> Tensor:
        """Compress and multiply; `x` is `(..., inputs)`, `weight` `(outputs, inputs)` and 2:4."""
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        rows, cast = x.reshape(-1, x.shape[-1]).to(dtype), weight.to(dtype)
        ctx.save_for_backward(rows, cast)
        ctx.weight_dtype, ctx.x_dtype, ctx.x_shape = weight.dtype, x.dtype, x.shape
        # torch 2.11 gives the product transposed in memory, for which fused attention falls back to a slower one
        product = backend.linear(rows, backend.compress(cast)).contiguous()
        return product.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """dX = dY W and dW = dY' X, dense; the masks of the loop take the zeros out of dW."""
        rows, weight = ctx.saved_tensors
        dy = grads[0].reshape(-1, weight.shape[0]).to(rows.dtype)
        dx = (dy @ weight).view(ctx.x_shape).to(ctx.x_dtype)
        return dx, (dy.t() @ rows).to(ctx.weight_dtype), None


def sparse_linear(x: Tensor, weight: Tensor, backend: Backend) -> Tensor:
    """`x @ weight.T` on the compressed weight, differentiable in both."""
    product: Tensor = SparseForward.apply(x, weight, backend)  # type: ignore[no-untyped-call]
    return product


class Choice(NamedTuple):
    """Whether 2:4 products are used, and why or why not."""

    use: bool
    reason: str


def is_two_four(mask: Tensor) -> bool:
    """Whether every four consecutive inputs keep at most two."""
    return mask.shape[1] % 4 == 0 and bool((mask.view(mask.shape[0], -1, 4).sum(-1) <= 2).all())


def why_unsupported(masks: list[Tensor], *, device: torch.device, dtype: torch.dtype) -> str | None:
    """What rules 2:4 products out before anything is measured; None where nothing does."""
    if not all(is_two_four(mask) for mask in masks):
        return "the pattern is not within 2:4"
    if device.type != "cuda":
        return f"no 2:4 products on {device.type}"
    if torch.cuda.get_device_capability(device) < MIN_CAPABILITY:
        return f"no sparse tensor cores on {torch.cuda.get_device_name(device)}"
    if dtype != torch.bfloat16:
        return "2:4 products need bfloat16"
    if any(side % SIDE_MULTIPLE for mask in masks for side in mask.shape):
        return f"2:4 products need sides in multiples of {SIDE_MULTIPLE}"
    return None


def numeric_mismatch(backend: Backend, weights: list[Tensor], *, rows: int, dtype: torch.dtype) -> str | None:
    """How the backend's products differ from dense ones beyond rounding; None where they agree.

    One weight of every shape is multiplied with fresh random inputs, forward and backward, and compared with float64:
    the sparse error may be at most twice the dense one in the same dtype.
    """
    for weight in {tuple(weight.shape): weight for weight in weights}.values():
        x = torch.randn(rows, weight.shape[1], device=weight.device, dtype=dtype)
        cast = weight.detach().to(dtype)
        exact = x.double() @ cast.double().t()
        dense_error = (torch.nn.functional.linear(x, cast).double() - exact).abs().max()
        sparse_error = (backend.linear(x, backend.compress(cast)).double() - exact).abs().max()
        floor = torch.finfo(dtype).eps * exact.abs().max()
        if not sparse_error <= 2 * torch.maximum(dense_error, floor):  # `not <=` so that NaN counts as wrong
            shape = f"{weight.shape[0]} x {weight.shape[1]}"
            return f"the product with a {shape} weight is off by {sparse_error:.2g}, dense by {dense_error:.2g}"
    return None


def choose(
    backend: Backend,
    weights: list[Tensor],
    *,
    rows: int,
    dtype: torch.dtype,
    masked_step_seconds: Callable[[], float],
    sparse_step_seconds: Callable[[], float],
) -> Choice:
    """Use 2:4 products where they are right, and make a whole training step at least `SPEED_MARGIN` faster."""
    try:
        fault = numeric_mismatch(backend, weights, rows=rows, dtype=dtype)
        if fault is not None:
            return Choice(False, fault)
        masked, sparse = masked_step_seconds(), sparse_step_seconds()
    except (RuntimeError, NotImplementedError) as problem:  # a backend that this build or device doesn't have
        return Choice(False, f"2:4 products fail here: {str(problem).splitlines()[0]}")
    speedup = masked / sparse
    if speedup < SPEED_MARGIN:
        return Choice(False, f"a step with 2:4 products takes {1 / speedup:.2f} times a masked one")
    return Choice(True, f"right, and {speedup:.2f} times as fast a step")
