"""Predict every token from those before it.

Shapes: B sequences, T tokens, V vocabulary.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.train.models.gpt import Gpt
from sparseplan.train.tasks.base import Batch, Task
from sparseplan.train.tasks.text import Text


class NextToken(Task):
    """Batches are tokens and their successors, both `(B, T)`; the loss is in nats per token, a code length.

    Args:
        run: The run.
        device: Where batches are wanted.

    Raises:
        SparseplanError: if the data are missing or unfit.
    """

    def __init__(self, run: RunSpec, device: torch.device) -> None:
        super().__init__(run)
        self._text = Text(run, device)
        self._bytes_per_token = run.data.bytes_per_token

    def batch(self, step: int) -> Batch:
        """The batch of the update that follows `step` others."""
        return _shifted(self._text.train.read(self._text.windows(step)))

    def validation(self) -> Iterator[Batch]:
        """The validation data, a batch at a time."""
        return (_shifted(self._text.valid.read(windows)) for windows in self._text.validation_windows())

    def answers(self, model: Gpt, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits of the next token at every place, and the tokens that came."""
        tokens_BT, targets_BT = batch
        return model(tokens_BT), targets_BT

    def bits_per_byte(self, loss: float) -> float | None:
        """The code length per byte of text, where the bytes behind a token are known."""
        return None if self._bytes_per_token is None else loss / math.log(2) / self._bytes_per_token


def _shifted(block: Tensor) -> Batch:
    return block[:, :-1], block[:, 1:]
