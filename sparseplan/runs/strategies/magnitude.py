"""Pruning the smallest weights, along a ramp or in one cut."""

from typing import Annotated, Literal

from msgspec import Meta

from sparseplan.runs.strategies.base import OneCut, Ramp, Settings
from sparseplan.sparsity.schedule import Schedule

DEFAULT_STRATEGY = "gradual-magnitude"
"""The strategy of recipes that name none, as all did before there was a second."""

Scope = Annotated[
    Literal["matrix", "global"],
    Meta(description="matrix: every matrix is cut alike; global: one threshold for all of them, unstructured only."),
]


def ramp_in_pieces(schedule: Schedule, pieces: int, sparsity: float, steps: int) -> Ramp:
    """Piece k of K ends at S(k / K), and the masks that it ends with come in force at its end.

    >>> ramp_in_pieces(Schedule(), 2, 0.5, 100)
    ((50, 0.4375), (75, 0.5))
    """
    first, last = round(schedule.start * steps), round(schedule.end * steps)
    if first == last:
        return ((last, sparsity),)
    pieces = min(pieces, last - first)
    width = schedule.end - schedule.start
    return tuple(
        (
            first + round((last - first) * k / pieces),
            sparsity if k == pieces else float(schedule.sparsity(sparsity, schedule.start + width * k / pieces)),
        )
        for k in range(1, pieces + 1)
    )


def check_ramp(schedule: Schedule) -> None:
    """Refuse a schedule that is no ramp."""
    if schedule.kind not in ("cubic", "linear", "geometric"):
        raise ValueError(f"expected a cubic, linear or geometric schedule, found {schedule.kind}")


class GradualMagnitude(Settings, frozen=True, kw_only=True, tag=DEFAULT_STRATEGY):
    """Gradual magnitude pruning along a ramp of `updates` equal pieces; a zero stays zero.

    Source: Zhu & Gupta 2017, arXiv:1710.01878; Frantar et al. 2023, arXiv:2309.08520; with a geometric ramp: Jin et al.
    2025, arXiv:2501.12486.
    """

    schedule: Schedule = Schedule()
    updates: Annotated[int, Meta(ge=1, description="How often the masks shrink on the ramp.")] = 64
    scope: Scope = "matrix"

    def __post_init__(self) -> None:
        check_ramp(self.schedule)

    def ramp(self, sparsity: float, steps: int) -> Ramp:
        """See `ramp_in_pieces`."""
        return ramp_in_pieces(self.schedule, self.updates, sparsity, steps)

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"{self.schedule.describe()}, {self.updates} updates{_scope(self.scope)}"


class OneShot(OneCut, frozen=True, kw_only=True, tag="one-shot"):
    """Dense to the moment `at`, one cut of the smallest weights, then trained on: a ramp of no length.

    Source: the limit of Zhu & Gupta 2017, arXiv:1710.01878.
    """

    scope: Scope = "matrix"

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"the smallest weights cut at {self.at:.3g} of training{_scope(self.scope)}"


def _scope(scope: str) -> str:
    return ", one threshold for all matrices" if scope == "global" else ""
