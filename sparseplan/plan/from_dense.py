"""A dense model exists: prune it, train it further, or start again from scratch?

The model has M parameters and has seen T data. Pruned to S by the law's own ramp over a new run it keeps N = (1 - S) M
weights, and a budget C buys D more data. What T counts for afterwards decides the answer, and a law of runs from
scratch does not say it: a share q of T counts if the pruned model's loss is L(S, N, q T + D). q = 1 is assumed for the
losses here, as if one run had seen all; beside them stands the q from which pruning does as well as the best training
from scratch that ends with N weights and spends C. At S = 0, training on, q is 1 but for what a new warm-up costs. A
model that exists may need less of a dense phase than the ramp has; then D is more than is counted here.

A law whose own runs started from dense checkpoints says the loss without that assumption: L(S, N, D) by its own ramp, T
within its runs'. Frantar et al. 2023, arXiv:2309.08520, find that pruning what exists is the cheaper way.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import LEVEL, Bounds, bounds
from sparseplan.common.units import format_bounds, format_count
from sparseplan.cost.flops import Cost
from sparseplan.laws.forms.budget import Array
from sparseplan.laws.law import Law, coefficients
from sparseplan.plan.answer import answering_family
from sparseplan.plan.caveats import (
    ROUNDING,
    Distance,
    distances,
    extrapolation_caveats,
    law_caveats,
    require_real,
    schedule_caveats,
)
from sparseplan.plan.law_name import LawName, law_name
from sparseplan.plan.question import Plans, Question, dense_plan, objective
from sparseplan.plan.sides import Sides, best_allowed, draw_sides, law_sides
from sparseplan.sparsity.pattern import UNSTRUCTURED, Pattern

SPARSITIES = (0.0, 0.5, 0.75, 0.875)
"""Those of the paper, where the pattern leaves the choice."""


class GivenDense(Struct, frozen=True, kw_only=True):
    """The dense model that exists, and the budget.

    Attributes:
        train_flops: C, to spend now.
        dense_params: M, its prunable parameters.
        dense_data_seen: T, what it was trained on.
        dense_train_flops: What that took, 6 M T: spent, unless the model has yet to be trained.
        dense_loss: What the law predicts of it as it is.
    """

    train_flops: float
    dense_params: float
    dense_data_seen: float
    dense_train_flops: float
    dense_loss: float


class Pruned(Struct, frozen=True, kw_only=True):
    """The model pruned to one sparsity with the budget; at S = 0 trained on, dense.

    Attributes:
        data_seen: D, what the budget buys on top.
        loss: With all of T counted; by the law of pretrained starts, where there is one and S > 0.
        loss_interval: Over the law's draws; None where it has none.
        loss_uncounted: With none of T counted, by the law of runs from scratch.
        scratch_loss: Of the best training from scratch with the same budget that ends with as many non-zero parameters.
        scratch_flops: The least training FLOPs from scratch that reach `loss` with as many; None where none do.
        flops_ratio: The budget over those; None likewise.
        flops_ratio_with_dense: The budget and what the dense model took, over those; None likewise.
        share_needed: The share of T that must count for pruning to reach `scratch_loss`, at least 0; above 1 not even
            all of it is enough, and None where no data is.
        share_interval: Over the law's draws; None where it has none, or where for some no share is enough.
        share_counted: The share of T that counts by the law of pretrained starts; None without one, at S = 0, and where
            no data accounts for its loss.
    """

    sparsity: float
    nonzero_params: float
    data_seen: float
    loss: float
    loss_interval: Bounds | None
    loss_uncounted: float
    scratch_loss: float
    scratch_flops: float | None
    flops_ratio: float | None
    flops_ratio_with_dense: float | None
    share_needed: float | None
    share_interval: Bounds | None
    share_counted: float | None


class FromDense(Struct, frozen=True, kw_only=True):
    """Everything `optimal --from-dense` says; its JSON key for key.

    Attributes:
        law: Of runs from scratch.
        start_law: Of runs from dense checkpoints; None where all of T is assumed to count.
        ramp: How the model is pruned, in words.
    """

    format: Literal["sparseplan-from-dense/1"] = "sparseplan-from-dense/1"
    law: LawName
    start_law: LawName | None
    cost: str
    pattern: str
    ramp: str
    data_unit: str
    given: GivenDense
    pruned: list[Pruned]
    level: float
    extrapolation: list[Distance]
    warnings: list[Caveat]


class Existing(Struct, frozen=True, kw_only=True):
    """The question.

    Attributes:
        dense_params: M of the model that exists.
        data_seen: T.
        train_flops: C.
        cost: Of training from scratch.
        pruning_cost: Of pruning the model: the same, or by the ramp of the law of pretrained starts.
        pattern: Which sparsities can be made.
        max_sparsity: Neither pruning nor training from scratch goes beyond it.
    """

    dense_params: float
    data_seen: float
    train_flops: float
    cost: Cost
    pruning_cost: Cost
    pattern: Pattern = UNSTRUCTURED
    max_sparsity: float

    def sparsities(self) -> list[float]:
        """Those that are answered for, dense first."""
        made = self.pattern.sparsities or SPARSITIES
        single = self.pattern.kept is not None
        return sorted({0.0, *(S for S in made if single or self.max_sparsity >= S)})

    def from_scratch(self, N: float) -> Question:
        """The same budget for a training from scratch that ends with N non-zero parameters."""
        return Question(
            train_flops=self.train_flops,
            nonzero_params=N,
            cost=self.cost,
            pattern=self.pattern,
            max_sparsity=self.max_sparsity,
        )


@np.errstate(all="ignore")  # what overflows is refused by name
def from_dense(law: Law, asked: Existing, *, ramp: str, start_law: Law | None = None) -> FromDense:
    """Compare pruning what exists with training from scratch, at every sparsity.

    Args:
        law: Of runs from scratch, which knows sparsity.
        asked: The question.
        ramp: The ramp behind `asked.pruning_cost`, in words.
        start_law: Of runs from dense checkpoints, where there is one.

    Raises:
        PlanError: if the numbers lead nowhere.
    """
    family = answering_family(law, asked.pattern)
    sides, draws = law_sides(law, family), draw_sides(law, family)
    M, T = asked.dense_params, asked.data_seen
    as_it_is = float(sides.dense.loss(0.0, M, T))
    require_real(N=M, D=T, loss=as_it_is)
    taken = float(asked.cost.flops_for(T, 0.0, M))
    rows = [_pruned(asked, sides, draws, start_law, S, taken) for S in asked.sparsities()]
    outside = _distances(law, asked, rows)
    return FromDense(
        law=law_name(law),
        start_law=None if start_law is None else law_name(start_law),
        cost=asked.cost.name,
        pattern=str(asked.pattern),
        ramp=ramp,
        data_unit=law.data_unit,
        given=GivenDense(
            train_flops=asked.train_flops,
            dense_params=M,
            dense_data_seen=T,
            dense_train_flops=taken,
            dense_loss=as_it_is,
        ),
        pruned=rows,
        level=LEVEL,
        extrapolation=outside,
        warnings=[
            *_start_caveats(law, asked, start_law),
            *law_caveats(law, family),
            *schedule_caveats(law),
            *extrapolation_caveats(outside),
        ],
    )


def _pruned(
    asked: Existing, sides: Sides, draws: Sides | None, start_law: Law | None, S: float, taken: float
) -> Pruned:
    M, T = asked.dense_params, asked.data_seen
    N = (1.0 - S) * M
    theta = sides.sparse if S > 0 else sides.dense
    D = float(asked.pruning_cost.data_for(asked.train_flops, S, N))
    measured = start_law is not None and S > 0
    answers = coefficients(start_law, asked.pattern.family) if start_law is not None and S > 0 else theta
    loss = float(answers.loss(S, N, D if measured else D + T))
    require_real(N=N, D=D, loss=loss)
    question = asked.from_scratch(N)
    scratch = _from_scratch(sides, question)
    equal = _from_scratch(sides, replace(question, train_flops=None, loss=loss))
    flops = float(equal.spent) if np.isfinite(equal.spent) else None
    share = _share_needed(sides, question, S=S, N=N, D=D, T=T)
    spread = None if draws is None or measured else (draws.sparse if S > 0 else draws.dense).loss(S, N, D + T)
    shares = None if draws is None else _share_needed(draws, question, S=S, N=N, D=D, T=T)
    counted = (theta.data_for(S, N, loss - np.asarray(theta.floor)) - D) / T if measured else np.inf
    return Pruned(
        sparsity=S,
        nonzero_params=N,
        data_seen=D,
        loss=loss,
        loss_interval=None if spread is None or not np.all(np.isfinite(spread)) else bounds(spread),
        loss_uncounted=float(theta.loss(S, N, D)),
        scratch_loss=float(scratch.loss),
        scratch_flops=flops,
        flops_ratio=None if flops is None else asked.train_flops / flops,
        flops_ratio_with_dense=None if flops is None else (asked.train_flops + taken) / flops,
        share_needed=float(share) if np.isfinite(share) else None,
        share_interval=None if shares is None or not np.all(np.isfinite(shares)) else bounds(shares),
        share_counted=float(counted) if np.isfinite(counted) else None,
    )


def _from_scratch(sides: Sides, question: Question) -> Plans:
    """The best training from scratch: sparse in the pattern, or dense."""
    sparse, dense = best_allowed(sides, question), dense_plan(sides.dense, question)
    stays = ~(objective(question, sparse) < objective(question, dense))
    return Plans(*(np.where(stays, one, other) for one, other in zip(dense, sparse, strict=True)))


def _share_needed(sides: Sides, question: Question, *, S: float, N: float, D: float, T: float) -> Array:
    """The share of T that must count to reach, with D more, what the budget does from scratch; it may be infinite."""
    theta = sides.sparse if S > 0 else sides.dense
    best = _from_scratch(sides, question)
    needed = theta.data_for(S, N, best.loss - np.asarray(theta.floor))
    return np.asarray(np.maximum((needed - D) / T, 0.0))


def _distances(law: Law, asked: Existing, rows: list[Pruned]) -> list[Distance]:
    """What lies furthest outside the law's runs on each axis, with the dense model's data counted."""
    found = [
        distance
        for row in rows
        for distance in distances(
            law.range,
            sparsity=row.sparsity,
            nonzero_params=row.nonzero_params,
            data_seen=asked.data_seen + row.data_seen,
            data_unit=law.data_unit,
        )
    ]
    furthest = {
        axis: max((one for one in found if one.axis == axis), key=lambda one: one.factor)
        for axis in dict.fromkeys(one.axis for one in found)
    }
    return list(furthest.values())


def _start_caveats(law: Law, asked: Existing, start_law: Law | None) -> list[Caveat]:
    if start_law is None or start_law.start is None:
        message = (
            f"the runs of {law.name} started from scratch: how much of a checkpoint's {law.data_unit}s counts once it "
            "is pruned is assumed in the losses, not measured"
        )
        return [Caveat(code="start-assumed", message=message)]
    low, high = start_law.start.dense_data_seen
    if low / ROUNDING <= asked.data_seen <= high * ROUNDING:
        return []
    seen = format_bounds((low, high), format_count)
    message = (
        f"the runs of {start_law.name} started from checkpoints trained on {seen} {law.data_unit}s, not "
        f"{format_count(asked.data_seen)}; its losses hold for those"
    )
    return [Caveat(code="start-extrapolation", message=message)]
