"""Iterative magnitude pruning with rewinding: prune what was trained, go back to an early step, train what is left.

At the end of a round the smallest of the weights that are left go, by their trained magnitudes, in every matrix alike.
Then all parameters, and the optimizer's moments, go back to what they were after `to` of the first round's updates,
with zeros where the mask has them; rates and data follow from the step that they went back to.

Source: Frankle & Carbin 2019, arXiv:1803.03635; Frankle et al. 2019, arXiv:1903.01611.
"""

import torch
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import Rewinding
from sparseplan.train.pruning.base import Weights
from sparseplan.train.pruning.held import HeldMasks
from sparseplan.train.saved import Saved

_EARLY = "early."
"""Of the names under which a checkpoint keeps what rounds go back to."""


class RewindingPruner(HeldMasks):
    """Keeps a copy of the early training beside the masks."""

    def __init__(self, weights: Weights, run: RunSpec) -> None:
        super().__init__(weights, run)
        strategy = run.pruning.strategy
        assert isinstance(strategy, Rewinding)
        self._early_step = strategy.rewind_step(run.steps)
        self._early: Saved | None = None
        self._loaded: dict[str, Tensor] = {}

    def acts_at(self, step: int) -> bool:
        """At the early step, and at the end of every round but the last."""
        return self._run.pruning.sparsity > 0 and (step == self._early_step or super().acts_at(step))

    @torch.no_grad()
    def at_step(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Keep the early training, or prune and go back to it."""
        if step == self._early_step:
            self._early = Saved(optimizer)
            return
        masks = self._choose_all(step)
        if self._early is None:
            self._early = Saved.of(optimizer, self._loaded)
        self._early.restore()
        self._set(masks, optimizer)

    def state(self) -> dict[str, Tensor]:
        """The masks, and what rounds go back to once it is there."""
        early = self._loaded if self._early is None else self._early.tensors()
        return super().state() | {f"{_EARLY}{name}": tensor for name, tensor in early.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take the masks of a checkpoint and what rounds go back to."""
        self._loaded = {name.removeprefix(_EARLY): tensor for name, tensor in state.items() if name.startswith(_EARLY)}
        super().load({name: tensor for name, tensor in state.items() if not name.startswith(_EARLY)})
