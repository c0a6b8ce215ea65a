"""What is made lowest: the loss that the law's values predict, or its mean over the law's draws.

The best plan by the values may do badly under draws that the runs allow as well. The plan of the least mean loss is the
one with the least mean regret: what a draw's own optimum reaches doesn't depend on the plan.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.errors import PlanError
from sparseplan.laws.forms.mean import Mean
from sparseplan.laws.law import Law
from sparseplan.plan.intervals import Regret, regret_of
from sparseplan.plan.question import Question
from sparseplan.plan.sides import Planned, Sides, draw_sides, law_sides, plan_draws, plan_sides

Objective = Literal["point", "mean"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


class OtherPlan(Struct, frozen=True, kw_only=True):
    """The best plan by the law's values, where the answer is that of the least mean loss."""

    objective: Objective
    sparsity: float
    nonzero_params: float
    data_seen: float
    regret: Regret


class Chosen(NamedTuple):
    """A question's plan, and what it was chosen by.

    Attributes:
        sides: What is made lowest: the law's values, or the mean of its draws.
        draws: The law's draws; None where it has none for the question.
        planned: The plan of the lowest loss, and the dense ones beside it.
        drawn: The same question for each draw.
    """

    sides: Sides
    draws: Sides | None
    planned: Planned
    drawn: Planned | None


def choose(law: Law, family: str | None, question: Question, objective: Objective) -> Chosen:
    """Plan a question for an objective.

    Raises:
        PlanError: if the mean is asked for and the law has no draws.
    """
    values, draws = law_sides(law, family, question.unique_data), draw_sides(law, family, question.unique_data)
    drawn = None if draws is None else plan_draws(draws, question)
    if objective == "point":
        return Chosen(values, draws, plan_sides(values, question), drawn)
    real = None if drawn is None else _real(drawn)
    if draws is None or real is None or np.count_nonzero(real) < 2:
        raise PlanError(
            f"`objective` mean: expected a law with draws, found {law.name!r}, which has none for this question. "
            "Leave `objective` out, or fit the law again from its runs with `fit`."
        )
    kept = draws if np.all(real) else draws.rows(real)
    mean = Sides(Mean.of(kept.sparse), Mean.of(kept.dense))
    return Chosen(mean, draws, plan_sides(mean, question), drawn)


def planned(law: Law, family: str | None, question: Question, objective: Objective) -> Planned:
    """The plan alone: without the draws' own plans, where the objective needs none."""
    if objective == "mean":
        return choose(law, family, question, objective).planned
    return plan_sides(law_sides(law, family, question.unique_data), question)


def _real(drawn: Planned) -> NDArray[np.bool_]:
    """Which draws stay within floating point."""
    columns = np.broadcast_arrays(*drawn.best, drawn.dense.loss, drawn.any_dense.loss)
    return np.asarray(np.all(np.isfinite(np.stack(columns)), axis=0))


def by_values(law: Law, family: str | None, question: Question, chosen: Chosen) -> OtherPlan | None:
    """The plan by the law's values beside one of the least mean loss."""
    if chosen.draws is None or chosen.drawn is None:
        return None
    best = planned(law, family, question, "point").best
    regret = regret_of(chosen.draws, best, chosen.drawn)
    if regret is None:
        return None
    return OtherPlan(
        objective="point",
        sparsity=float(best.sparsity),
        nonzero_params=float(best.nonzero_params),
        data_seen=float(best.data_seen),
        regret=regret,
    )
