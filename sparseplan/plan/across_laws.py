"""The same question asked of every law that can answer it: how far the best sparsity depends on whose law is believed.

Beside the laws with a sparsity term stands the rule of Jin et al. 2025 on the answering law's own dense models, in
which a run counts as a dense model of its mean size over training.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from msgspec import Struct

from sparseplan.common.intervals import Bounds
from sparseplan.errors import SparseplanError
from sparseplan.laws.file import builtin_law, builtin_laws
from sparseplan.laws.forms.average_parameters import AverageParameters
from sparseplan.laws.identity import same_runs
from sparseplan.laws.law import Law, coefficients, form_of
from sparseplan.plan.caveats import sparsity_cap
from sparseplan.plan.question import Question, plan_at
from sparseplan.plan.sides import Planned, Sides, law_sides, plan_sides
from sparseplan.sparsity.pattern import UNSTRUCTURED

JIN = "Jin et al. 2025, arXiv:2501.12486"
_TIE = 1e-9


class LawPlan(Struct, frozen=True, kw_only=True):
    """One law's answer to the question.

    Attributes:
        law: Its name; of the rule of Jin et al. its source.
        runs: Number of the set of runs that it was fitted to: laws with one number are fits of the same runs.
        ramp: How its runs were pruned, which its price of sparse training counts.
        sparsity: Of its best plan; None where every sparsity does as well.
        nonzero_params: Of that plan, likewise.
        compute_ratio: The budget over what the best dense model of any size needs for the plan's loss.
    """

    law: str
    runs: int
    ramp: str
    sparsity: float | None
    nonzero_params: float | None
    compute_ratio: float


class AcrossLaws(Struct, frozen=True, kw_only=True):
    """The answers of all laws, and between which ends they lie.

    Attributes:
        sparsity: Least and most, of those that name one.
        compute_ratio: Least and most.
        laws: The answering law's first.
    """

    sparsity: Bounds
    compute_ratio: Bounds
    laws: list[LawPlan]


def across_laws(law: Law, question: Question, point: Planned) -> AcrossLaws | None:
    """Ask all built-in laws of this data unit; None where no other can answer.

    Args:
        law: The law that answered.
        question: What it was asked: a budget, perhaps a size, sparse models among others, no limit on unique data.
        point: Its answer.
    """
    asked = [(law, point), *_others(law, question)]
    known: list[Law] = []
    plans = []
    for one, planned in asked:
        same = next((index for index, other in enumerate(known) if same_runs(one, other)), len(known))
        if same == len(known):
            known.append(one)
        plans.append(_law_plan(one, same, question, planned))
    plans.append(_equal_compute(law, question, len(known)))
    plans = [plan for plan in plans if np.isfinite(plan.compute_ratio) and plan.compute_ratio > 0]
    named = [plan.sparsity for plan in plans if plan.sparsity is not None]
    if len(plans) < 2 or not named:
        return None
    ratios = [plan.compute_ratio for plan in plans]
    return AcrossLaws(sparsity=(min(named), max(named)), compute_ratio=(min(ratios), max(ratios)), laws=plans)


def _others(law: Law, question: Question) -> Iterator[tuple[Law, Planned]]:
    """The other built-in laws, each with its plan under its own ramp and cap."""
    for path in builtin_laws():
        other = builtin_law(path.stem)
        if other.name == law.name or other.data_unit != law.data_unit or not form_of(other).knows_sparsity:
            continue
        family = question.pattern.family
        if not {family, str(UNSTRUCTURED)} & set(other.sparsity):
            continue
        own_cap = question.max_sparsity == sparsity_cap(law)
        again = replace(
            question,
            cost=question.cost.on_ramp(other.schedule, other.tokens_per_unit),
            max_sparsity=sparsity_cap(other) if own_cap else question.max_sparsity,
        )
        try:
            yield other, plan_sides(law_sides(other, family), again)
        except SparseplanError:  # the pattern makes nothing below this law's own cap
            continue


def _law_plan(law: Law, runs: int, question: Question, planned: Planned) -> LawPlan:
    return LawPlan(
        law=law.name,
        runs=runs,
        ramp=law.schedule.describe(),
        sparsity=float(planned.best.sparsity),
        nonzero_params=float(planned.best.nonzero_params),
        compute_ratio=_compute_ratio(question, planned),
    )


def _compute_ratio(question: Question, planned: Planned) -> float:
    assert question.train_flops is not None, "asked of a budget"
    return float(question.train_flops / planned.any_equal)


def _equal_compute(law: Law, question: Question, runs: int) -> LawPlan:
    """The rule of Jin et al. on the law's dense models, with its ramp."""
    dense = coefficients(law)
    rule = AverageParameters(dense, law.schedule)
    planned = plan_sides(Sides(rule, dense), question)
    deepest = question.cap if question.pattern.sparsities is None else max(question.pattern.sparsities)
    sparsest = plan_at(rule, question, deepest)
    tied = abs(float(sparsest.loss - planned.dense.loss)) < _TIE * float(planned.dense.loss)
    return LawPlan(
        law=JIN,
        runs=runs,
        ramp=law.schedule.describe(),
        sparsity=None if tied else float(planned.best.sparsity),
        nonzero_params=None if tied else float(planned.best.nonzero_params),
        compute_ratio=1.0 if tied else _compute_ratio(question, planned),
    )
