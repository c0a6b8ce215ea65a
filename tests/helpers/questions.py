"""Planning questions for tests."""

from typing import Any

from sparseplan.cost.flops import flops_cost
from sparseplan.laws.law import Law
from sparseplan.plan.caveats import sparsity_cap
from sparseplan.plan.question import Question
from sparseplan.sparsity.pattern import parse_pattern


def question(law: Law, C: float, *, cost: str = "sparse", pattern: str = "unstructured", **givens: Any) -> Question:
    return Question(
        train_flops=C,
        cost=flops_cost(cost, law.schedule),
        pattern=parse_pattern(pattern),
        max_sparsity=sparsity_cap(law),
        **givens,
    )


def codes(found: object) -> set[str]:
    return {warning.code for warning in found.warnings}  # type: ignore[attr-defined]
