"""A question about repeated data under the published rates of repetition that did not answer it."""

from dataclasses import replace

from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.laws.law import Law
from sparseplan.laws.unique_data import UniqueData, published
from sparseplan.plan.caveats import ROUNDING
from sparseplan.plan.objective import Objective, planned
from sparseplan.plan.question import Question
from sparseplan.plan.repeats import passes, repeat_caveats
from sparseplan.plan.sides import Planned


class PlanUnderRates(Struct, frozen=True, kw_only=True):
    """The best plan for the same question under the rates of repetition of another law.

    Attributes:
        R_N, R_D: The rates at this plan's sparsity.
        loss_gain: Dense loss minus the plan's, both under these rates.
        train_flops: What it costs; infinite where a loss was asked for that no compute reaches under these rates.
    """

    law: str
    R_N: float
    R_D: float
    sparsity: float
    nonzero_params: float
    data_seen: float
    epochs: float
    loss: float
    loss_gain: float
    train_flops: float


def under_other_rates(
    law: Law, family: str | None, question: Question, objective: Objective, point: Planned
) -> list[PlanUnderRates]:
    """The question under the published rates that did not answer; nothing where no plan repeats data."""
    unique, found = question.unique_data, []
    assert unique is not None, "the question is about repeated data"
    if max(passes(float(plan.data_seen), unique.amount) for plan in (point.best, point.dense)) <= ROUNDING:
        return []
    for other in published(unique.amount, but=unique.lender):
        under = planned(law, family, replace(question, unique_data=other), objective)
        best = under.best
        S = float(best.sparsity)
        found.append(
            PlanUnderRates(
                law=other.lender.name,
                R_N=float(other.repetition.rate("R_N").at(S)),
                R_D=float(other.repetition.rate("R_D").at(S)),
                sparsity=S,
                nonzero_params=float(best.nonzero_params),
                data_seen=float(best.data_seen),
                epochs=passes(float(best.data_seen), unique.amount),
                loss=float(best.loss),
                loss_gain=float(under.dense.loss - best.loss),
                train_flops=float(best.train_flops),
            )
        )
    return found


def rates_caveats(
    law: Law, unique: UniqueData | None, point: Planned, spread: list[PlanUnderRates], *, drawn: bool
) -> list[Caveat]:
    """What keeps an answer about repeated data from being sure: whose rates answer, and who disagrees."""
    if unique is None:
        return []
    epochs = max(passes(float(plan.data_seen), unique.amount) for plan in (point.best, point.dense))
    found = repeat_caveats(unique, epochs=epochs, data_unit=law.data_unit, drawn=drawn)
    sparse = bool(point.best.sparsity > 0)
    against = [one.law for one in spread if (one.sparsity > 0) != sparse]
    if against:
        here, there = ("a sparse", "a dense") if sparse else ("a dense", "a sparse")
        message = (
            f"the published rates of repetition disagree: {unique.lender.name}'s make {here} model best, "
            f"{' and '.join(against)}'s {there} one"
        )
        found.append(Caveat(code="repetition-disagreement", message=message))
    return found
