"""What the loop knows of a task. A batch is a tuple of tensors that only the task understands."""

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor

Batch = tuple[Tensor, ...]
"""Tensors whose first axis counts sequences; their shapes and dtypes are the same at every step."""


class Task(Protocol):
    """A task with its data, for one run on one device. Batches depend on seed and step alone."""

    def batch(self, step: int) -> Batch:
        """The batch of the update that follows `step` others."""

    def validation(self) -> Iterator[Batch]:
        """The validation data, the same for every run of one data specification."""

    def loss(self, model: Any, batch: Batch) -> Tensor:
        """The loss of the family's model on a batch, in nats: a mean over sequences of equal weight.

        No look at a value and no shape that a value decides: it is compiled and captured.
        """

    def bits_per_byte(self, loss: float) -> float | None:
        """A loss as bits per byte of text; None where it is no code length or the bytes are unknown."""
