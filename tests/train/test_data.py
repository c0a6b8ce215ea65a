"""Claims about batches: their order, their bits, and the files behind them."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.errors import SparseplanError
from sparseplan.runs.spec import Split
from sparseplan.train.data import Order, Windows, splitmix64, validation_windows
from tests.helpers.training import write_tokens

CPU = torch.device("cpu")


@given(count=st.integers(1, 300), seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 64))
def test_an_epoch_visits_every_window_once_whatever_the_batch(count: int, seed: int, batch: int) -> None:
    order = Order(count, seed=seed)
    steps = -(-2 * count // batch)
    seen = np.concatenate([order.windows(step * batch, batch) for step in range(steps)])[: 2 * count]
    assert sorted(seen[:count]) == sorted(seen[count:]) == list(range(count))
    assert np.array_equal(Order(count, seed=seed).windows(0, 2 * count), seen)


def test_a_resumed_order_needs_no_history() -> None:
    order = Order(1000, seed=3)
    straight = [order.windows(step * 8, 8) for step in range(300)]
    assert np.array_equal(Order(1000, seed=3).windows(250 * 8, 8), straight[250])


def test_seeds_and_epochs_shuffle_differently() -> None:
    first, second = (Order(1000, seed=seed).windows(0, 2000) for seed in (0, 1))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[:1000], first[1000:])


def test_the_scramble_is_the_published_one() -> None:
    # splitmix64 from state 0: the generator's first two outputs, as in its reference implementation's test vectors
    gamma = 0x9E3779B97F4A7C15
    found = splitmix64(np.array([0, gamma], dtype=np.uint64))
    assert [hex(value) for value in found.tolist()] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_targets_are_the_next_tokens_and_large_tokens_keep_their_value(tmp_path: Path, dtype: str) -> None:
    top = min(np.iinfo(dtype).max, 2**24 - 1)
    tokens = np.array([top - i for i in range(11)], dtype=dtype)
    windows = Windows(write_tokens(tmp_path / "t.bin", tokens), dtype=dtype, context=5, vocab=top + 1, device=CPU)
    assert windows.count == 2
    block = windows.read(np.array([1, 0]))
    inputs, targets = block[:, :-1], block[:, 1:]
    assert inputs.tolist() == [[top - i for i in range(5, 10)], [top - i for i in range(5)]]
    assert targets.tolist() == [[top - i for i in range(6, 11)], [top - i for i in range(1, 6)]]
    assert inputs.dtype == torch.int64


def test_a_numpy_file_and_a_stretch_of_it_are_read_like_raw_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens.npy"
    np.save(path, np.arange(100, dtype=np.uint16))
    split = Split(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), tokens=20, start=50)
    block = Windows(split, dtype="uint16", context=4, vocab=100, device=CPU).read(np.array([0]))
    assert block.tolist() == [[50, 51, 52, 53, 54]]


@pytest.mark.parametrize(
    ("change", "vocab", "message"),
    [
        ({"sha256": "0" * 64}, 256, "the data changed"),
        ({"tokens": 101}, 256, "at least 101 tokens of uint8, found an array of uint8, 100"),
        ({"path": "/nowhere/t.bin"}, 256, "can't read these tokens"),
        ({}, 99, "tokens below the vocabulary's 99, found 99"),
        ({"tokens": 8}, 256, "more than 8 tokens, found 8"),
    ],
    ids=["changed", "short", "missing", "vocab", "few"],
)
def test_unfit_files_are_one_clear_error(tmp_path: Path, change: dict[str, Any], vocab: int, message: str) -> None:
    split = write_tokens(tmp_path / "t.bin", np.arange(100, dtype=np.uint8))
    with pytest.raises(SparseplanError, match=message):
        Windows(msgspec.structs.replace(split, **change), dtype="uint8", context=8, vocab=vocab, device=CPU)


def test_validation_windows_are_spread_evenly_and_never_repeated() -> None:
    assert validation_windows(100, 4).tolist() == [0, 25, 50, 75]
    assert validation_windows(3, 10).tolist() == [0, 1, 2]
