"""Sequences of text in the order of a run: what the tasks on tokens share."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from sparseplan.runs.spec import RunSpec
from sparseplan.shapes.vit import VitShape
from sparseplan.train.data import Order, Windows, validation_windows

VALIDATION = 2**32
"""In the place of a seed where validation data are hashed: above every seed."""


class Text:
    """The training and the validation windows of a run.

    Raises:
        SparseplanError: if the data are missing or unfit.
    """

    def __init__(self, run: RunSpec, device: torch.device) -> None:
        shape = run.shape
        assert not isinstance(shape, VitShape), "a task on text has a shape with a vocabulary"
        self._run = run
        self.train, self.valid = (
            Windows(split, dtype=run.data.dtype, context=shape.entries_per_sequence, vocab=shape.vocab, device=device)
            for split in (run.data.train, run.data.valid)
        )
        self._order = Order(self.train.count, seed=run.seed)

    def windows(self, step: int) -> NDArray[np.int64]:
        """The training windows of the update that follows `step` others."""
        return self._order.windows(step * self._run.batch, self._run.batch)

    def validation_windows(self) -> Iterator[NDArray[np.int64]]:
        """The validation windows, a batch at a time."""
        chosen = validation_windows(self.valid.count, self._run.evaluation_sequences)
        return (chosen[at : at + self._run.batch] for at in range(0, len(chosen), self._run.batch))
