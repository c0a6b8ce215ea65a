"""Iterative magnitude pruning with rewinding: train, prune, go back, train again, until sparse enough."""

import math
from typing import Annotated

from msgspec import Meta

from sparseplan.runs.strategies.base import Ramp, Settings
from sparseplan.sparsity.schedule import Schedule


class Rewinding(Settings, frozen=True, kw_only=True, tag="rewinding"):
    """Train to the end, prune `share` of what is left, set all weights back to those of the moment `to`, and repeat.

    The rounds are as many as bring the density nearest to (1 - share)^rounds, at least one, and each takes the same
    share, so that the last ends at S. D is what the final model has seen: `steps` updates. The training FLOPs are those
    of all rounds. Source: Frankle & Carbin 2019, arXiv:1803.03635; rewinding to a step after the first: Frankle et al.
    2019, arXiv:1903.01611.
    """

    share: Annotated[float, Meta(ge=0.01, lt=1, description="Pruned in every round, of the weights left.")] = 0.2
    to: Annotated[
        float, Meta(ge=0, lt=1, description="The fraction of training that weights and optimizer go back to.")
    ] = 0.1

    @property
    def schedule(self) -> Schedule:
        """Rounds from the rewinding point on."""
        return Schedule(kind="rewinding", start=self.to, end=1.0, share=self.share)

    def _rounds(self, sparsity: float) -> int:
        return int(self.schedule.rounds(sparsity))

    def rewind_step(self, steps: int) -> int:
        """The update that every round but the first begins after."""
        return round(self.to * steps)

    def ramp(self, sparsity: float, steps: int) -> Ramp:
        """A cut at the end of every round but the last, which trains the final model.

        >>> [(at, round(S, 4)) for at, S in Rewinding(share=0.5).ramp(0.75, 100)]
        [(100, 0.5), (190, 0.75)]
        """
        rounds, longer = self._rounds(sparsity), steps - self.rewind_step(steps)
        return tuple(
            (steps + k * longer, sparsity if k == rounds - 1 else -math.expm1(math.log1p(-sparsity) * (k + 1) / rounds))
            for k in range(rounds)
        )

    def total_updates(self, sparsity: float, steps: int) -> int:
        """The first round's updates, and those of every other from the rewinding point on."""
        return steps + self._rounds(sparsity) * (steps - self.rewind_step(steps))

    def place(self, update: int, sparsity: float, steps: int) -> int:  # noqa: ARG002 - alike in all rounds
        """How far into its round an update is."""
        k = self.rewind_step(steps)
        return update if update < steps else k + (update - steps) % (steps - k)

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"rounds that each prune {self.share:.3g} of what is left and go back to {self.to:.3g} of training"
