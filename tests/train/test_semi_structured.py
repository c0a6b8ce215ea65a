"""Claims about 2:4 products, tested on the CPU against a plain compressed implementation."""

import math
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.strategies import GradualMagnitude, SrSte, Static, Strategy, strategy_name
from sparseplan.train import semi_structured
from sparseplan.train.models.gpt import Gpt
from sparseplan.train.pruning.masks import pruned_mask
from sparseplan.train.semi_structured import (
    Backend,
    choose,
    is_two_four,
    numeric_mismatch,
    sparse_linear,
    why_unsupported,
)
from tests.helpers.references import Compressed, Reference
from tests.helpers.training import SHAPE, tiny_run, train_alone, write_text


class Broken(Reference):
    """Multiplies with the wrong metadata, as a backend for another chip would."""

    def linear(self, x: Tensor, compressed: Compressed) -> Tensor:
        return super().linear(x, Compressed(compressed.values, compressed.positions.flip(1)))


class Absent(Reference):
    def compress(self, weight: Tensor) -> Compressed:
        raise NotImplementedError("no cuSPARSELt here\nand a long trace")


class Transposed(Reference):
    """Gives its product transposed in memory, as torch 2.11 does."""

    def linear(self, x: Tensor, compressed: Compressed) -> Tensor:
        return super().linear(x, compressed).t().contiguous().t()


def two_four(outputs: int, inputs: int, *, dtype: torch.dtype = torch.float64) -> Tensor:
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return weight * pruned_mask(weight, torch.ones_like(weight), 0.5, kept=2, group=4)


def test_the_compressed_product_and_its_gradients_are_the_masked_dense_ones() -> None:
    weight = two_four(24, 32).requires_grad_()
    x = torch.randn(2, 5, 32, dtype=torch.float64).requires_grad_()
    direction = torch.randn(2, 5, 24, dtype=torch.float64)
    dense = functional.linear(x, weight)
    expected = torch.autograd.grad((dense * direction).sum(), (x, weight))
    product = sparse_linear(x, weight, Reference())
    found = torch.autograd.grad((product * direction).sum(), (x, weight))
    assert torch.allclose(product, dense, rtol=1e-12)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12)


def test_a_product_that_comes_back_transposed_reaches_attention_in_the_layout_of_a_dense_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fused attention takes only some layouts; with others 2:4 would look slower than it is."""
    seen: list[list[tuple[int, ...]]] = []
    attention = functional.scaled_dot_product_attention

    def watched(q: Tensor, k: Tensor, v: Tensor, *, is_causal: bool, enable_gqa: bool = False) -> Tensor:
        seen.append([part.stride() for part in (q, k, v)])
        return attention(q, k, v, is_causal=is_causal, enable_gqa=enable_gqa)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", watched)
    model = Gpt(SHAPE, seed=0)
    with torch.no_grad():
        for weight in model.prunable().values():
            weight.mul_(pruned_mask(weight, torch.ones_like(weight), 0.5, kept=2, group=4))
    tokens = torch.arange(2 * SHAPE.context).view(2, -1) % SHAPE.vocab
    dense = model(tokens)
    in_dense_run = seen.copy()
    seen.clear()
    assert not Transposed().linear(torch.ones(8, 4), Transposed().compress(torch.eye(4))).is_contiguous()
    model.set_backend(Transposed())
    assert torch.allclose(model(tokens), dense, atol=1e-4)
    assert seen == in_dense_run


def test_its_gradients_are_right_by_finite_differences() -> None:
    weight = two_four(4, 8)
    x = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: sparse_linear(x, weight, Reference()), (x,))


def test_under_autocast_the_product_is_bfloat16_and_gradients_keep_their_parameters_dtypes() -> None:
    weight = two_four(24, 32, dtype=torch.float32).requires_grad_()
    x = torch.randn(5, 32, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        product = sparse_linear(x, weight, Reference())
    product.float().sum().backward()  # type: ignore[no-untyped-call]
    assert product.dtype == torch.bfloat16
    assert weight.grad is not None
    assert x.grad is not None
    assert (weight.grad.dtype, x.grad.dtype) == (torch.float32, torch.float32)
    assert torch.allclose(x.grad, weight.detach().sum(0).expand(5, 32), rtol=0.05, atol=0.05)


def test_what_is_within_two_four() -> None:
    assert is_two_four(torch.tensor([[1, 1, 0, 0, 0, 0, 1, 0]]))
    assert not is_two_four(torch.tensor([[1, 1, 1, 0, 0, 0, 1, 0]]))
    assert not is_two_four(torch.ones(2, 6))


def test_obstacles_are_named() -> None:
    cpu = torch.device("cpu")
    assert why_unsupported([torch.ones(4, 8)], device=cpu, dtype=torch.bfloat16) == "the pattern is not within 2:4"
    assert why_unsupported([torch.zeros(4, 8)], device=cpu, dtype=torch.bfloat16) == "no 2:4 products on cpu"


def test_a_wrong_backend_is_found_out_and_a_right_one_is_not() -> None:
    weights = [two_four(64, 64), two_four(32, 128)]
    assert numeric_mismatch(Reference(), weights, rows=16, dtype=torch.float32) is None
    assert numeric_mismatch(Reference(), weights, rows=16, dtype=torch.bfloat16) is None
    assert "64 x 64 weight is off by" in (numeric_mismatch(Broken(), weights, rows=16, dtype=torch.float32) or "")


@pytest.mark.parametrize(
    ("backend", "masked", "sparse", "use", "reason"),
    [
        (Reference(), 2.0, 1.0, True, "right, and 2.00 times as fast"),
        (Reference(), 1.0, 2.0, False, "takes 2.00 times a masked one"),
        (Reference(), 1.0, 1.0, False, "takes 1.00 times a masked one"),
        (Broken(), 2.0, 1.0, False, "is off by"),
        (Absent(), 2.0, 1.0, False, "2:4 products fail here: no cuSPARSELt here"),
    ],
    ids=["faster", "slower", "even", "broken", "absent"],
)
def test_two_four_products_are_used_only_where_right_and_faster(
    backend: Backend, masked: float, sparse: float, use: bool, reason: str
) -> None:
    choice = choose(
        backend,
        [two_four(64, 64)],
        rows=16,
        dtype=torch.float32,
        masked_step_seconds=lambda: masked,
        sparse_step_seconds=lambda: sparse,
    )
    assert choice.use is use
    assert reason in choice.reason
    assert "\n" not in choice.reason


@pytest.mark.parametrize("sparsity", [0.5, 0.75])
def test_a_training_that_ends_on_compressed_weights_ends_in_the_masked_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sparsity: float
) -> None:
    run = tiny_run(write_text(tmp_path), sparsity, {0.5: "2:4", 0.75: "1:4"}[sparsity])
    masked = train_alone(run, tmp_path / "masked")
    backend = Reference()
    monkeypatch.setattr(semi_structured, "why_unsupported", lambda *_args, **_more: None)
    monkeypatch.setattr(semi_structured, "CuSparseLt", lambda: backend)
    monkeypatch.setattr(semi_structured, "SPEED_MARGIN", 0.0)
    compressed = train_alone(run, tmp_path / "compressed")
    assert compressed.semi_structured
    assert "times as fast a step" in (compressed.semi_structured_reason or "")
    assert backend.products > 8 * 10  # eight matrices in each of the last ten updates, and the checks before
    assert compressed.loss == pytest.approx(masked.loss, rel=1e-4)


def test_sr_ste_on_compressed_weights_ends_in_the_masked_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The weights that are compressed change places at every step, and their gradient reaches the others too.
    pruning = Pruning(sparsity=0.5, pattern="2:4", strategy=SrSte())
    run = tiny_run(write_text(tmp_path), pruning=pruning)
    masked = train_alone(run, tmp_path / "masked")
    monkeypatch.setattr(semi_structured, "why_unsupported", lambda *_args, **_more: None)
    monkeypatch.setattr(semi_structured, "CuSparseLt", Reference)
    monkeypatch.setattr(semi_structured, "SPEED_MARGIN", 0.0)
    compressed = train_alone(run, tmp_path / "compressed")
    assert compressed.semi_structured
    assert compressed.loss == pytest.approx(masked.loss, rel=1e-3)


def test_a_check_that_says_no_leaves_the_training_bit_for_bit_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(write_text(tmp_path), 0.5, "2:4")
    masked = train_alone(run, tmp_path / "masked")
    monkeypatch.setattr(semi_structured, "why_unsupported", lambda *_args, **_more: None)
    monkeypatch.setattr(semi_structured, "CuSparseLt", Reference)
    monkeypatch.setattr(semi_structured, "SPEED_MARGIN", math.inf)
    refused = train_alone(run, tmp_path / "refused")
    assert refused.semi_structured is False
    assert "times a masked one" in (refused.semi_structured_reason or "")
    assert refused.loss == masked.loss


def test_switching_it_off_is_recorded(tmp_path: Path) -> None:
    record = train_alone(tiny_run(write_text(tmp_path), 0.5, "2:4"), tmp_path, semi_structured="off")
    assert record.semi_structured_reason == "switched off"


@pytest.mark.gpu
@pytest.mark.parametrize("d", [512, 1024, 4096, 8192])
def test_on_this_gpu_forward_and_backward_agree_with_masked_dense(d: int) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    backend = semi_structured.CuSparseLt()
    layer = nn.Linear(d, d, bias=False, device="cuda")
    with torch.no_grad():
        layer.weight.mul_(pruned_mask(layer.weight, torch.ones_like(layer.weight), 0.5, kept=2, group=4))
    assert numeric_mismatch(backend, [layer.weight], rows=1024, dtype=torch.bfloat16) is None
    x = torch.randn(1024, d, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        sparse_linear(x, layer.weight, backend).float().square().mean().backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    assert x.grad is not None
    exact_weight = layer.weight.detach().double().requires_grad_()
    exact_x = x.detach().double().requires_grad_()
    functional.linear(exact_x, exact_weight).square().mean().backward()  # type: ignore[no-untyped-call]
    assert exact_weight.grad is not None
    assert exact_x.grad is not None
    for ours, exact in ((layer.weight.grad, exact_weight.grad), (x.grad, exact_x.grad)):
        assert ((ours.double() - exact).norm() / exact.norm()).item() < 2e-2


@pytest.mark.gpu
@pytest.mark.parametrize("execution", ["graphs", "compile"])
@pytest.mark.parametrize("strategy", [GradualMagnitude(updates=6), Static(), SrSte()], ids=strategy_name)
def test_on_this_gpu_graphs_and_compiled_losses_train_like_eager_ones(
    tmp_path: Path, execution: str, strategy: Strategy
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    run = tiny_run(write_text(tmp_path), pruning=Pruning(sparsity=0.5, pattern="2:4", strategy=strategy))
    eager, fast = (train_alone(run, tmp_path / how, device="cuda", execution=how) for how in ("eager", execution))
    assert fast.execution == execution
    assert fast.loss == pytest.approx(eager.loss, rel=1e-3)
