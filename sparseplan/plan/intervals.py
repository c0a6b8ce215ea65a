"""How sure a plan is: intervals over the law's draws, and what the plan as it stands loses under each of them."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import LEVEL, Bounds, bounds, quantiles
from sparseplan.laws.forms.budget import Array
from sparseplan.plan.question import Plans, Question
from sparseplan.plan.sides import Planned, Sides


class Regret(Struct, frozen=True, kw_only=True):
    """What the plan as it stands loses, in nats, against each draw's own optimum under the same givens."""

    median: float
    mean: float
    p95: float

    @classmethod
    def of(cls, lost: Array) -> "Regret":
        """From what is lost in each draw, shape (K,)."""
        median, p95 = quantiles(lost, [0.5, 0.95])
        return cls(median=median, mean=float(np.mean(lost)), p95=p95)


class Intervals(Struct, frozen=True, kw_only=True):
    """Percentile intervals over the law's draws.

    Each draw is planned for its own optimum, but for `plan_loss`, `regret`, `p_sparse_better` and `p_beats_best_dense`,
    which judge the plan as it stands. Where a loss was asked for, these and what compares losses (`dense_loss`,
    `loss_gain`, `overtraining`) are of the budget that was found.

    Attributes:
        draws: How many draws; `left_out` of them overflow and don't count.
        compute_ratio: The plan's FLOPs over those of a dense run of equal loss under the same givens; 0 where no dense
            run reaches it. `compute_ratio_any_size`: the same with the dense model's size free.
        plan_loss: Loss of the plan as it stands.
        p_sparse_better: Share of draws in which the plan reaches a lower loss than the dense plan beside it; where the
            plan is dense, the share in which some allowed sparsity would beat it.
        p_beats_best_dense: Share in which the plan reaches a lower loss than the draw's own best dense plan of any
            size; None where the plan is dense.
        train_flops: What each draw's own optimum costs: the interval of the answer where a loss was asked for. Draws
            in which no compute is enough count as infinite, null in JSON.
        total_flops: Likewise of training and inference, where both count.
        p_reached: Share of draws in which some compute reaches the loss asked for; None without one.
    """

    level: float
    draws: int
    left_out: int
    sparsity: Bounds
    nonzero_params: Bounds
    dense_params: Bounds
    data_seen: Bounds
    loss: Bounds
    plan_loss: Bounds
    dense_loss: Bounds
    loss_gain: Bounds
    compute_ratio: Bounds
    compute_ratio_any_size: Bounds
    overtraining: Bounds
    regret: Regret
    p_sparse_better: float
    p_beats_best_dense: float | None
    train_flops: Bounds | None = None
    total_flops: Bounds | None = None
    p_reached: float | None = None


def plan_intervals(
    draws: Sides, question: Question, plan: Plans, drawn: Planned, judged: Planned, at_budget: Planned
) -> Intervals | None:
    """Intervals of an answer; None where hardly a draw stays within floating point.

    Args:
        draws: Coefficients of shape (K,).
        question: What is asked.
        plan: What is recommended.
        drawn: The same question planned for each draw.
        judged: The plan and what stands beside it at its budget.
        at_budget: That budget planned for each draw; `drawn` itself where the budget was given.
    """
    count = next(theta.count for theta in draws if theta.count is not None)
    best, dense = drawn.best, at_budget.dense
    spent = np.broadcast_to(best.spent, count)
    columns = {
        "sparsity": best.sparsity,
        "nonzero_params": best.nonzero_params,
        "dense_params": best.dense_params,
        "data_seen": best.data_seen,
        "loss": best.loss,
        "plan_loss": draws.loss(plan),
        "dense_loss": dense.loss,
        "loss_gain": dense.loss - at_budget.best.loss,
        "compute_ratio": spent / drawn.equal,
        "compute_ratio_any_size": spent / drawn.any_equal,
        "overtraining": dense.nonzero_params * dense.data_seen / draws.dense.optimal_tokens(dense.nonzero_params),
    }
    table = np.stack([np.broadcast_to(column, count) for column in columns.values()])
    reached = np.isfinite(spent) if question.loss is not None else np.ones(count, dtype=np.bool_)
    finite = np.isfinite(table)
    # Where the budget pays for no dense run beside its inference, what compares with one is not there in any draw.
    real = np.all(finite | ~np.any(finite, axis=1, keepdims=True), axis=0) & np.isfinite(spent)
    if np.count_nonzero(real) < 2:
        return None
    kept = {name: column[real] for name, column in zip(columns, table, strict=True)}
    better = np.broadcast_to(sparse_is_better(draws, judged, at_budget), count)[real]
    lost = kept["plan_loss"] - np.broadcast_to(at_budget.best.loss, count)[real]
    beats = kept["plan_loss"] < np.broadcast_to(at_budget.any_dense.loss, count)[real]
    asked_for_loss = question.loss is not None

    def costs(flops: Array) -> Bounds:
        return _cost_bounds(np.broadcast_to(flops, count)[real | ~reached])

    return Intervals(
        level=LEVEL,
        draws=count,
        left_out=int(count - np.count_nonzero(real | ~reached)),
        regret=Regret.of(lost),
        p_sparse_better=float(np.mean(better)),
        p_beats_best_dense=float(np.mean(beats)) if plan.sparsity > 0 else None,
        train_flops=costs(best.train_flops) if asked_for_loss else None,
        total_flops=costs(best.train_flops + best.inference_flops) if asked_for_loss and question.inference else None,
        p_reached=float(np.mean(reached)) if asked_for_loss else None,
        **{name: bounds(column) for name, column in kept.items()},
    )


def _cost_bounds(flops: Array) -> Bounds:
    """Bounds of values some of which may be infinite: values themselves, nothing between them."""
    ranked = np.sort(flops)
    low, high = (ranked[round(share * (len(ranked) - 1))] for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def regret_of(draws: Sides, plan: Plans, drawn: Planned) -> Regret | None:
    """What a plan loses against each draw's own best; None where hardly a draw stays within floating point."""
    lost = np.ravel(draws.loss(plan) - drawn.best.loss)
    real = np.isfinite(lost)
    return Regret.of(lost[real]) if np.count_nonzero(real) > 1 else None


def sparse_is_better(draws: Sides, point: Planned, drawn: Planned) -> NDArray[np.bool_]:
    """For each draw, whether the plan as it stands beats the dense plan as it stands.

    Where the plan is dense: whether some allowed sparsity would beat it.
    """
    if not np.isfinite(point.dense.spent):  # no dense plan is paid for
        return np.ones((), dtype=np.bool_)
    if point.best.sparsity > 0:
        return np.asarray(draws.loss(point.best) < draws.loss(point.dense))
    return np.asarray(drawn.best.loss < drawn.dense.loss)


def draw_caveats(intervals: Intervals | None) -> list[Caveat]:
    """What the draws themselves cannot vouch for."""
    if intervals is None or intervals.left_out == 0:
        return []
    message = f"{intervals.left_out} of {intervals.draws} draws overflow and were left out"
    return [Caveat(code="draws-left-out", message=message)]
