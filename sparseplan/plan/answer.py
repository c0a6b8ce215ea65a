"""The answer to a planning question: the plan beside the dense one, with intervals, distances and warnings.

These structs are the JSON of `sparseplan optimal --json`, key for key.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.caveat import Caveat
from sparseplan.errors import PlanError
from sparseplan.laws.forms.budget import Floats
from sparseplan.laws.forms.search import HIGHEST_SPARSITY
from sparseplan.laws.law import Law, form_of, require_sparse
from sparseplan.laws.unique_data import UniqueData
from sparseplan.plan.across_laws import AcrossLaws, across_laws
from sparseplan.plan.brackets import Bracket, brackets
from sparseplan.plan.break_even import Serving, serving
from sparseplan.plan.caveats import (
    Distance,
    distances,
    gap_caveats,
    law_caveats,
    plan_caveats,
    question_caveats,
    require_real,
    schedule_caveats,
)
from sparseplan.plan.contest import Contender
from sparseplan.plan.curve import Curve, sparsity_curve
from sparseplan.plan.hardware_answer import SECONDS_PER_HOUR, DeviceUse, FamilyVerdict
from sparseplan.plan.intervals import Intervals, draw_caveats, plan_intervals
from sparseplan.plan.law_name import LawName, law_name
from sparseplan.plan.objective import Objective, OtherPlan, by_values, choose
from sparseplan.plan.on_device import on_device
from sparseplan.plan.other_rates import PlanUnderRates, rates_caveats, under_other_rates
from sparseplan.plan.question import Plans, Question, best_sparsity, dense_run_for
from sparseplan.plan.reach import require_paid, require_reached
from sparseplan.plan.repeats import Repetition, passes, repeat_distances, repetition
from sparseplan.plan.sensitivity import Sensitivity, sensitivity
from sparseplan.plan.sides import Planned, Sides, law_sides, plan_sides
from sparseplan.sparsity.pattern import Pattern

if TYPE_CHECKING:
    from sparseplan.plan.device_hours import Device
    from sparseplan.plan.on_model import ModelUse


class Given(Struct, frozen=True, kw_only=True):
    """What the user fixed; None for what was to be found.

    Attributes:
        loss: The loss to reach with the least compute; then no budget is given.
        total_flops: The budget of training and inference together, in place of `train_flops`, where both count.
        max_memory: The most bytes that training may take on a device.
        max_dense_params: The most dense parameters, which follow from it where no real model is named.
    """

    train_flops: float | None
    nonzero_params: float | None
    dense_params: float | None
    device_hours: float | None = None
    unique_data: float | None = None
    loss: float | None = None
    data_seen: float | None = None
    max_data: float | None = None
    tokens_per_param: float | None = None
    total_flops: float | None = None
    inference_tokens: float | None = None
    max_memory: float | None = None
    max_dense_params: float | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """One way to spend the budget, or to reach the loss; device_hours is None where no device is named.

    Where no dense run reaches the loss asked for, or is paid for beside its inference, the dense plan's `train_flops`
    is infinite and its `loss` NaN: null in JSON.

    Attributes:
        unique_data: How many of the data seen are unique; None where the question says nothing of them.
        epochs: How often each of them is seen, likewise.
        inference_flops: What it takes to serve the tokens asked for; None where none are.
        total_flops: That and `train_flops`, likewise.
        inference_device_hours: Of the devices that serve; None where none are known.
        total_device_hours: Those and `device_hours`.
    """

    sparsity: float
    nonzero_params: float
    dense_params: float
    data_seen: float
    data_unit: str
    train_flops: float
    loss: float
    device_hours: float | None
    unique_data: float | None = None
    epochs: float | None = None
    inference_flops: float | None = None
    total_flops: float | None = None
    inference_device_hours: float | None = None
    total_device_hours: float | None = None


class Comparison(Struct, frozen=True, kw_only=True):
    """The plan against the dense plan.

    Attributes:
        loss_gain: Dense loss minus the plan's loss, nats; 0 where the plan is dense. Where a loss was asked for, at the
            budget that was found.
        dense_flops_for_equal_loss: What a dense model under the same givens needs; None where no budget is enough.
        compute_ratio: The plan's FLOPs over those; None likewise.
        dense_flops_any_size: What a dense model needs whose size is free.
        compute_ratio_any_size: The plan's FLOPs over those.
        overtraining: How many times the budget at which the dense plan's size would be compute-optimal.
        compute_optimal_flops: That budget.
        uncapped_sparsity: The optimum without the cap at the law's range; None for a single n:m pattern.
    """

    loss_gain: float
    dense_flops_for_equal_loss: float | None
    compute_ratio: float | None
    dense_flops_any_size: float
    compute_ratio_any_size: float
    overtraining: float
    compute_optimal_flops: float
    uncapped_sparsity: float | None


class Answer(Struct, frozen=True, kw_only=True):
    """Everything `optimal` says.

    With the `objective` mean every loss, and what follows from losses, is of the mean over the law's draws, and
    `by_values` is the plan that the law's values make best. `device` where one is named, `verdict` where its profile is
    the cost; `repetition` of the plan and, under the other published rates, `repetition_spread` where unique data are
    limited; `serving` where inference counts; `contenders`, the best first, where the best pattern was asked for.
    `across_laws` is None for dense models alone, limited unique data, and questions that give more than a budget and a
    size; `sensitivity` with the objective mean. `model` where one is named, `curve` where it is asked for.
    """

    format: Literal["sparseplan-plan/1"] = "sparseplan-plan/1"
    law: LawName
    cost: str
    pattern: str
    objective: Objective = "point"
    given: Given
    plan: Plan
    dense: Plan
    comparison: Comparison
    intervals: Intervals | None
    by_values: OtherPlan | None = None
    extrapolation: list[Distance]
    brackets: list[Bracket]
    across_laws: AcrossLaws | None = None
    serving: Serving | None = None
    sensitivity: Sensitivity | None = None
    device: DeviceUse | None
    verdict: list[FamilyVerdict] | None
    repetition: Repetition | None = None
    repetition_spread: list[PlanUnderRates] = []
    contenders: list[Contender] | None = None
    model: "ModelUse | None" = None
    curve: Curve | None = None
    warnings: list[Caveat]


@np.errstate(all="ignore")  # what overflows is refused or counted, by name
def answer(
    law: Law,
    question: Question,
    *,
    objective: Objective = "point",
    device: "Device | None" = None,
    device_hours: float | None = None,
    curve: bool = False,
) -> Answer:
    """Plan for scalar givens with everything the law knows of its own uncertainty.

    Args:
        law: The law.
        question: What is asked.
        objective: What is made lowest: the loss by the law's values, or its mean over the law's draws.
        device: What training runs on, for hours, money and, where it has a profile, the verdict.
        device_hours: The budget in hours of that device, where it was given so; the question has it in FLOPs.
        curve: Whether to say what every sparsity reaches.

    Raises:
        LawError: if the law is asked about a pattern that it says nothing of.
        PlanError: if the givens contradict each other, or lie where the law leaves the numbers a computer has.
    """
    if question.nonzero_params is not None and question.dense_params is not None:
        raise PlanError("expected `params` or `dense_params`, found both; one follows from the other and the sparsity.")
    family = answering_family(law, question.pattern)
    unique = question.unique_data
    chosen = choose(law, family, question, objective)
    sides, draws, point, drawn = chosen
    if question.loss is not None:
        require_reached(law, sides, question, point)
    require_paid(question, point)
    for plan in (point.best, point.dense, point.any_dense):
        if np.isfinite(plan.spent) or (question.loss is None and question.inference is None):
            require_real(N=plan.nonzero_params, D=plan.data_seen, loss=plan.loss)
    # A plan that reaches a loss is judged as the plan of the budget that it needs.
    at_budget = question if question.loss is None else question.at_budget(float(point.best.spent))
    judged = chosen if question.loss is None else choose(law, family, at_budget, objective)
    intervals = None
    if draws is not None and drawn is not None and judged.drawn is not None:
        intervals = plan_intervals(draws, question, point.best, drawn, judged.planned, judged.drawn)
    uncapped = None if family is None else _uncapped(sides, question)
    outside = _distances(law, question, sides, point)
    hardware = None if device is None else on_device(law, at_budget, objective, device, sides, point)
    use = hardware.use if hardware else None
    spread = [] if unique is None else under_other_rates(law, family, question, objective, point)
    ends = [] if family is None or question.only_dense else brackets(law, question, sides, draws, point, drawn)
    return Answer(
        law=law_name(law),
        cost=question.cost.name,
        pattern=str(question.pattern),
        objective=objective,
        given=given_of(question, device_hours),
        plan=plan_of(point.best, law, question, use),
        dense=plan_of(point.dense, law, question, use),
        comparison=_comparison(sides, question, point, judged.planned, uncapped),
        intervals=intervals,
        by_values=None if objective == "point" else by_values(law, family, at_budget, judged),
        extrapolation=[*outside, *(hardware.distances if hardware else ())],
        brackets=ends,
        sensitivity=None if objective == "mean" else sensitivity(sides, question, point.best),
        serving=None if question.inference is None else serving(sides, question, float(point.any_dense.data_seen)),
        across_laws=across_laws(law, question, point) if ends and unique is None and question.is_plain else None,
        device=use,
        verdict=hardware.verdict if hardware else None,
        repetition=None if unique is None else _repetition(law_sides(law, family, unique), unique, point.best),
        repetition_spread=spread,
        curve=sparsity_curve(sides, draws, question) if curve else None,
        warnings=[
            *law_caveats(law, family),
            *(() if family is None or question.only_dense else schedule_caveats(law)),
            *question_caveats(question, law),
            *plan_caveats(outside, uncapped, question.cap, law),
            *gap_caveats(law, [float(point.best.sparsity), *(one.sparsity for one in ends)]),
            *draw_caveats(intervals),
            *rates_caveats(law, unique, point, spread, drawn=intervals is not None),
            *(hardware.warnings if hardware else ()),
        ],
    )


def _uncapped(sides: Sides, question: Question) -> float | None:
    """The best sparsity without the cap; None where the pattern leaves no choice."""
    if question.pattern.group is None:
        return float(best_sparsity(sides.sparse, question))
    if question.pattern.kept is not None:
        return None
    return float(plan_sides(sides, replace(question, max_sparsity=HIGHEST_SPARSITY)).best.sparsity)


def _distances(law: Law, question: Question, sides: Sides, point: Planned) -> list[Distance]:
    """How far the plan, the dense plan beside it, and the dense run of equal loss lie outside the law's runs."""
    best, dense = point.best, point.dense
    found = _outside(law, question, *best[:3], "plan")
    if best.sparsity > 0:
        if question.loss is None and np.isfinite(dense.spent):
            found += _outside(law, question, *dense[:3], "dense plan")
        if np.isfinite(point.equal) and point.equal > 0:
            run = dense_run_for(sides.dense, question, best.reducible)
            found += _outside(law, question, 0.0, *run, "dense run of equal loss")
    return found


def _outside(law: Law, question: Question, S: Floats, N: Floats, D: Floats, of: str) -> list[Distance]:
    seen = float(D)
    found = distances(
        law.range, sparsity=float(S), nonzero_params=float(N), data_seen=seen, data_unit=law.data_unit, of=of
    )
    if question.unique_data is not None:
        found += repeat_distances(question.unique_data, data_seen=seen, data_unit=law.data_unit, of=of)
    return found


def _repetition(sides: Sides, unique: UniqueData, plan: Plans) -> Repetition:
    S, N, D = float(plan.sparsity), float(plan.nonzero_params), float(plan.data_seen)
    return repetition(sides.sparse if S > 0 else sides.dense, unique, S=S, N=N, D=D)


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


def given_of(question: Question, device_hours: float | None = None) -> Given:
    """What was given, as plain numbers."""
    serves = question.inference is not None
    return Given(
        train_flops=None if serves else _optional(question.train_flops),
        nonzero_params=_optional(question.nonzero_params),
        dense_params=_optional(question.dense_params),
        device_hours=device_hours,
        unique_data=None if question.unique_data is None else question.unique_data.amount,
        loss=_optional(question.loss),
        data_seen=_optional(question.data_seen),
        max_data=_optional(question.max_data),
        tokens_per_param=_optional(question.tokens_per_param),
        total_flops=_optional(question.train_flops) if serves else None,
        inference_tokens=None if question.inference is None else _number(question.inference.tokens),
        max_dense_params=_optional(question.max_dense_params),
    )


def _comparison(
    sides: Sides, question: Question, point: Planned, judged: Planned, uncapped: float | None
) -> Comparison:
    budget, finite = _number(point.best.spent), bool(np.isfinite(point.equal))
    dense = judged.dense
    optimal = sides.dense.optimal_tokens(dense.nonzero_params)
    return Comparison(
        loss_gain=float(dense.loss - judged.best.loss),
        dense_flops_for_equal_loss=float(point.equal) if finite else None,
        compute_ratio=budget / float(point.equal) if finite else None,
        dense_flops_any_size=float(point.any_equal),
        compute_ratio_any_size=budget / float(point.any_equal),
        overtraining=float(dense.nonzero_params * dense.data_seen / optimal),
        compute_optimal_flops=float(question.cost.flops_for(optimal, 0.0, 1.0)),
        uncapped_sparsity=uncapped,
    )


def plan_of(plans: Plans, law: Law, question: Question, use: DeviceUse | None = None) -> Plan:
    """One plan as plain numbers; hours at the rates of an answer's devices."""
    unique = question.unique_data
    train_flops, served = _number(plans.train_flops), float(plans.inference_flops)
    hours = None if use is None else train_flops / use.flops_per_second / SECONDS_PER_HOUR
    serving = None if use is None or use.inference is None else served / use.inference.flops_per_second
    inference_hours = None if serving is None else serving / SECONDS_PER_HOUR
    return Plan(
        sparsity=float(plans.sparsity),
        nonzero_params=float(plans.nonzero_params),
        dense_params=float(plans.dense_params),
        data_seen=float(plans.data_seen),
        data_unit=law.data_unit,
        train_flops=train_flops,
        loss=float(plans.loss),
        device_hours=hours,
        unique_data=None if unique is None else min(unique.amount, float(plans.data_seen)),
        epochs=None if unique is None else passes(float(plans.data_seen), unique.amount),
        inference_flops=None if question.inference is None else served,
        total_flops=None if question.inference is None else train_flops + served,
        inference_device_hours=inference_hours,
        total_device_hours=None if hours is None or inference_hours is None else hours + inference_hours,
    )


def _number(value: NDArray[np.float64] | float) -> float:
    return float(value)


def _optional(value: NDArray[np.float64] | float | None) -> float | None:
    return None if value is None else float(value)
