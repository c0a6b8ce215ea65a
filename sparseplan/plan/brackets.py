"""The two costs between which every device lies: zeros that cost nothing, and zeros that cost as much as weights."""

from dataclasses import replace

import numpy as np
from msgspec import Struct

from sparseplan.common.intervals import Bounds, bounds
from sparseplan.cost.flops import FLOPS_COSTS, flops_cost
from sparseplan.cost.inference import flops_inference
from sparseplan.laws.law import Law
from sparseplan.plan.question import Question
from sparseplan.plan.sides import Planned, Sides, plan_draws, plan_sides


class Bracket(Struct, frozen=True, kw_only=True):
    """The question's plan at one of the two costs.

    Attributes:
        cost: sparse (zeros cost nothing) or dense (they cost as much as weights).
        sparsity: Of the best plan.
        sparsity_interval: Over the law's draws; None without any.
        compute_ratio_any_size: The budget over what the best dense model, its size free, needs for the plan's loss.
        compute_ratio_any_size_interval: Likewise.
    """

    cost: str
    sparsity: float
    sparsity_interval: Bounds | None
    compute_ratio_any_size: float
    compute_ratio_any_size_interval: Bounds | None


def brackets(
    law: Law, question: Question, sides: Sides, draws: Sides | None, point: Planned, drawn: Planned | None
) -> list[Bracket]:
    """The question under both costs; `point` and `drawn` are its plans at its own cost, which may be one of them."""
    found = []
    for name in FLOPS_COSTS:
        cost = flops_cost(name, law.schedule, tokens_per_unit=law.tokens_per_unit, overhead=question.cost.overhead)
        here, there = point, drawn
        inference = question.inference
        if inference is not None:
            inference = flops_inference(name, inference.tokens, inference.weight, inference.overhead)
        if (cost, inference) != (question.cost, question.inference):
            asked = replace(question, cost=cost, inference=inference)
            here, there = plan_sides(sides, asked), None if draws is None else plan_draws(draws, asked)
        if not np.isfinite(here.best.spent):  # nothing is paid for at this price
            continue
        sparsity = ratio = None
        if there is not None:
            ratios = there.best.spent / there.any_equal
            real = np.isfinite(ratios)
            if np.count_nonzero(real) > 1:
                sparsity = bounds(np.broadcast_to(there.best.sparsity, real.shape)[real])
                ratio = bounds(ratios[real])
        found.append(
            Bracket(
                cost=name,
                sparsity=float(here.best.sparsity),
                sparsity_interval=sparsity,
                compute_ratio_any_size=float(here.best.spent / here.any_equal),
                compute_ratio_any_size_interval=ratio,
            )
        )
    return found
