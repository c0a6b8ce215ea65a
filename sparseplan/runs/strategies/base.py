"""What every strategy answers, with the answers that most of them share.

Each has besides, as a field or a property, `schedule`: what the law's c_mul counts, as fractions of training.
"""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from sparseplan.sparsity.schedule import Schedule

Ramp = tuple[tuple[int, float], ...]
"""At each update the sparsity that holds from there on, ascending in both."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="strategy"):
    """The settings of a strategy, under its tag.

    Attributes:
        needs_groups: Whether it works on n:m patterns only.
        allows_groups: Whether it works on n:m patterns at all.
        scales_by_density: Whether weights that are sparse from the start are a random part of dense ones, so that a
            matrix sums as much less as it is sparser, and `scale_by_density` makes up for it.
    """

    needs_groups: ClassVar[bool] = False
    allows_groups: ClassVar[bool] = True
    scales_by_density: ClassVar[bool] = True

    def ramp(self, sparsity: float, steps: int) -> Ramp:  # noqa: ARG002 - others depend on the length
        """The sparsity in force from which update on; never empty. Here: the final one from the first update on."""
        return ((0, sparsity),)

    def describe(self) -> str:
        """The strategy in a few words."""
        raise NotImplementedError

    def total_updates(self, sparsity: float, steps: int) -> int:  # noqa: ARG002 - the same for every sparsity
        """Updates of the whole training, for a model that has made `steps` of them in the end."""
        return steps

    def place(self, update: int, sparsity: float, steps: int) -> int:  # noqa: ARG002 - likewise
        """How many updates a model has behind it after `update` updates of the training."""
        return update

    def dense_gradients(self, from_step: int, to_step: int, steps: int) -> int:  # noqa: ARG002 - none in most
        """How many of the sparse updates from `from_step` to `to_step` form the gradient of pruned weights too."""
        return 0

    def alike_until(self, steps: int) -> int:
        """Of a strategy that prunes from the start: the update until which runs of all lengths are pruned alike."""
        return steps


class OneCut(Settings, frozen=True, kw_only=True):
    """What strategies share that train a dense model to the moment `at`, cut it there, and train on."""

    at: Annotated[float, Meta(ge=0, le=1, description="When the weights are cut, as a fraction of training.")] = 0.5

    @property
    def schedule(self) -> Schedule:
        """A ramp of no length."""
        return Schedule(start=self.at, end=self.at)

    def ramp(self, sparsity: float, steps: int) -> Ramp:
        """The final sparsity from the cut on."""
        return ((round(self.at * steps), sparsity),)
