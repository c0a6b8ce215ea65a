"""Claims about Wanda and SparseGPT: scores and updates by hand, exact counts, smaller errors than magnitude makes."""

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import DataSpec
from sparseplan.runs.strategies import SparseGpt, Wanda
from sparseplan.shapes.base import pruned_weights
from sparseplan.train.families import build_model, open_task
from sparseplan.train.pruning.masks import pruned_mask
from sparseplan.train.pruning.registry import build_pruner
from sparseplan.train.pruning.sparsegpt import reconstructed
from sparseplan.train.pruning.view import ModelView
from sparseplan.train.pruning.wanda import rowwise
from tests.helpers.training import tiny_run


class Fixed(ModelView):
    """Inputs of one matrix, given."""

    def __init__(self, x: Tensor) -> None:
        self._x = x.double()
        self.asked: list[int] = []

    def squares(self, steps: object) -> dict[str, Tensor]:
        self.asked = list(steps)  # type: ignore[call-overload]
        return {"weight": self._x.square().sum(0)}

    def products(self, steps: object) -> dict[str, Tensor]:
        self.asked = list(steps)  # type: ignore[call-overload]
        return {"weight": self._x.t() @ self._x}


def test_wanda_weighs_by_the_norm_of_the_input_in_every_row_by_hand(data: DataSpec) -> None:
    weight = torch.nn.Parameter(torch.tensor([[1.0, 2.0, 3.0, 4.0], [40.0, 30.0, 2.0, 1.0]]))
    x = torch.tensor([[3.0, 1.0, 0.0, 0.1], [4.0, 0.0, 1.0, 0.0]])  # norms 5, 1, 1, 0.1
    inputs = Fixed(x)
    run = tiny_run(data, pruning=Pruning(sparsity=0.5, strategy=Wanda(batches=3)))
    pruner = build_pruner({"weight": weight}, run, inputs)
    pruner.at_step(20, torch.optim.SGD([weight]))
    # scores 5, 2, 3, 0.4 and 200, 30, 2, 0.1: half of each row
    assert weight.detach().tolist() == [[1, 0, 3, 0], [40, 30, 0, 0]]
    assert inputs.asked == [17, 18, 19]
    pruner.check()


def test_rows_without_a_whole_number_add_up() -> None:
    stays = rowwise(torch.rand(7, 5, generator=torch.Generator().manual_seed(0)), 0.5)
    assert int((~stays).sum()) == pruned_weights(35, 0.5)
    assert set((~stays).sum(1).tolist()) <= {2, 3}


def test_sparsegpt_lets_the_other_weight_make_up_for_the_pruned_one_by_hand() -> None:
    # X X^T = [[4, 2], [2, 5]], damping 0.045; the first weight goes, the second gains 0.1 x 2 / 5.045
    weight = torch.tensor([[0.1, 3.0]], dtype=torch.float64)
    moved, stays = reconstructed(weight, torch.tensor([[4.0, 2.0], [2.0, 5.0]]).double(), 0.5, kept=None, group=None)
    assert stays.tolist() == [[False, True]]
    assert moved.tolist()[0] == pytest.approx([0.0, 3.0 + 0.1 * 2 / 5.045])


@pytest.mark.parametrize(("sparsity", "kept", "group"), [(0.6, None, None), (0.5, 2, 4), (0.875, 1, 8)])
def test_sparsegpt_is_exact_in_number_and_errs_less_than_magnitude(
    sparsity: float, kept: int | None, group: int | None
) -> None:
    generator = torch.Generator().manual_seed(1)
    causes, mixing = torch.randn(400, 40, generator=generator), torch.randn(40, 160, generator=generator)
    x = (causes @ mixing + 0.3 * torch.randn(400, 160, generator=generator)).double()  # inputs that go together
    weight = torch.randn(24, 160, generator=generator).double()
    moved, stays = reconstructed(weight, x.t() @ x, sparsity, kept=kept, group=group)
    assert int((~stays).sum()) == pruned_weights(weight.numel(), sparsity)
    assert not bool(moved[~stays].any())
    if group is not None:
        assert bool(stays.view(-1, group).sum(1).eq(kept or 0).all())
    magnitude = weight * pruned_mask(weight, torch.ones_like(weight), sparsity, kept=kept, group=group)

    def error(other: Tensor) -> float:
        return float((x @ (weight - other).t()).square().sum())

    assert error(moved) < 0.7 * error(magnitude)


def test_inputs_are_those_of_the_matrices_and_leave_the_model_alone(data: DataSpec) -> None:
    run = tiny_run(data)
    model, task = build_model(run.shape, seed=0), open_task(run, torch.device("cpu"))
    inputs = ModelView(model, task, run)
    products, squares = inputs.products(range(2)), inputs.squares(range(2))
    assert products.keys() == model.prunable().keys()
    for name, weight in model.prunable().items():
        assert products[name].shape == (weight.shape[1], weight.shape[1])
        assert torch.allclose(products[name].diagonal(), squares[name])
    # the first matrix reads normed embeddings: every row has a mean square of 1, 4 x 32 tokens in each of two batches
    assert float(squares["blocks.0.qkv.weight"].sum()) == pytest.approx(2 * 4 * 32 * 32, rel=1e-3)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert all(weight.grad is None for weight in model.prunable().values())


def test_a_cut_before_there_were_batches_takes_the_first_ones(data: DataSpec) -> None:
    for strategy in (Wanda(at=0.05, batches=4), SparseGpt(at=0.05, batches=4)):
        weight, inputs = torch.nn.Parameter(torch.randn(4, 8)), Fixed(torch.randn(16, 8))
        run = tiny_run(data, pruning=Pruning(sparsity=0.5, strategy=strategy))
        build_pruner({"weight": weight}, run, inputs).at_step(2, torch.optim.SGD([weight]))
        assert inputs.asked == [0, 1, 2, 3]
