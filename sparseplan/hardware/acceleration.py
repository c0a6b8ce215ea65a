"""How much faster than dense a device runs the sparsities of a pattern, in one kind of work.

Three things can make zeros count: 2:4 units, by the width of the model (`speedup`), on every mask that keeps at most
two of four weights; kernels for one n:m, from the profile's `kernels`; and kernels for unstructured zeros, from there
too, which run any mask. Of those that apply to a sparsity the fastest is taken, but a row for an n:m replaces what 2:4
units would make of it: it was measured, or claimed, of just that.
"""

from dataclasses import dataclass

import numpy as np

from sparseplan.hardware.kernels import Spread, Work
from sparseplan.hardware.profile import Array, Batch, Curve, Floats, Phase, Profile, speedup
from sparseplan.sparsity.pattern import Pattern

WORKS: tuple[Work, ...] = ("training", "decoding", "prefill")
_DEVICE_KEEPS, _DEVICE_GROUP = 2, 4
_PHASES: dict[Work, tuple[Phase, Batch]] = {
    "training": ("training", "large"),
    "decoding": ("inference", "small"),
    "prefill": ("inference", "large"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceleration:
    """A pattern's speed-ups over dense weights in one kind of work.

    Attributes:
        as_2to4: Sparsities that run as 2:4.
        curve: How much faster, by width; None where nothing runs as 2:4.
        exact: Speed-ups of single sparsities, at every width.
        sparsities: Of unstructured kernels, ascending, shape (n,); between them speed-ups are linear in ln(1 - S),
            below the first there is none, since dense weights are at hand, and above the last its own stands in.
        speeds: Their speed-ups as medians, shape (n,).
        low: Their percentiles 10.
        high: Their percentiles 90.
    """

    as_2to4: tuple[float, ...]
    curve: Curve | None
    exact: tuple[tuple[float, Spread], ...]
    sparsities: Array
    speeds: Array
    low: Array
    high: Array

    @property
    def depends_on_size(self) -> bool:
        """Whether it depends on the width."""
        return self.curve is not None and self.curve.widths is not None

    @property
    def is_continuous(self) -> bool:
        """Whether it accelerates more than single sparsities."""
        return len(self.sparsities) > 0

    def at(self, S: Floats, width: Floats) -> Array:
        """Speed-ups at sparsities and widths of the model before pruning, which broadcast; 1 at S = 0."""
        S = np.asarray(S, dtype=np.float64)
        curve = np.ones(()) if self.curve is None else self.curve.at(width)
        fast = np.where(np.isin(S, self.as_2to4), curve, 1.0)
        for sparsity, spread in self.exact:
            fast = np.where(sparsity == S, spread.median, fast)
        return np.asarray(np.maximum(fast, self._unstructured(self.speeds, S)) if self.is_continuous else fast)

    def spread_at(self, S: float, width: float) -> Spread | None:
        """The speed-up of one sparsity with its percentiles 10 and 90; None where nothing accelerates it."""
        found = [spread for sparsity, spread in self.exact if sparsity == S]
        if not found and self.curve is not None and S in self.as_2to4:
            found = [self.curve.spread_at(width)]
        if self.is_continuous and self.sparsities[0] <= S:
            median, low, high = (float(self._unstructured(of, S)) for of in (self.speeds, self.low, self.high))
            found.append(Spread(median=median, low=min(low, median), high=max(high, median)))
        return max(found, key=lambda spread: spread.median, default=None)

    def _unstructured(self, speeds: Array, S: Floats) -> Array:
        # ln(1 - S) falls as S rises, and `interp` wants rising points.
        x, points = -np.log1p(-np.asarray(S, dtype=np.float64)), -np.log1p(-self.sparsities)
        return np.asarray(np.interp(x, points, speeds, left=1.0))


def acceleration(profile: Profile, pattern: Pattern, work: Work) -> Acceleration | None:
    """What a device makes of a pattern's sparsities in one kind of work; None where it accelerates none of them."""
    rows = [row for row in profile.kernels if row.work == work]
    free = sorted((row for row in rows if row.pattern == "unstructured"), key=lambda row: row.at_sparsity)
    made = set(pattern.sparsities or ())
    group = f":{pattern.group}"
    exact = tuple(
        (row.at_sparsity, row.speedup) for row in rows if row.pattern.endswith(group) and row.at_sparsity in made
    )
    as_2to4 = accelerated_sparsities(pattern)
    curve = speedup(profile, *_PHASES[work]) if as_2to4 else None
    if curve is None and not exact and not free:
        return None
    ends = [row.speedup.ends for row in free]
    return Acceleration(
        as_2to4=as_2to4,
        curve=curve,
        exact=exact,
        sparsities=np.array([row.at_sparsity for row in free]),
        speeds=np.array([row.speedup.median for row in free]),
        low=np.array([low for low, _ in ends]),
        high=np.array([high for _, high in ends]),
    )


def runs_2to4(profile: Profile) -> bool:
    """Whether the device multiplies 2:4 weights faster in any work, and so keeps them compressed."""
    return any(speedup(profile, *phase) is not None for phase in _PHASES.values())


def accelerated_sparsities(pattern: Pattern) -> tuple[float, ...]:
    """The sparsities of a pattern whose masks keep at most two of every four weights.

    >>> from sparseplan.sparsity.pattern import parse_pattern
    >>> [accelerated_sparsities(parse_pattern(word)) for word in ("2:4", "n:4", "n:8", "4:8", "unstructured")]
    [(0.5,), (0.5, 0.75), (0.75, 0.875), (), ()]
    """
    if pattern.group is None or pattern.group % _DEVICE_GROUP:
        return ()
    group = pattern.group
    return tuple(S for S in pattern.sparsities or () if round((1.0 - S) * group) <= _DEVICE_KEEPS)
