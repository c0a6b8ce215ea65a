"""The plan and the dense models beside it, planned once for the law's values and once for its draws.

A law has one dense model. Pattern families whose coefficients do not quite agree at S = 0 are all held against it, so
that a misfit there is not mistaken for a gain; at S = 0 it answers for them too.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sparseplan.laws.forms.base import Rows, Theta
from sparseplan.laws.forms.budget import Array
from sparseplan.laws.law import Law, coefficient_draws, coefficients
from sparseplan.laws.unique_data import UniqueData
from sparseplan.plan.question import Plans, Question, best_plan, dense_flops_for, dense_plan, objective

_ABOVE_ZERO = 1e-12
_AS_GOOD_AS_DENSE = 5e-4  # sparsities that read 0%: just above the budget at which the law begins to want some
_AT_A_TIME = 20_000
"""Draws that are planned at once."""


class Sides(NamedTuple):
    """Coefficients of a pattern family and of the law's dense model: single values, or draws of shape (K,)."""

    sparse: Theta
    dense: Theta

    def rows(self, chosen: Rows) -> "Sides":
        """Some of the draws."""
        return Sides(self.sparse.rows(chosen), self.dense.rows(chosen))

    def loss(self, plan: Plans) -> Array:
        """The loss that a plan reaches, as it stands."""
        theta = self.sparse if np.all(plan.sparsity > 0) else self.dense
        return theta.loss(plan.sparsity, plan.nonzero_params, plan.data_seen)


class Planned(NamedTuple):
    """What follows from a question.

    Attributes:
        best: The plan of the lowest loss among the allowed sparsities.
        dense: The best plan with S = 0 under the same givens.
        any_dense: The best plan with S = 0 and the size free.
        equal: Training FLOPs of a dense run under the same givens that reaches `best`'s loss; infinite where none does.
        any_equal: The same with the size free.
    """

    best: Plans
    dense: Plans
    any_dense: Plans
    equal: Array
    any_equal: Array


def law_sides(law: Law, family: str | None, unique: UniqueData | None = None) -> Sides:
    """The values that answer for a pattern family; for dense models alone if it is None.

    With `unique` they answer for runs that draw on this much unique data.
    """
    sides = Sides(coefficients(law, family), coefficients(law))
    return sides if unique is None else Sides(*(unique.limit(theta) for theta in sides))


def draw_sides(law: Law, family: str | None, unique: UniqueData | None = None) -> Sides | None:
    """The law's draws likewise, paired row by row; None where it carries none for the question."""
    sparse, dense = coefficient_draws(law, family), coefficient_draws(law)
    if sparse is None and dense is None:
        return None
    sides = Sides(sparse or coefficients(law, family), dense or coefficients(law))
    return sides if unique is None else Sides(*(unique.limit_draws(theta) for theta in sides))


def plan_sides(sides: Sides, question: Question) -> Planned:
    """Plan a question for values or draws."""
    dense = dense_plan(sides.dense, question)
    best = _best(sides, question, dense)
    equal = dense_flops_for(sides.dense, question, best.reducible)
    if question.size_is_free:
        return Planned(best=best, dense=dense, any_dense=dense, equal=equal, any_equal=equal)
    free = replace(question, nonzero_params=None, dense_params=None)
    any_equal = dense_flops_for(sides.dense, free, best.reducible)
    return Planned(best=best, dense=dense, any_dense=dense_plan(sides.dense, free), equal=equal, any_equal=any_equal)


def best_allowed(sides: Sides, question: Question) -> Plans:
    """The best plan alone, for values or draws, scalars or arrays that broadcast."""
    return _best(sides, question, dense_plan(sides.dense, question))


def plan_draws(draws: Sides, question: Question) -> Planned:
    """Plan a question for draws, some at a time: what is held in between grows with how many there are."""
    counts = [theta.count for theta in draws if theta.count is not None]
    if not counts or counts[0] <= _AT_A_TIME:
        return plan_sides(draws, question)
    count = counts[0]
    parts = [
        plan_sides(draws.rows(slice(start, start + _AT_A_TIME)), question) for start in range(0, count, _AT_A_TIME)
    ]
    lengths = [min(_AT_A_TIME, count - start) for start in range(0, count, _AT_A_TIME)]

    def joined(pieces: Sequence[Array]) -> Array:
        filled = [np.broadcast_to(piece, length) for piece, length in zip(pieces, lengths, strict=True)]
        return np.concatenate(filled)

    def plans(pieces: Sequence[Plans]) -> Plans:
        return Plans(*(joined(column) for column in zip(*pieces, strict=True)))

    return Planned(
        best=plans([part.best for part in parts]),
        dense=plans([part.dense for part in parts]),
        any_dense=plans([part.any_dense for part in parts]),
        equal=joined([part.equal for part in parts]),
        any_equal=joined([part.any_equal for part in parts]),
    )


def _best(sides: Sides, question: Question, dense: Plans) -> Plans:
    """The best allowed plan, where the law's dense model speaks for S = 0."""
    if question.only_dense:
        return dense
    sparse = best_plan(sides.sparse, question, lowest=_ABOVE_ZERO)
    if not question.allows_dense:
        return sparse
    stays = (sparse.sparsity < _AS_GOOD_AS_DENSE) | (objective(question, dense) <= objective(question, sparse))
    return Plans(*(np.where(stays, one, other) for one, other in zip(dense, sparse, strict=True)))
