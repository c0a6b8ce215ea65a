"""How sure a plan is: intervals over the law's draws, and what holds however far it extrapolates."""

from dataclasses import replace

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import LEVEL, Bounds, bounds
from sparseplan.common.units import format_sparsity
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.law import Law, is_transferred
from sparseplan.plan.caveats import POOR_FITS
from sparseplan.plan.question import Plans, Question, best_plan, best_sparsity, dense_flops_for, dense_plan


class Intervals(Struct, frozen=True, kw_only=True):
    """Percentile intervals over the law's draws, each draw planned anew.

    Attributes:
        draws: How many draws; `left_out` of them led out of floating point and don't count.
        compute_ratio: The plan's FLOPs over those of a dense run of equal loss; 0 where no dense run reaches it.
        p_sparse_better: Share of draws in which the plan, as it stands, reaches a lower loss than the dense plan as it
            stands; where the plan is dense, the share in which some allowed sparsity would beat it.
    """

    level: float
    draws: int
    left_out: int
    sparsity: Bounds
    nonzero_params: Bounds
    dense_params: Bounds
    data_seen: Bounds
    loss: Bounds
    dense_loss: Bounds
    loss_gain: Bounds
    compute_ratio: Bounds
    overtraining: Bounds
    p_sparse_better: float


class Robust(Struct, frozen=True, kw_only=True):
    """What stays true far outside the range: the plan's kind with the size free, which no budget enters.

    Attributes:
        sparsity: The best allowed sparsity.
        compute_ratio: FLOPs over those of the dense run of equal loss.
    """

    sparsity: float
    sparsity_interval: Bounds | None
    compute_ratio: float
    compute_ratio_interval: Bounds | None
    message: str


def plan_intervals(draws: Theta, question: Question, best: Plans, dense: Plans) -> Intervals | None:
    """Plan every draw anew; None where hardly a draw stays within floating point.

    Args:
        draws: Theta of shape (K,).
        question: What is asked.
        best: The plan that is recommended.
        dense: The dense plan beside it.
    """
    count = draws.count
    assert count is not None, "draws are arrays"
    planned, dense_planned = best_plan(draws, question), dense_plan(draws, question)
    ratio = question.train_flops / dense_flops_for(draws, question, planned.reducible)
    overtraining = question.budget.tokens / draws.optimal_tokens(dense_planned.nonzero_params)
    better = sparse_is_better(draws, question, best, dense)
    columns = {
        "sparsity": planned.sparsity,
        "nonzero_params": planned.nonzero_params,
        "dense_params": planned.dense_params,
        "data_seen": planned.data_seen,
        "loss": planned.loss,
        "dense_loss": dense_planned.loss,
        "loss_gain": dense_planned.loss - planned.loss,
        "compute_ratio": ratio,
        "overtraining": overtraining,
    }
    table = np.stack([np.broadcast_to(column, count) for column in columns.values()])
    real = np.all(np.isfinite(table), axis=0)
    if np.count_nonzero(real) < 2:
        return None
    spreads = {name: bounds(column[real]) for name, column in zip(columns, table, strict=True)}
    return Intervals(
        level=LEVEL,
        draws=count,
        left_out=int(count - np.count_nonzero(real)),
        p_sparse_better=float(np.mean(np.broadcast_to(better, count)[real])),
        **spreads,
    )


def sparse_is_better(draws: Theta, question: Question, best: Plans, dense: Plans) -> NDArray[np.bool_]:
    """For each draw, whether the plan as it stands beats the dense plan as it stands.

    Where the plan is dense: whether some allowed sparsity would beat it.
    """
    if best.sparsity > 0:
        return np.asarray(_loss(draws, best) < _loss(draws, dense))
    return np.asarray(best_plan(draws, question).loss < dense_plan(draws, question).loss)


def _loss(theta: Theta, plan: Plans) -> NDArray[np.float64]:
    return theta.loss(plan.sparsity, plan.nonzero_params, plan.data_seen)


def draw_caveats(intervals: Intervals | None) -> list[Caveat]:
    """What the draws themselves can't vouch for."""
    if intervals is None or intervals.left_out == 0:
        return []
    message = f"{intervals.left_out} of {intervals.draws} draws lead out of floating point and are left out"
    return [Caveat(code="draws-left-out", message=message)]


def robust_statement(law: Law, theta: Theta, draws: Theta | None, question: Question) -> Robust | None:
    """What holds at every budget; None where nothing does.

    That is so where the sparsity term was borrowed (then b_N and the term were never measured together) or left open by
    its fit, where the cost changes with the size, and where the best sparsity lies beyond the cap: beyond every run.
    """
    if is_transferred(law) or law.fit.get("status") in POOR_FITS or question.cost.depends_on_size:
        return None
    free = replace(question, nonzero_params=None, dense_params=None)
    if question.pattern.group is None and float(best_sparsity(theta, free)) > question.max_sparsity:
        return None
    best = best_plan(theta, free)
    S, ratio = float(best.sparsity), _compute_ratio(theta, free, best)
    spreads: tuple[Bounds | None, Bounds | None] = (None, None)
    if draws is not None:
        planned = best_plan(draws, free)
        spreads = bounds(planned.sparsity), bounds(_compute_ratio(draws, free, planned))
    if S == 0.0:
        message = "with the size free, dense is best at every budget under this cost"
    else:
        what = f"the pattern {question.pattern}" if question.pattern.kept is not None else "the best sparsity"
        is_it = "" if question.pattern.kept is not None else f" is {format_sparsity(round(S, 2))}, which"
        message = f"with the size free, {what}{is_it} needs {ratio:.2f}x the dense compute, at every budget"
    return Robust(
        sparsity=S,
        sparsity_interval=spreads[0],
        compute_ratio=float(ratio),
        compute_ratio_interval=spreads[1],
        message=message,
    )


def _compute_ratio(theta: Theta, question: Question, plan: Plans) -> NDArray[np.float64]:
    return np.asarray(question.train_flops / dense_flops_for(theta, question, plan.reducible))
