"""What the loop knows of a task. A batch is a tuple of tensors that only the task understands."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from torch import Tensor
from torch.nn import functional

from sparseplan.runs.spec import RunSpec

Batch = tuple[Tensor, ...]
"""Tensors whose first axis counts sequences; their shapes and dtypes are the same at every step."""


class Scores(NamedTuple):
    """Means over a validation batch: the loss in nats, and how often the likeliest answer is right, if that counts."""

    loss: Tensor
    accuracy: Tensor | None = None


class Task(ABC):
    """A task with its data, for one run on one device. Batches depend on seed and step alone.

    Attributes:
        counts_hits: Whether accuracy is evaluated beside the loss.
    """

    counts_hits: ClassVar[bool] = False

    def __init__(self, run: RunSpec) -> None:
        self._z_loss = run.z_loss

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """The batch of the update that follows `step` others."""

    @abstractmethod
    def validation(self) -> Iterator[Batch]:
        """The validation data, the same for every run of one data specification."""

    @abstractmethod
    def answers(self, model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the family's model answers to a batch, logits `(..., V)`, and the right ones, `(...)`.

        As many answers for every sequence. No look at a value and no shape that a value decides: it is compiled and
        captured.
        """

    def loss(self, model: Any, batch: Batch) -> Tensor:
        """What training minimises: the mean cross entropy in nats, and z-loss where the run asks for it."""
        return cross_entropy(*self.answers(model, batch), z_loss=self._z_loss)

    def scores(self, model: Any, batch: Batch) -> Scores:
        """What is reported of a validation batch; no z-loss in it."""
        logits, right = self.answers(model, batch)
        hits = (logits.argmax(-1) == right).double().mean() if self.counts_hits else None
        return Scores(cross_entropy(logits, right), hits)

    def bits_per_byte(self, loss: float) -> float | None:  # noqa: ARG002
        """A loss as bits per byte of text; None where it is no code length or the bytes are unknown."""
        return None


def cross_entropy(logits: Tensor, right: Tensor, *, z_loss: float = 0.0) -> Tensor:
    """Mean cross entropy of logits `(..., V)`, plus `z_loss` times the mean of (log sum exp logits)^2.

    Source: de Brebisson & Vincent 2016, arXiv:1604.08859; as T5 uses it, t5x/losses.py.
    """
    rows = logits.flatten(0, -2).float()
    entropy = functional.cross_entropy(rows, right.flatten())
    return entropy + z_loss * rows.logsumexp(-1).square().mean() if z_loss else entropy
