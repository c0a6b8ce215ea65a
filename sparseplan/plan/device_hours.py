"""Device hours, wall-clock time and money: what a budget of training FLOPs means on a device.

FLOPs become seconds at one rate for the whole answer: the peak times the utilization, or what was measured at the width
of the dense plan's model. The sparse plan's wider model may run a little nearer to the peak; that is not counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparseplan.cost.work import PLAIN, Work
from sparseplan.errors import PlanError
from sparseplan.laws.forms.base import Theta
from sparseplan.plan.hardware_answer import SECONDS_PER_HOUR, DeviceUse
from sparseplan.plan.question import Question, dense_plan
from sparseplan.shapes.base import typical_width

if TYPE_CHECKING:
    from sparseplan.hardware.profile import Profile

_STEPS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """The devices that training runs on, as the user describes them.

    Attributes:
        name: What to call one.
        profile: What is known of it; None where the peak and the utilization are given instead.
        peak_flops: Peak dense FLOP/s of one; None leaves the profile's.
        utilization: Share of the peak that training reaches, (0, 1]; None leaves the profile's.
        devices: How many work at once; None where only device hours matter.
        price_per_hour: Money for one device for one hour.
        work: What a token takes beside 6 N; measured rates count 6 N alone, in a time that has attention in it.
    """

    name: str
    profile: "Profile | None" = None
    peak_flops: float | None = None
    utilization: float | None = None
    devices: float | None = None
    price_per_hour: float | None = None
    work: Work = PLAIN

    @property
    def peak(self) -> float | None:
        """Peak dense FLOP/s of one device, where it is known."""
        return self.peak_flops or (self.profile.peak_flops if self.profile is not None else None)

    def flops_per_second(self, dense_params: float) -> float:
        """FLOP/s of training a dense model of a size, counted as C is.

        Raises:
            PlanError: if neither the profile nor the options say.
        """
        if self.utilization is not None:
            if self.peak is None:
                raise PlanError("`utilization`: expected a peak to take a share of; give it with `peak`, as in 989T.")
            return self.peak * self.utilization
        if self.profile is None:
            raise PlanError("`peak`: expected `utilization` beside it, the share of the peak that training reaches.")
        from sparseplan.hardware.profile import DatasheetProfile, training_rate  # noqa: PLC0415  only where a device is named

        if isinstance(self.profile, DatasheetProfile):
            return (self.peak or self.profile.peak_flops) * self.profile.utilization
        rate = training_rate(self.profile)
        if rate is None:
            raise PlanError(
                f"{self.name}: expected a profile with times of training, found none; give `peak` and `utilization`, "
                "or measure again with `bench`."
            )
        return float(rate.at(typical_width(dense_params))) * self.work.total

    @property
    def asked_for(self) -> bool:
        """Whether the user asked for what needs a rate, by more than naming a profile."""
        return any(
            value is not None for value in (self.utilization, self.peak_flops, self.devices, self.price_per_hour)
        )

    @property
    def utilization_source(self) -> str:
        """Where the rate comes from: given, assumed (a datasheet's) or measured."""
        if self.utilization is not None or self.profile is None:
            return "given"
        return "measured" if self.profile.__struct_config__.tag == "measured" else "assumed"


@np.errstate(all="ignore")  # what overflows is refused by the answer, by name
def flops_for_hours(theta: Theta, ask: Callable[..., Question], device: Device, hours: float) -> float:
    """Training FLOPs that a number of device hours pays for; `ask(train_flops=C)` is the question at a budget.

    With the size free the rate depends on the size and the size on the budget. A few steps settle both: over widths
    the rate changes far more slowly than in proportion.
    """
    seconds = hours * SECONDS_PER_HOUR
    flops = seconds * device.flops_per_second(1e9)
    for _ in range(_STEPS):
        sized = dense_plan(theta, ask(train_flops=flops))
        following = seconds * device.flops_per_second(float(sized.dense_params))
        if abs(following - flops) <= 1e-12 * flops:
            break
        flops = following
    return flops


def device_use(
    device: Device, *, train_flops: float, dense_params: float, dense_flops_for_equal_loss: float
) -> DeviceUse:
    """Turn an answer's FLOPs into hours and money; `dense_params` is the size of the dense plan."""
    rate = device.flops_per_second(dense_params)
    hours = train_flops / rate / SECONDS_PER_HOUR
    equal = dense_flops_for_equal_loss / rate / SECONDS_PER_HOUR
    price = device.price_per_hour
    finite = bool(np.isfinite(equal))
    return DeviceUse(
        name=device.name,
        peak_flops=device.peak,
        utilization=None if device.peak is None else rate / device.peak,
        utilization_source=device.utilization_source,
        flops_per_second=rate,
        device_hours=hours,
        devices=device.devices,
        wall_clock_hours=None if device.devices is None else hours / device.devices,
        price_per_device_hour=price,
        price=None if price is None else hours * price,
        dense_device_hours_for_equal_loss=equal if finite else None,
        dense_price_for_equal_loss=equal * price if finite and price is not None else None,
    )
