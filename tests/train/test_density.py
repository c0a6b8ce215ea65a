"""Claims about scaling by density: sizes and rates by hand, what it leaves alone, and that the best rate stays put."""

import math
import sysconfig
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import Adafactor, AdamW, DataSpec, LearningRate, RunSpec
from sparseplan.runs.strategies import SparseEvolution, Static, Ste
from sparseplan.shapes.gpt import GptShape
from sparseplan.train.density import initial_densities, scale_weights
from sparseplan.train.families import build_model
from sparseplan.train.optimizers import build_optimizer
from sparseplan.train.pruning.distribution import spread_zeros
from tests.helpers.specs import pruned_run
from tests.helpers.training import tiny_run, train_alone, write_tokens

STATIC = Pruning(sparsity=0.75, strategy=Static())


def scaled(pruning: Pruning) -> RunSpec:
    return msgspec.structs.replace(pruned_run(pruning), scale_by_density=True)


def test_weights_start_twice_as_large_and_learn_four_times_as_fast_at_a_quarter() -> None:
    run = scaled(STATIC)
    plain, model = (build_model(run.shape, seed=0) for _ in range(2))
    scale_weights(model, initial_densities(run))
    for name, weight in model.named_parameters():
        factor = 2.0 if name in model.prunable() else 1.0
        assert torch.equal(weight, factor * plain.get_parameter(name))
    optimizer = build_optimizer(model, run.optimizer, initial_densities(run))
    peaks = {id(p): group["peak"] for group in optimizer.param_groups for p in group["params"]}
    assert len(peaks) == len(list(model.parameters()))
    assert isinstance(run.optimizer, AdamW)
    own = run.optimizer.learning_rate  # at the base width of 64
    for name, weight in model.named_parameters():
        assert peaks[id(weight)] == pytest.approx(own * 4 if name in model.prunable() else own)


def test_masks_over_dense_weights_are_not_scaled_and_such_runs_keep_their_names() -> None:
    """They keep the largest weights, not a random part: scaled, a small decoder at a 16th ended at 2.82, not 2.36."""
    over_dense = Pruning(sparsity=0.75, strategy=Ste())
    assert initial_densities(scaled(over_dense)) == {}
    assert scaled(over_dense).run_id == pruned_run(over_dense).run_id


def test_every_matrix_goes_by_its_own_density() -> None:
    run = scaled(Pruning(sparsity=0.75, strategy=SparseEvolution(distribution="erdos-renyi")))
    zeros = spread_zeros({m.name: (m.outputs, m.inputs) for m in run.shape.matrices}, 0.75, "erdos-renyi")
    found = initial_densities(run)
    for matrix in run.shape.matrices:
        assert found[matrix.name] == pytest.approx(1 - zeros[matrix.name] / matrix.numel)
    assert found["blocks.0.out.weight"] > found["blocks.0.up.weight"]  # 64 x 64 beside 256 x 64


def test_runs_that_start_dense_are_the_same_runs_with_and_without() -> None:
    for pruning in (Pruning(), Pruning(sparsity=0.75)):
        assert scaled(pruning).run_id == pruned_run(pruning).run_id
        assert initial_densities(scaled(pruning)) == {}
    assert scaled(STATIC).run_id != pruned_run(STATIC).run_id
    assert scaled(STATIC).trunk_id != pruned_run(STATIC).trunk_id
    assert scaled(STATIC).origin_id == pruned_run(STATIC).origin_id == scaled(Pruning()).origin_id


def test_adafactor_whose_steps_follow_the_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the optimizer adamw"):
        msgspec.structs.replace(scaled(STATIC), optimizer=Adafactor())


def test_what_a_layer_gives_starts_at_the_size_of_a_dense_one() -> None:
    x = torch.randn(512, 256, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(128, 256, generator=torch.Generator().manual_seed(1))
    mask = torch.rand(128, 256, generator=torch.Generator().manual_seed(2)) < 0.125
    dense, sparse = (x @ weight.t()).std(), (x @ (weight * mask / math.sqrt(0.125)).t()).std()
    assert float(sparse / dense) == pytest.approx(1.0, abs=0.05)  # 128 rows of about 32 weights each


TEXT = ("argparse.py", "ast.py", "doctest.py", "inspect.py", "pickle.py", "subprocess.py", "tarfile.py", "typing.py")


@pytest.mark.slow
def test_the_best_rate_of_dense_runs_is_that_of_sparse_ones_once_scaled(tmp_path: Path) -> None:
    library = Path(sysconfig.get_paths()["stdlib"])
    letters = np.frombuffer(b"".join((library / name).read_bytes() for name in TEXT), dtype=np.uint8)
    cut = len(letters) * 9 // 10
    train, valid = write_tokens(tmp_path / "train", letters[:cut]), write_tokens(tmp_path / "valid", letters[cut:])
    data = DataSpec(train=train, valid=valid, dtype="uint8", unit="byte", max_epochs=10)
    shape = GptShape(layers=2, width=64, heads=4, vocab=256, context=32)
    sparse = Pruning(sparsity=0.875, strategy=Static())

    def best(pruning: Pruning, *, scale: bool, powers: range) -> float:
        """Base-2 logarithm of the rate of the lowest loss, by a parabola through the three lowest in a row."""
        losses: list[float] = []
        for power in powers:
            changes: dict[str, Any] = {
                "shape": shape,
                "batch": 16,
                "steps": 150,
                "pruning": pruning,
                "scale_by_density": scale,
            }
            rate = AdamW(learning_rate=2.0**power, base_width=64)
            run = tiny_run(data, optimizer=rate, learning_rate=LearningRate(warmup=20), **changes)
            record = train_alone(msgspec.structs.replace(run, evaluation_sequences=256), tmp_path / run.run_id)
            assert record.loss is not None
            losses.append(record.loss)
        at = int(np.argmin(losses))
        assert 0 < at < len(losses) - 1, losses
        before, here, after = losses[at - 1 : at + 2]
        return powers[at] + (before - after) / (2 * (before - 2 * here + after))

    dense = best(Pruning(), scale=False, powers=range(-9, -4))
    assert abs(best(sparse, scale=True, powers=range(-9, -4)) - dense) < math.log2(1.5)
