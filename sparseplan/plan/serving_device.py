"""The devices that inference runs on, and what a FLOP there costs against one of training."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparseplan.cost.inference import CountedIn
from sparseplan.cost.overhead import PLAIN, Overhead
from sparseplan.errors import PlanError
from sparseplan.plan.question import Question
from sparseplan.shapes.base import typical_width

if TYPE_CHECKING:
    from sparseplan.hardware.profile import Profile


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingDevice:
    """One kind of device that serves the model once it is trained.

    Attributes:
        name: What to call one.
        profile: What is known of it; None where peak and utilization are given instead.
        peak_flops: Peak dense FLOP/s of one; None leaves the profile's.
        utilization: Share of the peak that multiplying reaches, (0, 1]; None leaves the profile's.
        tokens_at_once: How many tokens a step processes; None for so many that multiplying is the limit.
        price_per_hour: Money for one device for one hour.
        overhead: What tokens take beside 2 N: nothing where reading weights is the limit.
    """

    name: str
    profile: "Profile | None" = None
    peak_flops: float | None = None
    utilization: float | None = None
    tokens_at_once: float | None = None
    price_per_hour: float | None = None
    overhead: Overhead = PLAIN

    @property
    def peak(self) -> float | None:
        """Peak dense FLOP/s of one device, where it is known."""
        return self.peak_flops or (self.profile.peak_flops if self.profile is not None else None)

    def flops_per_second(self, dense_params: float) -> float:
        """FLOP/s of inference with dense weights, 2 per weight and token; reading the weights may bound it.

        Raises:
            PlanError: if neither the profile nor the options say.
        """
        rate = self._of_multiplying(dense_params)
        bandwidth = self.profile.hardware.memory_bandwidth if self.profile is not None else None
        if self.tokens_at_once is None or bandwidth is None:
            return rate
        return min(rate, self.tokens_at_once * bandwidth * self.overhead.total)

    def _of_multiplying(self, dense_params: float) -> float:
        if self.utilization is not None:
            if self.peak is None:
                raise PlanError(
                    f"`inference_utilization`: expected a peak of {self.name} to take a share of; its profile has none."
                )
            return self.peak * self.utilization
        if self.profile is None:
            raise PlanError("`peak`: expected `utilization` beside it, the share of the peak that training reaches.")
        from sparseplan.hardware.profile import DatasheetProfile, batch_of, inference_rate  # noqa: PLC0415  where one is

        if isinstance(self.profile, DatasheetProfile):  # its bandwidth bounds it above
            return self.profile.peak_flops * self.profile.utilization
        rate = inference_rate(self.profile, self.tokens_at_once)
        if rate is None:
            raise PlanError(
                f"{self.name}: expected a profile with times of inference on such a batch, found none; give "
                "`inference_utilization`, or measure again with `bench`."
            )
        reads = batch_of(self.tokens_at_once) == "small"
        return float(rate.at(typical_width(dense_params))) * (self.overhead.total if reads else 1.0)

    @property
    def has_rate(self) -> bool:
        """Whether there is a rate at all."""
        try:
            self.flops_per_second(1e9)
        except PlanError:
            return False
        return True

    @property
    def utilization_source(self) -> str:
        """Where the rate comes from: given, assumed (a datasheet's) or measured."""
        if self.utilization is not None or self.profile is None:
            return "given"
        return "measured" if self.profile.__struct_config__.tag == "measured" else "assumed"


def weighed(question: Question, weight: float, counted_in: CountedIn) -> Question:
    """The same question with another weight of a FLOP of inference."""
    assert question.inference is not None
    return replace(question, inference=replace(question.inference, weight=weight, counted_in=counted_in))
