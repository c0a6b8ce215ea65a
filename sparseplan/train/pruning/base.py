"""What the training loop asks of a pruning strategy.

Before every update, and once more after the last, the loop calls `at_step` where `acts_at` says so; it may look at the
step, and is never part of a captured graph. From the first cut on, every update calls `before_forward`, runs forward
and backward, and calls `after_backward`; these two are the same at every step and work in place, so that a CUDA graph
can replay them and a compiled model never sees them. The optimizer then moves the weights as they stand. An update for
which `looks_at` says so is made eagerly, and between the two `at_gradient` sees the gradient of all weights.

What needs no torch (which steps, weights in force, until when a trunk is shared) is in `sparseplan.runs.pruning`.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from sparseplan.runs.spec import RunSpec
from sparseplan.shapes.base import pruned_weights

Weights = dict[str, nn.Parameter]


class Pruner(ABC):
    """One strategy at work on one training.

    Args:
        weights: The model's prunable weights, by name.
        run: What is trained.

    Attributes:
        masks: One a weight, of its dtype and shape, updated in place: 1 where a weight is used, 0 where it is pruned.
    """

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        self._weights, self._run = weights, run
        self._pattern = run.pruning.parsed
        # zeros of every matrix at the end; None where only their sum is given
        self._zeros: dict[str, int] | None = {
            name: pruned_weights(weight.numel(), run.pruning.sparsity) for name, weight in weights.items()
        }
        self.masks = {name: torch.ones_like(weight, requires_grad=False) for name, weight in weights.items()}

    @abstractmethod
    def acts_at(self, step: int) -> bool:
        """Whether `at_step` has something to do once `step` updates were made."""

    @abstractmethod
    def at_step(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Set masks, weights and the optimizer's state for what follows after `step` updates."""

    @abstractmethod
    def before_forward(self) -> None:
        """Put in the model what the forward pass uses."""

    @abstractmethod
    def after_backward(self) -> None:
        """Turn the gradients into what the optimizer is to see."""

    def looks_at(self, step: int) -> bool:  # noqa: ARG002 - most never do
        """Whether `at_gradient` has something to do in the update that follows `step` others."""
        return False

    def at_gradient(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Act on the gradient of all weights, before `after_backward`."""
        raise NotImplementedError

    def zeros(self) -> int:
        """How many weights are pruned."""
        return sum(int((mask == 0).sum()) for mask in self.masks.values())

    def check(self) -> None:
        """Assert what every result rests on, at the end of training: exact counts, zeros that are zero, the pattern."""
        group, kept, sparsity = self._pattern.group, self._pattern.kept, self._run.pruning.sparsity
        assert self.zeros() == sum(pruned_weights(mask.numel(), sparsity) for mask in self.masks.values()), "zeros"
        for name, mask in self.masks.items():
            assert self._zeros is None or int((mask == 0).sum()) == self._zeros[name], f"{name}: count of zeros"
            assert not bool((self._weights[name].detach()[mask == 0] != 0).any()), f"{name}: a pruned weight came back"
            if group is not None:
                assert bool(mask.view(-1, group).sum(1).eq(kept or 0).all()), f"{name}: {self._pattern} broken"

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """What a checkpoint has to keep beside weights and optimizer."""

    @abstractmethod
    def load(self, state: dict[str, Tensor]) -> None:
        """Take the state of a checkpoint."""

    def _gradients(self) -> list[Tensor]:
        gradients = [weight.grad for weight in self._weights.values() if weight.grad is not None]
        assert len(gradients) == len(self.masks), "every prunable weight has a gradient"
        return gradients
