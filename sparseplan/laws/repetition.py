"""How repeated data and size count, as law files carry it: the block `repetition`."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from sparseplan.laws.forms.base import Coefficient
from sparseplan.laws.forms.budget import Floats
from sparseplan.laws.forms.repeated import Rate

BLOCK = "repetition"
_WHY = "It counts how many repetitions a unit is worth in the long run."


class RateInSparsity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """R(S) = dense (1 + linear S + quadratic S^2), above 0 at every S in [0, 1)."""

    dense: Annotated[float, Meta(gt=0, description="R of dense models.")]
    linear: Annotated[float, Meta(description="Relative change with S.")] = 0.0
    quadratic: Annotated[float, Meta(description="Relative change with the square of S.")] = 0.0

    def __post_init__(self) -> None:
        ends = [0.0, 1.0]
        if self.quadratic > 0.0:  # the bottom of the parabola, where it lies between
            ends.append(min(max(-self.linear / (2.0 * self.quadratic), 0.0), 1.0))
        lowest = min(ends, key=self._relative)
        if self._relative(lowest) <= 0.0:
            raise ValueError(
                f"repetition: expected 1 + linear S + quadratic S^2 above 0 at every sparsity, found "
                f"{self._relative(lowest):.3g} at S = {lowest:.3g}"
            )

    def _relative(self, S: float) -> float:
        return 1.0 + S * (self.linear + S * self.quadratic)


Entry = Annotated[float, Meta(gt=0, description=_WHY)] | RateInSparsity


class Repetition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """R_N of parameters beyond those that the unique data are enough for, R_D of data beyond the unique data."""

    R_N: Entry
    R_D: Entry

    def rate(self, name: str) -> Rate:
        """One of the two, with all its coefficients."""
        entry: float | RateInSparsity = getattr(self, name)
        if isinstance(entry, RateInSparsity):
            return Rate(entry.dense, entry.linear, entry.quadratic)
        return Rate(entry)

    def columns(self) -> Iterator[tuple[str, float]]:
        """Name, as draws are called, and value of every number in the block: `repetition.R_D`, `...R_D.linear`."""
        for name in NAMES:
            entry: float | RateInSparsity = getattr(self, name)
            if not isinstance(entry, RateInSparsity):
                yield f"{BLOCK}.{name}", entry
                continue
            yield f"{BLOCK}.{name}", entry.dense
            yield f"{BLOCK}.{name}.linear", entry.linear
            yield f"{BLOCK}.{name}.quadratic", entry.quadratic

    def drawn(self, name: str, table: dict[str, Floats]) -> Rate:
        """A rate with draws in place of the values that were drawn; `table` has them by column."""
        values = dict(self.columns()) | table
        ends = ("", ".linear", ".quadratic")
        return Rate(*(values.get(f"{BLOCK}.{name}{end}", 0.0) for end in ends))


NAMES = ("R_N", "R_D")
PUBLISHED = (1.0, 100.0)
"""Published values lie between 4 and 26; beyond these ends they are worth a second look."""


def column_coefficients(repetition: Repetition | None) -> dict[str, Coefficient]:
    """What draws of the block may hold, by column, each with its unit and bounds."""
    if repetition is None:
        return {}
    return {
        column: Coefficient(name=column, description=_WHY, low=None if column.count(".") > 1 else 0.0)
        for column, _ in repetition.columns()
    }


def with_dense_value(shape: Repetition, dense: Repetition) -> Repetition:
    """The rates of one block at S = 0, with the other's change with sparsity: what composing two laws makes of them."""

    def mixed(name: str) -> float | RateInSparsity:
        own, value = shape.rate(name), float(dense.rate(name).dense)
        if not own.varies:
            return value
        return RateInSparsity(dense=value, linear=float(own.linear), quadratic=float(own.quadratic))

    return Repetition(R_N=mixed("R_N"), R_D=mixed("R_D"))
