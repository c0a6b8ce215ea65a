"""The cost of training and inference on a device: sparsities that it accelerates, others as if zeros were weights.

A run is dense until its mask is final, at the end t1 of the ramp, and runs s times faster from there on, where the
device accelerates its pattern (`hardware.acceleration`). Against a dense model with the same non-zero parameters, a
model smaller by 1 - S,

    c_mul = (t1 + (1 - t1) / s(S, width)) / (1 - S)

with the width of the model before pruning. Where a training goes back in rounds, all but the last cost what dense ones
do. What keeps at most two of every four weights is 2:4 to the device and runs as fast: 1:4, and 1:8 and 2:8 too, of
which no four consecutive weights keep more than two. Unstructured sparsity and all other n:m cost 1 / (1 - S), unless
the profile knows kernels for them.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sparseplan.cost.flops import Cost, schedule_cost
from sparseplan.cost.inference import Inference
from sparseplan.cost.overhead import PLAIN, Overhead
from sparseplan.hardware.acceleration import Acceleration, acceleration
from sparseplan.hardware.kernels import Serves
from sparseplan.hardware.profile import Profile
from sparseplan.laws.forms.budget import Array, Floats
from sparseplan.shapes.base import typical_width
from sparseplan.sparsity.pattern import Pattern
from sparseplan.sparsity.schedule import Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceCost(Cost):
    """A cost in which some sparsities of a pattern run faster after the ramp.

    Attributes:
        schedule: How runs are pruned, and so how long they train with the final mask.
        acceleration: How much faster.
    """

    schedule: Schedule
    acceleration: Acceleration

    @property
    def depends_on_size(self) -> bool:
        """Whether the multiplier depends on N."""
        return self.acceleration.depends_on_size

    def on_ramp(self, schedule: Schedule, tokens_per_unit: float) -> Cost:
        """The same device, for runs of another ramp and data unit."""
        saving = _saving(schedule, self.acceleration)
        return replace(self, saving=saving, schedule=schedule, tokens_per_unit=tokens_per_unit)

    def multiplier(self, S: Floats, N: Floats | None = None) -> Array:
        """c_mul(S, N) for N non-zero parameters."""
        S = np.asarray(S, dtype=np.float64)
        assert N is not None or not self.depends_on_size
        width = np.ones(()) if N is None else typical_width(np.asarray(N, dtype=np.float64) / (1.0 - S))
        time = self.schedule.length(S) + self.schedule.settled(S) * (1.0 / self.acceleration.at(S, width) - 1.0)
        return self.overhead.around(time / (1.0 - S), S)


def _saving(schedule: Schedule, fast: Acceleration) -> float | None:
    """kappa where unstructured sparsities cost as if zeros were weights: single sparsities need none."""
    return None if schedule.kind == "rewinding" or fast.is_continuous else 0.0


def device_cost(
    profile: Profile,
    pattern: Pattern,
    schedule: Schedule,
    *,
    tokens_per_unit: float = 1.0,
    overhead: Overhead = PLAIN,
) -> Cost:
    """The cost of a pattern's sparsities on a device, trained with a ramp."""
    fast = acceleration(profile, pattern, "training")
    if fast is None:
        return schedule_cost(
            profile.name, schedule, zeros_free=False, tokens_per_unit=tokens_per_unit, overhead=overhead
        )
    return DeviceCost(
        name=profile.name,
        saving=_saving(schedule, fast),
        tokens_per_unit=tokens_per_unit,
        overhead=overhead,
        schedule=schedule,
        acceleration=fast,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceInference(Inference):
    """Inference on a device, where some sparsities of a pattern run faster than dense weights.

    Attributes:
        profile: What is known of the device.
        work: Decoding or prefill.
        acceleration: How much faster; None where it accelerates none of them.
    """

    profile: Profile
    work: Serves
    acceleration: Acceleration | None

    @property
    def depends_on_size(self) -> bool:
        """Whether the speed-up was measured at several widths."""
        return self.acceleration is not None and self.acceleration.depends_on_size

    @property
    def kind(self) -> Serves | None:
        """Which speed-ups of the device count."""
        return self.work

    def on(self, pattern: Pattern) -> Self:
        """The same device, with the sparsities of the pattern that it accelerates."""
        return replace(self, acceleration=acceleration(self.profile, pattern, self.work))

    def speedup(self, S: Floats, N: Floats) -> Array:
        """How much faster the device runs a sparsity than the dense model before pruning."""
        S = np.asarray(S, dtype=np.float64)
        if self.acceleration is None:
            return np.ones_like(S)
        return self.acceleration.at(S, typical_width(np.asarray(N, dtype=np.float64) / (1.0 - S)))


def device_inference(
    profile: Profile,
    pattern: Pattern,
    tokens: Floats,
    weight: float = 1.0,
    work: Serves = "prefill",
    overhead: Overhead = PLAIN,
) -> DeviceInference:
    """Inference of a pattern's sparsities on a device; by default on many tokens at once: multiplying is the limit."""
    fast = acceleration(profile, pattern, work)
    return DeviceInference(
        name=profile.name,
        tokens=tokens,
        weight=weight,
        overhead=overhead,
        profile=profile,
        work=work,
        acceleration=fast,
    )
