"""Structured pruning: whole attention heads and MLP neurons."""

from typing import Annotated, ClassVar

from msgspec import Meta

from sparseplan.runs.strategies.base import Ramp, Settings
from sparseplan.runs.strategies.magnitude import check_ramp, ramp_in_pieces
from sparseplan.sparsity.schedule import Schedule


class Structured(Settings, frozen=True, kw_only=True, tag="structured"):
    """Whole heads and MLP neurons of least norm, in every block alike, along a ramp of `updates` equal pieces.

    As many heads go as come nearest to the sparsity; neurons make up the rest, exactly at the end, to the nearest
    neuron on the way. Source: the norm as a score: Li et al. 2017, arXiv:1608.08710 (filters); heads: Michel et al.
    2019, arXiv:1905.10650.
    """

    allows_groups: ClassVar[bool] = False

    schedule: Schedule = Schedule()
    updates: Annotated[int, Meta(ge=1, description="How often units are taken on the ramp.")] = 16

    def __post_init__(self) -> None:
        check_ramp(self.schedule)

    def ramp(self, sparsity: float, steps: int) -> Ramp:
        """See `magnitude.ramp_in_pieces`."""
        return ramp_in_pieces(self.schedule, self.updates, sparsity, steps)

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"whole heads and neurons, {self.schedule.describe()}, {self.updates} updates"
