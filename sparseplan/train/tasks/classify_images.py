"""Name the class of an image.

Shapes: B images, V classes.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.shapes.vit import VitShape
from sparseplan.train.data import Order, Pictures, validation_windows
from sparseplan.train.models.vit import Vit
from sparseplan.train.tasks.base import Batch, Task


class ClassifyImages(Task):
    """Batches are images `(B, channels, side, side)`, values from -1 to 1, and classes `(B,)`.

    The loss is the mean cross entropy in nats per image. Images come as they are stored: nothing is drawn, so an image
    seen again is the same image.

    Args:
        run: The run, of a `VitShape`.
        device: Where batches are wanted.

    Raises:
        SparseplanError: if the data are missing or unfit.
    """

    counts_hits = True

    def __init__(self, run: RunSpec, device: torch.device) -> None:
        super().__init__(run)
        shape = run.shape
        assert isinstance(shape, VitShape)
        self._run, self._shape = run, shape
        values = shape.channels * shape.side**2
        self._train, self._valid = (
            Pictures(split, values=values, classes=shape.classes, device=device)
            for split in (run.data.train, run.data.valid)
        )
        self._order = Order(self._train.count, seed=run.seed)

    def batch(self, step: int) -> Batch:
        """The batch of the update that follows `step` others."""
        return self._shaped(self._train, self._order.windows(step * self._run.batch, self._run.batch))

    def validation(self) -> Iterator[Batch]:
        """The validation data, a batch at a time."""
        chosen = validation_windows(self._valid.count, self._run.evaluation_sequences)
        for at in range(0, len(chosen), self._run.batch):
            yield self._shaped(self._valid, chosen[at : at + self._run.batch])

    def answers(self, model: Vit, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits of the classes, and the right ones."""
        images, classes_B = batch
        return model(images), classes_B

    def _shaped(self, pictures: Pictures, chosen: NDArray[np.int64]) -> Batch:
        values, classes_B = pictures.read(chosen)
        return values.view(-1, self._shape.channels, self._shape.side, self._shape.side), classes_B
