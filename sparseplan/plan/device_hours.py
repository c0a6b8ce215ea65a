"""Device hours, wall-clock time and money: what FLOPs of training, and of inference where it counts, mean on devices.

FLOPs become seconds at one rate for the whole answer: the peak times the utilization, or what was measured at the width
of the dense plan's model. The sparse plan's wider model may run a little nearer to the peak; that is not counted. Of a
total, each part is divided by the rate of its own devices, and in money multiplied by their price.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from sparseplan.cost.overhead import PLAIN, Overhead
from sparseplan.errors import PlanError
from sparseplan.laws.forms.base import Theta
from sparseplan.plan.hardware_answer import SECONDS_PER_HOUR, DeviceUse, InferenceUse
from sparseplan.plan.question import Question, dense_plan
from sparseplan.plan.serving_device import ServingDevice, weighed
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
        serving: The devices that inference runs on; None where it doesn't count.
        overhead: What tokens take beside 6 N; measured rates count 6 N alone, in a time that has attention in it.
    """

    name: str
    profile: "Profile | None" = None
    peak_flops: float | None = None
    utilization: float | None = None
    devices: float | None = None
    price_per_hour: float | None = None
    serving: ServingDevice | None = None
    overhead: Overhead = PLAIN

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
        return float(rate.at(typical_width(dense_params))) * self.overhead.total

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
def question_in_hours(theta: Theta, ask: Callable[..., Question], device: Device, hours: float) -> Question:
    """The question at a budget in device hours, of training and inference where both count.

    `ask(train_flops=C)` is the question at a budget of FLOPs. With the size free the rates depend on the size and the
    size on the budget. A few steps settle both: over widths a rate changes far more slowly than in proportion.
    """
    seconds = hours * SECONDS_PER_HOUR

    def at_size(dense_params: float) -> Question:
        rate = device.flops_per_second(dense_params)
        question = ask(train_flops=seconds * rate)
        if question.inference is None or device.serving is None:
            return question
        return weighed(question, rate / device.serving.flops_per_second(dense_params), "hours")

    return _settled(theta, at_size)


@np.errstate(all="ignore")
def question_in_money(theta: Theta, question: Question, device: Device) -> Question:
    """A question that counts inference, with the weight that makes its total money: price over rate, of each device."""
    serving = device.serving
    assert serving is not None
    assert serving.price_per_hour is not None
    assert device.price_per_hour is not None
    dearer = serving.price_per_hour / device.price_per_hour

    def at_size(dense_params: float) -> Question:
        slower = device.flops_per_second(dense_params) / serving.flops_per_second(dense_params)
        return weighed(question, dearer * slower, "money")

    return _settled(theta, at_size)


def _settled(theta: Theta, at_size: Callable[[float], Question]) -> Question:
    """The question whose rates are those at the size of its own dense plan, where there is one."""
    question = at_size(1e9)
    for _ in range(_STEPS):
        size = float(dense_plan(theta, question).dense_params)
        if not (np.isfinite(size) and size > 0.0):
            break
        before, question = question, at_size(size)
        if _near(before.train_flops, question.train_flops) and _near(_weight(before), _weight(question)):
            break
    return question


def _near(one: object, other: object) -> bool:
    return one is other or bool(np.isclose(np.asarray(one, float), np.asarray(other, float), rtol=1e-12, atol=0.0))


def _weight(question: Question) -> float:
    return 1.0 if question.inference is None else question.inference.weight


def device_use(
    device: Device,
    *,
    train_flops: float,
    dense_params: float,
    dense_flops_for_equal_loss: float,
    inference_flops: float | None = None,
    dense_inference_flops_for_equal_loss: float | None = None,
) -> DeviceUse:
    """Turn an answer's FLOPs into hours and money; `dense_params` is the size of the dense plan."""
    rate = device.flops_per_second(dense_params)
    hours = train_flops / rate / SECONDS_PER_HOUR
    equal = dense_flops_for_equal_loss / rate / SECONDS_PER_HOUR
    price = device.price_per_hour
    finite = bool(np.isfinite(equal))
    use = DeviceUse(
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
    if device.serving is None or inference_flops is None or not device.serving.has_rate:
        return use
    beside = _inference_use(use, device.serving, dense_params, inference_flops, dense_inference_flops_for_equal_loss)
    return replace(use, inference=beside)


def _inference_use(
    training: DeviceUse, serving: ServingDevice, dense_params: float, flops: float, equal_flops: float | None
) -> InferenceUse:
    rate, price = serving.flops_per_second(dense_params), serving.price_per_hour
    hours = flops / rate / SECONDS_PER_HOUR
    equal, equal_price = training.dense_device_hours_for_equal_loss, training.dense_price_for_equal_loss
    if equal is not None and equal_flops is not None:
        served = equal_flops / rate / SECONDS_PER_HOUR
        equal += served
        equal_price = None if equal_price is None or price is None else equal_price + served * price
    both_priced = training.price is not None and price is not None
    return InferenceUse(
        name=serving.name,
        flops_per_second=rate,
        utilization=None if serving.peak is None else rate / serving.peak,
        utilization_source=serving.utilization_source,
        tokens_at_once=serving.tokens_at_once,
        device_hours=hours,
        price_per_device_hour=price,
        price=None if price is None else hours * price,
        total_device_hours=training.device_hours + hours,
        total_price=(training.price or 0.0) + hours * (price or 0.0) if both_priced else None,
        dense_device_hours_for_equal_loss=equal,
        dense_price_for_equal_loss=equal_price,
    )
