"""What a plan decides: whether sparsity pays at the target, at which size and which sparsity, by draw."""

from dataclasses import dataclass

import numpy as np
from msgspec import Struct

from sparseplan.common.intervals import Bounds, bounds
from sparseplan.laws.forms.budget import Array
from sparseplan.plan.intervals import Regret
from sparseplan.plan.question import Question, plan_at
from sparseplan.plan.sides import Planned, Sides


class Targets(Struct, frozen=True, kw_only=True):
    """90 % intervals of what the plan decides; None for what isn't asked.

    Attributes:
        loss_gap: Loss of the sparse side less that of the best dense model, nats: below 0 where sparsity pays. The
            sparsity is the plan's, both sizes are each draw's own best.
        nonzero_params: The best size.
        sparsity: The best sparsity.
        loss: The plan's loss; only for laws that know nothing of sparsity.
    """

    loss_gap: Bounds | None = None
    nonzero_params: Bounds | None = None
    sparsity: Bounds | None = None
    loss: Bounds | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Decision:
    """The targets by draw.

    Attributes:
        names: Of the targets.
        values: By draw, shape (K, T); sizes in logs.
        rows: Which of the law's draws these are, those that stay within floating point, shape (K,).
        against: The sparsity of `loss_gap`; None for laws without sparsity.
        regret: Of the plan as it stands.
    """

    names: tuple[str, ...]
    values: Array
    rows: Array
    against: float | None
    regret: Regret

    def intervals(self, remaining: Array | None = None) -> Targets:
        """Intervals of the targets, or those of draws pulled towards their medians to a share of their spread (T,)."""
        values = self.values
        if remaining is not None:
            median = np.median(values, axis=0)
            values = median + (values - median) * remaining
        found = {name: bounds(column) for name, column in zip(self.names, values.T, strict=True)}
        if "nonzero_params" in found:
            low, high = found["nonzero_params"]
            found["nonzero_params"] = (float(np.exp(low)), float(np.exp(high)))
        return Targets(**found)

    @property
    def p_sparse_better(self) -> float | None:
        """Share of draws whose gap is below 0; None for laws without sparsity."""
        if "loss_gap" not in self.names:
            return None
        return float(np.mean(self.values[:, self.names.index("loss_gap")] < 0.0))


def decide(draws: Sides, question: Question, point: Planned, drawn: Planned) -> Decision | None:
    """What the plan decides under each draw; None where hardly a draw stays within floating point.

    Args:
        draws: Coefficients of shape (K,).
        question: The target.
        point: The plan by the law's values.
        drawn: The plans of the draws.
    """
    count = next(theta.count for theta in draws if theta.count is not None)
    plan_loss = np.broadcast_to(draws.loss(point.best), count)
    columns: dict[str, Array] = {}
    against = None
    if not question.only_dense and draws.sparse.form.knows_sparsity:
        against = _against(point, drawn)
        if against > 0.0:
            columns["loss_gap"] = plan_at(draws.sparse, question, against).loss - drawn.dense.loss
        columns["sparsity"] = drawn.best.sparsity
    else:
        columns["loss"] = plan_loss
    if question.size_is_free:
        columns["nonzero_params"] = np.log(drawn.best.nonzero_params)
    table = np.stack([np.broadcast_to(column, count) for column in columns.values()], axis=1)
    lost = plan_loss - np.broadcast_to(drawn.best.loss, count)
    real = np.all(np.isfinite(table), axis=1) & np.isfinite(lost)
    if np.count_nonzero(real) < 2:
        return None
    return Decision(
        names=tuple(columns),
        values=table[real],
        rows=real,
        against=against,
        regret=Regret.of(lost[real]),
    )


def _against(point: Planned, drawn: Planned) -> float:
    """The sparsity that dense models are held against: the plan's; where that is dense, what other draws would take."""
    if point.best.sparsity > 0:
        return float(point.best.sparsity)
    sparse = np.ravel(drawn.best.sparsity)
    return float(np.median(sparse[sparse > 0])) if np.any(sparse > 0) else 0.0
