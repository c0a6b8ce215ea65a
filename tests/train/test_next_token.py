"""Claims about predicting the next token."""

import math
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from sparseplan.train.models.gpt import Gpt
from sparseplan.train.tasks.next_token import NextToken
from tests.helpers.training import SHAPE, tiny_run, write_text

CPU = torch.device("cpu")


@pytest.fixture
def task(tmp_path: Path) -> NextToken:
    return NextToken(tiny_run(write_text(tmp_path)), CPU)


def test_targets_are_the_tokens_that_follow(task: NextToken) -> None:
    tokens, targets = task.batch(3)
    assert tokens.shape == targets.shape == (4, 32)
    assert torch.equal(tokens[:, 1:], targets[:, :-1])


def test_a_new_models_loss_is_that_of_a_uniform_guess(task: NextToken) -> None:
    loss = task.loss(Gpt(SHAPE, seed=0), task.batch(0)).item()
    assert loss == pytest.approx(SHAPE.loss_of_a_guess, abs=0.1)
    assert SHAPE.loss_of_a_guess == math.log(256)


def test_validation_is_the_wanted_sequences_in_batches(task: NextToken) -> None:
    assert [len(tokens) for tokens, _ in task.validation()] == [4] * 4  # 16 sequences, 4 at a time


def test_a_loss_is_a_code_length_of_the_text(task: NextToken) -> None:
    assert task.bits_per_byte(math.log(2)) == 1.0
