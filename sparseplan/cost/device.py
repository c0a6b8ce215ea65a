"""The cost of training on a given device: 2:4 from its speed-up, everything else as if zeros were weights.

A 2:4 run is dense until its mask is exactly 2:4, at the end t1 of the ramp, and runs s times faster from there on.
Against a dense model with the same non-zero parameters, a model smaller by 1 - S,

    c_mul = (t1 + (1 - t1) / s(width)) / (1 - S)

with the width of the model before pruning. Where a training goes back in rounds, all but the last cost what dense ones
do. What keeps at most two of every four weights is 2:4 to the device and runs
as fast: 1:4, and 1:8 and 2:8 too, of which no four consecutive weights keep more than two. Unstructured sparsity and
all other n:m cost 1 / (1 - S): no kernel that these devices have makes use of their zeros in training.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sparseplan.cost.flops import Cost, schedule_cost
from sparseplan.cost.inference import Inference
from sparseplan.cost.work import PLAIN, Work
from sparseplan.hardware.profile import Curve, Profile, speedup
from sparseplan.laws.forms.budget import Array, Floats
from sparseplan.shapes.base import typical_width
from sparseplan.sparsity.pattern import Pattern
from sparseplan.sparsity.schedule import Schedule

_DEVICE_KEEPS, _DEVICE_GROUP = 2, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceCost(Cost):
    """A cost in which some sparsities of a pattern run faster after the ramp, by a factor that depends on the width.

    Attributes:
        accelerated: Those sparsities.
        schedule: How runs are pruned, and so how long they train with the final mask.
        speedup: Training speed-up of 2:4 by width.
    """

    accelerated: tuple[float, ...]
    schedule: Schedule
    speedup: Curve

    @property
    def depends_on_size(self) -> bool:
        """Whether the multiplier depends on N."""
        return self.speedup.widths is not None

    def on_ramp(self, schedule: Schedule, tokens_per_unit: float) -> Cost:
        """The same device, for runs of another ramp and data unit."""
        saving = None if schedule.kind == "rewinding" else 0.0
        return replace(self, saving=saving, schedule=schedule, tokens_per_unit=tokens_per_unit)

    def multiplier(self, S: Floats, N: Floats | None = None) -> Array:
        """c_mul(S, N) for N non-zero parameters."""
        S = np.asarray(S, dtype=np.float64)
        assert N is not None or not self.depends_on_size
        width = np.ones(()) if N is None else typical_width(np.asarray(N, dtype=np.float64) / (1.0 - S))
        length = self.schedule.length(S)
        time = length + self.schedule.settled(S) * (1.0 / self.speedup.at(width) - 1.0)
        return self.work.around(np.where(np.isin(S, self.accelerated), time, length) / (1.0 - S), S)


def device_cost(
    profile: Profile, pattern: Pattern, schedule: Schedule, *, tokens_per_unit: float = 1.0, work: Work = PLAIN
) -> Cost:
    """The cost of a pattern's sparsities on a device, trained with a ramp."""
    curve, accelerated = speedup(profile, "training"), accelerated_sparsities(pattern)
    if curve is None or not accelerated:
        return schedule_cost(profile.name, schedule, zeros_free=False, tokens_per_unit=tokens_per_unit, work=work)
    return DeviceCost(
        name=profile.name,
        saving=None if schedule.kind == "rewinding" else 0.0,
        tokens_per_unit=tokens_per_unit,
        work=work,
        accelerated=accelerated,
        schedule=schedule,
        speedup=curve,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceInference(Inference):
    """Inference in which some sparsities run faster than dense weights, by a factor that depends on the width.

    Attributes:
        accelerated: Those sparsities.
        curve: Speed-up of 2:4 by width of the model before pruning.
    """

    accelerated: tuple[float, ...]
    curve: Curve

    @property
    def depends_on_size(self) -> bool:
        """Whether the speed-up was measured at several widths."""
        return self.curve.widths is not None and bool(self.accelerated)

    def on(self, pattern: Pattern) -> Self:
        """The same device, with the sparsities of the pattern that it accelerates."""
        return replace(self, accelerated=accelerated_sparsities(pattern))

    def speedup(self, S: Floats, N: Floats) -> Array:
        """That of 2:4 where the device runs a sparsity as 2:4, else 1."""
        S = np.asarray(S, dtype=np.float64)
        faster = self.curve.at(typical_width(np.asarray(N, dtype=np.float64) / (1.0 - S)))
        return np.asarray(np.where(np.isin(S, self.accelerated), faster, 1.0))


def device_inference(
    profile: Profile, pattern: Pattern, tokens: Floats, weight: float = 1.0, work: Work = PLAIN
) -> Inference:
    """Inference of a pattern's sparsities on a device, on many tokens at once: multiplying bounds the speed."""
    curve = speedup(profile, "inference", "large")
    if curve is None:
        return Inference(name=profile.name, tokens=tokens, weight=weight, work=work)
    accelerated = accelerated_sparsities(pattern)
    return DeviceInference(
        name=profile.name, tokens=tokens, weight=weight, work=work, accelerated=accelerated, curve=curve
    )


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
