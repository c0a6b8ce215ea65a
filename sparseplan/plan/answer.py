"""The answer to a planning question: the plan beside the dense one, with intervals, distances and warnings.

These structs are the JSON of `sparseplan optimal --json`, key for key.
"""

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.caveat import Caveat
from sparseplan.errors import PlanError
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.law import Law, coefficient_draws, coefficients, form_of, require_sparse
from sparseplan.plan.caveats import Distance, distances, law_caveats, plan_caveats, require_real
from sparseplan.plan.hardware_answer import DeviceUse, FamilyVerdict
from sparseplan.plan.intervals import Intervals, Robust, draw_caveats, plan_intervals, robust_statement
from sparseplan.plan.question import (
    Plans,
    Question,
    best_plan,
    best_sparsity,
    dense_flops_for,
    dense_plan,
)
from sparseplan.sparsity.pattern import TWO_OF_FOUR, Pattern

if TYPE_CHECKING:
    from sparseplan.plan.device_hours import Device


class LawName(Struct, frozen=True, kw_only=True):
    """Which law answered."""

    name: str
    form: str


class Given(Struct, frozen=True, kw_only=True):
    """What the user fixed."""

    train_flops: float
    nonzero_params: float | None
    dense_params: float | None
    device_hours: float | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """One way to spend the budget; device_hours is None where no device is named."""

    sparsity: float
    nonzero_params: float
    dense_params: float
    data_seen: float
    data_unit: str
    train_flops: float
    loss: float
    device_hours: float | None


class Comparison(Struct, frozen=True, kw_only=True):
    """The plan against the dense plan.

    Attributes:
        loss_gain: Dense loss minus the plan's loss, nats; 0 where the plan is dense.
        dense_flops_for_equal_loss: What a dense model under the same givens needs; None where no budget is enough.
        compute_ratio: The plan's FLOPs over those; None likewise.
        overtraining: How many times the budget at which the dense plan's size would be compute-optimal.
        uncapped_sparsity: The optimum without the cap at the law's range; None for n:m patterns.
    """

    loss_gain: float
    dense_flops_for_equal_loss: float | None
    compute_ratio: float | None
    overtraining: float
    uncapped_sparsity: float | None


class Answer(Struct, frozen=True, kw_only=True):
    """Everything `optimal` says; `device` where one is named, `verdict` where its profile is the cost."""

    format: Literal["sparseplan-plan/1"] = "sparseplan-plan/1"
    law: LawName
    cost: str
    pattern: str
    given: Given
    plan: Plan
    dense: Plan
    comparison: Comparison
    intervals: Intervals | None
    extrapolation: list[Distance]
    robust: Robust | None
    device: DeviceUse | None
    verdict: list[FamilyVerdict] | None
    warnings: list[Caveat]


@np.errstate(all="ignore")  # what overflows is refused or counted, by name
def answer(
    law: Law, question: Question, *, device: "Device | None" = None, device_hours: float | None = None
) -> Answer:
    """Plan for scalar givens with everything the law knows of its own uncertainty.

    Args:
        law: The law.
        question: What is asked.
        device: What training runs on, for hours, money and, where it has a profile, the verdict.
        device_hours: The budget in hours of that device, where it was given so; the question has it in FLOPs.

    Raises:
        LawError: if the law is asked about a pattern that it says nothing of.
        PlanError: if the givens contradict each other, or lie where the law leaves the numbers a computer has.
    """
    if question.nonzero_params is not None and question.dense_params is not None:
        raise PlanError("expected `params` or `dense_params`, found both; one follows from the other and the sparsity.")
    family = answering_family(law, question.pattern)
    theta, draws = coefficients(law, family), coefficient_draws(law, family)
    best, dense = best_plan(theta, question), dense_plan(theta, question)
    for plan in (best, dense):
        require_real(N=plan.nonzero_params, D=plan.data_seen, loss=plan.loss)
    intervals = None if draws is None else plan_intervals(draws, question, best, dense)
    equal = float(dense_flops_for(theta, question, best.reducible))
    continuous = family is not None and question.pattern.group is None
    uncapped = float(best_sparsity(theta, question)) if continuous else None
    outside = distances(
        law.range,
        sparsity=float(best.sparsity),
        nonzero_params=float(best.nonzero_params),
        data_seen=float(best.data_seen),
        data_unit=law.data_unit,
    )
    hardware = None if device is None else _on_hardware(law, question, device, best, dense, equal)
    hours = hardware.use.device_hours if hardware and hardware.use else None
    return Answer(
        law=LawName(name=law.name, form=law.form),
        cost=question.cost.name,
        pattern=str(question.pattern),
        given=_given(question, device_hours),
        plan=_plan(best, law, question, hours),
        dense=_plan(dense, law, question, hours),
        comparison=_comparison(theta, question, best, dense, equal=equal, uncapped=uncapped),
        intervals=intervals,
        extrapolation=[*outside, *(hardware.distances if hardware else ())],
        robust=None if family is None else robust_statement(law, theta, draws, question),
        device=hardware.use if hardware else None,
        verdict=hardware.verdict if hardware else None,
        warnings=[
            *law_caveats(law, family),
            *draw_caveats(intervals),
            *plan_caveats(outside, float(best.sparsity), uncapped, question.max_sparsity),
            *(hardware.warnings if hardware else ()),
        ],
    )


def answering_family(law: Law, pattern: Pattern) -> str | None:
    """The pattern family that answers; None for a law that knows nothing of sparsity, which answers for dense models.

    Raises:
        LawError: if such a law is asked about a pattern.
    """
    if form_of(law).knows_sparsity:
        return pattern.family
    if pattern.group is not None:
        require_sparse(law)
    return None


def _given(question: Question, device_hours: float | None) -> Given:
    return Given(
        train_flops=_number(question.train_flops),
        nonzero_params=_optional(question.nonzero_params),
        dense_params=_optional(question.dense_params),
        device_hours=device_hours,
    )


def _comparison(
    theta: Theta, question: Question, best: Plans, dense: Plans, *, equal: float, uncapped: float | None
) -> Comparison:
    finite = math.isfinite(equal)
    return Comparison(
        loss_gain=float(dense.loss - best.loss),
        dense_flops_for_equal_loss=equal if finite else None,
        compute_ratio=_number(question.train_flops) / equal if finite else None,
        overtraining=float(question.budget.tokens / theta.optimal_tokens(dense.nonzero_params)),
        uncapped_sparsity=uncapped,
    )


class _OnHardware(NamedTuple):
    use: DeviceUse | None
    verdict: list[FamilyVerdict] | None
    distances: list[Distance]
    warnings: list[Caveat]


def _on_hardware(
    law: Law, question: Question, device: "Device", best: Plans, dense: Plans, equal: float
) -> _OnHardware:
    """What the answer says of the device; nothing of it is loaded where no device is named."""
    from sparseplan.hardware.profile import training_rate  # noqa: PLC0415
    from sparseplan.plan.device_hours import device_use  # noqa: PLC0415

    use = None
    if device.asked_for or device.profile is None or training_rate(device.profile) is not None:
        use = device_use(
            device,
            train_flops=_number(question.train_flops),
            dense_params=float(dense.dense_params),
            dense_flops_for_equal_loss=equal,
        )
    if device.profile is None:
        return _OnHardware(use, None, [], [])
    from sparseplan.plan.verdict import hardware_caveats, verdicts, width_distances  # noqa: PLC0415

    knows = form_of(law).knows_sparsity
    verdict = verdicts(law, question, device.profile) if knows else None
    models = {"dense plan's model": float(dense.dense_params), "plan's model": float(best.dense_params)}
    models |= {f"{one.pattern} model": one.dense_params for one in verdict or () if one.training_speedup is not None}
    far = width_distances(device.profile, models)
    known = law_caveats(law, question.pattern.family) if knows else []
    asked = law_caveats(law, TWO_OF_FOUR.family) if knows else []
    return _OnHardware(
        use,
        verdict,
        far,
        [
            *(caveat for caveat in asked if caveat not in known),
            *hardware_caveats(device.profile, utilization_given=device.utilization is not None),
            *(Caveat(code="hardware-extrapolation", message=distance.message) for distance in far),
        ],
    )


def _plan(plans: Plans, law: Law, question: Question, device_hours: float | None) -> Plan:
    return Plan(
        sparsity=float(plans.sparsity),
        nonzero_params=float(plans.nonzero_params),
        dense_params=float(plans.dense_params),
        data_seen=float(plans.data_seen),
        data_unit=law.data_unit,
        train_flops=_number(question.train_flops),
        loss=float(plans.loss),
        device_hours=device_hours,
    )


def _number(value: NDArray[np.float64] | float) -> float:
    return float(value)


def _optional(value: NDArray[np.float64] | float | None) -> float | None:
    return None if value is None else float(value)


def to_json(struct: Struct) -> str:
    """A struct as indented JSON; what isn't finite is null."""
    return msgspec.json.format(msgspec.json.encode(struct), indent=2).decode()
