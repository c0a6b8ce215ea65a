"""Claims about structured pruning: whole units, the right ones, exact counts, a layout that is the model's."""

import pytest

pytest.importorskip("torch")

import torch

from sparseplan.errors import SparseplanError
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import DataSpec
from sparseplan.runs.strategies import Structured
from sparseplan.shapes.gpt import GptShape
from sparseplan.sparsity.schedule import Schedule
from sparseplan.train.families import build_model, open_task
from sparseplan.train.models.base import Model
from sparseplan.train.pruning.base import Pruner
from sparseplan.train.pruning.registry import build_pruner
from sparseplan.train.pruning.view import ModelView
from tests.helpers.training import tiny_run

WIDE = GptShape(layers=2, width=32, heads=4, vocab=256, context=32)


def pruner_of(data: DataSpec, sparsity: float, shape: GptShape = WIDE) -> tuple[Model, Pruner]:
    strategy = Structured(schedule=Schedule(start=0.25, end=0.75), updates=5)
    run = tiny_run(data, shape=shape, pruning=Pruning(sparsity=sparsity, strategy=strategy))
    model = build_model(run.shape, seed=0)
    view = ModelView(model, open_task(run, torch.device("cpu")), run)
    return model, build_pruner(model.prunable(), run, view)


@torch.no_grad()
def test_a_unit_is_what_the_model_computes_apart() -> None:
    model, tokens = build_model(WIDE, seed=0), torch.arange(32)[None]
    weights = model.prunable()
    for units in model.units()[1]:
        (into, axis, rows), (out, other, columns) = units.parts
        assert (axis, other) == (0, 1)
        kept = weights[out].clone()
        weights[out][:, columns[2]] = 0.0  # nothing reads the third unit any more
        without = model(tokens)
        weights[into][rows[2]] = 9.0
        assert torch.equal(model(tokens), without)  # so whatever it computes makes no difference
        weights[into][rows[1][0]] += 1.0
        assert not torch.allclose(model(tokens), without)  # another one's does
        weights[out].copy_(kept)


def test_the_units_of_least_norm_go_whole(data: DataSpec) -> None:
    model, pruner = pruner_of(data, 0.5)
    weights = model.prunable()
    with torch.no_grad():
        for block in model.units():
            for units in block:
                for name, axis, places in units.parts:  # the later a unit comes, the larger it is
                    for index, own in enumerate(places):
                        weights[name].index_fill_(axis, own, 1.0 + index)
    optimizer = torch.optim.SGD(weights.values())
    for step in range(41):
        if pruner.acts_at(step):
            pruner.at_step(step, optimizer)
    pruner.check()
    for block in model.units():
        for units, expected in zip(block, (2, 64), strict=True):  # half of 4 heads, half of 128 neurons
            for name, axis, places in units.parts:
                alive = pruner.masks[name].any(1 - axis)[places]
                assert bool((alive == alive[:, :1]).all())
                assert alive[:, 0].tolist() == [False] * expected + [True] * (units.number - expected)


@pytest.mark.parametrize(("sparsity", "heads", "neurons"), [(0.75, 3, 96), (0.875, 4, 104), (0.25, 1, 32)])
def test_neurons_make_up_for_heads_that_do_not_come_out_even(
    data: DataSpec, sparsity: float, heads: int, neurons: int
) -> None:
    # a head has 4 x 32 x 8 = 1,024 weights, a neuron 64, a block 12 x 32^2 = 12,288
    assert heads * 1024 + neurons * 64 == round(12288 * sparsity)
    model, pruner = pruner_of(data, sparsity)
    optimizer = torch.optim.SGD(model.parameters())
    seen = []
    for step in range(41):
        if pruner.acts_at(step):
            pruner.at_step(step, optimizer)
            seen.append(pruner.zeros())
    assert seen == sorted(seen)
    assert len(seen) == 5
    for name, gone in (("blocks.0.out.weight", heads * 8), ("blocks.1.down.weight", neurons)):
        assert int((~pruner.masks[name].any(0)).sum()) == gone
    pruner.check()


def test_a_sparsity_that_whole_units_cannot_make_is_refused(data: DataSpec) -> None:
    with pytest.raises(SparseplanError, match=r"expected a sparsity that whole heads and neurons make, found 0.501"):
        pruner_of(data, 0.501)
