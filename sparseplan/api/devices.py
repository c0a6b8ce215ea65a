"""What the arguments of a plan say of devices, and of the inference that the model is to serve."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from sparseplan.api import arguments
from sparseplan.api.arguments import Number
from sparseplan.cost.inference import Inference, flops_inference
from sparseplan.cost.overhead import PLAIN, Overhead
from sparseplan.errors import PlanError
from sparseplan.laws.forms.base import Theta
from sparseplan.plan.question import Question
from sparseplan.sparsity.pattern import Pattern

if TYPE_CHECKING:
    from sparseplan.hardware.profile import Profile
    from sparseplan.plan.device_hours import Device
    from sparseplan.plan.serving_device import ServingDevice


class Demand(Struct, frozen=True, kw_only=True):
    """The inference that a model is to serve, as the arguments describe it.

    Attributes:
        tokens: T.
        cost: What zeros cost there: sparse, dense or a profile's name.
        profile: That profile; None for a word.
        elsewhere: Whether it runs on other devices than training.
        weight: What a FLOP of it costs against one of training, where that is given.
        price: Money for one of its devices for one hour.
        utilization: Share of the peak that it reaches.
        batch: How many tokens a step processes.
    """

    tokens: float
    cost: str
    profile: "Profile | None"
    elsewhere: bool
    weight: float | None
    price: float | None
    utilization: float | None
    batch: float | None

    def inference(self, pattern: Pattern, overhead: Overhead = PLAIN) -> Inference:
        """What it costs in FLOPs, for a model whose tokens take an overhead."""
        if self.profile is None:
            return flops_inference(self.cost, self.tokens, self.weight or 1.0, overhead)
        from sparseplan.cost.device import device_inference
        from sparseplan.hardware.kernels import Serves
        from sparseplan.hardware.profile import batch_of

        work: Serves = "decoding" if batch_of(self.batch) == "small" else "prefill"
        return device_inference(self.profile, pattern, self.tokens, self.weight or 1.0, work, overhead)

    def device(self, training: "Device") -> "ServingDevice":
        """The devices that it runs on: those of its own profile, else those that train."""
        from sparseplan.plan.serving_device import ServingDevice

        if self.elsewhere:
            assert self.profile is not None
            return ServingDevice(
                name=self.profile.name,
                profile=self.profile,
                utilization=self.utilization,
                tokens_at_once=self.batch,
                price_per_hour=self.price,
                overhead=training.overhead,
            )
        return ServingDevice(
            name=training.name,
            profile=training.profile,
            peak_flops=training.peak_flops,
            utilization=self.utilization or training.utilization,
            tokens_at_once=self.batch,
            price_per_hour=training.price_per_hour if self.price is None else self.price,
            overhead=training.overhead,
        )


def demand(
    *,
    tokens: Number | None,
    given: bool,
    cost: str,
    profile: "Profile | None",
    elsewhere: bool,
    weight: Number | None,
    price: Number | None,
    utilization: float | None,
    batch: Number | None,
) -> Demand | None:
    """What the arguments say of inference; None where they name no demand.

    Raises:
        PlanError: for what is said of inference without a demand, or twice.
    """
    wanted = arguments.positive("inference_tokens", tokens)
    found = {
        "inference_weight": arguments.positive("inference_weight", weight),
        "inference_price": arguments.money("inference_price", price),
        "inference_utilization": arguments.positive("inference_utilization", utilization),
        "inference_batch": arguments.positive("inference_batch", batch),
    }
    if wanted is None:
        named = ["inference"] if given else [name for name, value in found.items() if value is not None]
        if named:
            raise PlanError(f"`{named[0]}`: expected `inference_tokens` beside it, the demand that it is about.")
        return None
    if found["inference_weight"] is not None and found["inference_price"] is not None:
        raise PlanError(
            "expected `inference_weight`, or `inference_price`, from which it follows with `price`; found both."
        )
    share = found["inference_utilization"]
    if share is not None and share > 1.0:
        raise PlanError(f"`inference_utilization`: expected a share of the peak, at most 1, found {share:g}.")
    return Demand(
        tokens=wanted,
        cost=cost,
        profile=profile,
        elsewhere=elsewhere,
        weight=found["inference_weight"],
        price=found["inference_price"],
        utilization=share,
        batch=found["inference_batch"],
    )


def device(
    profile: "Profile | None",
    served: Demand | None,
    *,
    device_hours: float | None,
    days: float | None,
    peak: float | None,
    utilization: float | None,
    devices: float | None,
    price: float | None,
    overhead: Overhead = PLAIN,
    splits: bool = False,
) -> "Device | None":
    """The device that the arguments describe, with those of inference; None where they name none.

    `overhead` is of a real model; `splits` says that memory is split over the `devices`, whatever they are.
    """
    if profile is None and peak is None:
        asked = {
            "device_hours": device_hours,
            "days": days,
            "utilization": utilization,
            "devices": None if splits else devices,
            "price": price,
            "inference_price": None if served is None else served.price,
            "inference_utilization": None if served is None else served.utilization,
            "inference_batch": None if served is None or served.profile is not None else served.batch,
        }
        for name, value in asked.items():
            if value is not None:
                raise PlanError(
                    f"`{name}`: expected a device: a hardware profile as `cost`, such as h100, or `peak` and "
                    "`utilization`."
                )
        return None
    from sparseplan.plan.device_hours import Device

    training = partial(
        Device,
        name=profile.name if profile is not None else "the device",
        profile=profile,
        peak_flops=peak,
        utilization=utilization,
        devices=devices,
        price_per_hour=price,
        overhead=overhead,
    )
    return training() if served is None else training(serving=served.device(training()))


def asked(
    values: Callable[[], Theta],
    ask: Callable[..., Question],
    used: "Device | None",
    served: Demand | None,
    *,
    flops: float | None,
    loss: float | None,
    hours: float | None,
) -> Question:
    """The question at the goal that is given: FLOPs, a loss, or hours of devices.

    A total in hours weighs inference by the rates of its devices; the least total for a loss by their prices too, where
    both are given.

    Raises:
        PlanError: for a weight of inference that is given, and follows from the hours.
    """
    if flops is not None:
        return ask(train_flops=flops)
    if hours is not None:
        from sparseplan.plan.device_hours import question_in_hours

        assert used is not None, "hours without a device were refused"
        if served is not None and served.weight is not None:
            raise PlanError(
                "`inference_weight`: expected none with a budget in hours: the rates of the devices say it."
            )
        return question_in_hours(values(), ask, used, hours)
    question = ask(loss=loss)
    serving = None if used is None else used.serving
    if used is None or serving is None or served is None or served.weight is not None:
        return question
    if used.price_per_hour is None or serving.price_per_hour is None:
        return question
    from sparseplan.plan.device_hours import question_in_money

    return question_in_money(values(), question, used)
