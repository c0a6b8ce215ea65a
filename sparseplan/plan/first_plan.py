"""The first question for a law that was just fitted: a budget, and a size where the law plans none itself."""

from sparseplan.cost.flops import flops_cost
from sparseplan.errors import PlanError
from sparseplan.laws.law import Law
from sparseplan.plan.answer import answer
from sparseplan.plan.question import Question


def first_question(law: Law, *, train_flops: float, nonzero_params: float) -> tuple[float, float | None]:
    """The budget of a law's dearest run, and that run's size where the law has no best size for the budget.

    Trainings of seconds can make a law whose best size is less than one parameter.
    """
    cost = flops_cost("sparse", law.schedule, tokens_per_unit=law.tokens_per_unit)
    try:
        answer(law, Question(train_flops=train_flops, cost=cost))
    except PlanError:
        return train_flops, nonzero_params
    return train_flops, None
