"""What is asked of the planner, and the plan for any sparsity under it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparseplan.cost.flops import Cost
from sparseplan.errors import PlanError
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.laws.forms.search import HIGHEST_SPARSITY
from sparseplan.laws.unique_data import UniqueData
from sparseplan.sparsity.pattern import UNSTRUCTURED, Pattern


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A budget, and what of the model is already decided.

    Attributes:
        train_flops: C, > 0; scalar, or an array that broadcasts with the sizes.
        cost: What sparsity does to the cost of training.
        nonzero_params: N where it is decided; at most one of this and dense_params, with neither the size is free.
        dense_params: N / (1 - S) where that is decided.
        pattern: Which sparsities can be made.
        max_sparsity: Sparsities that are chosen stay at or below this, [0, 1): unstructured ones, and those of a family
            of patterns.
        pattern_cap: A single pattern likewise. Its sparsity is asked for, not chosen, so the default allows any.
        unique_data: The unique data that runs draw on, and how repeats count; None where all data are unique.
    """

    train_flops: Floats
    cost: Cost
    nonzero_params: Floats | None = None
    dense_params: Floats | None = None
    pattern: Pattern = UNSTRUCTURED
    max_sparsity: float = HIGHEST_SPARSITY
    pattern_cap: float = 1.0
    unique_data: UniqueData | None = None

    @property
    def budget(self) -> Budget:
        """What the training FLOPs buy under the cost."""
        return self.cost.budget(self.train_flops)

    @property
    def cap(self) -> float:
        """The highest sparsity that may be chosen."""
        single = self.pattern.group is not None and self.pattern.kept is not None
        return self.pattern_cap if single else self.max_sparsity

    @property
    def allows_dense(self) -> bool:
        """Whether S = 0 is among the sparsities that may be chosen."""
        return self.pattern.sparsities is None or 0.0 in self.pattern.sparsities

    @property
    def only_dense(self) -> bool:
        """Whether no sparsity above 0 may be chosen."""
        choices = self.pattern.sparsities
        if choices is None:
            return self.max_sparsity == 0.0
        return not any(0.0 < S <= self.cap for S in choices) and self.allows_dense

    @property
    def size_is_free(self) -> bool:
        """Whether the size is to be chosen too."""
        return self.nonzero_params is None and self.dense_params is None


class Plans(NamedTuple):
    """One plan, or an array of them (over draws, or a grid); all members broadcast."""

    sparsity: Array
    nonzero_params: Array
    data_seen: Array
    loss: Array
    reducible: Array

    @property
    def dense_params(self) -> Array:
        """Prunable parameters before pruning."""
        return np.asarray(self.nonzero_params / (1.0 - self.sparsity))


def plan_at(theta: Theta, question: Question, S: Floats) -> Plans:
    """Spend the whole budget on a model of sparsity S: its size, data and loss."""
    S, budget = np.asarray(S, dtype=np.float64), question.budget
    if question.nonzero_params is not None:
        N = np.asarray(question.nonzero_params, dtype=np.float64)
    elif question.dense_params is not None:
        N = np.asarray(question.dense_params * (1.0 - S))
    else:
        N = theta.best_size(S, budget)
    D = budget.data(S, N)
    reducible = theta.reducible(S, N, D)
    return Plans(S, N, D, np.asarray(reducible + theta.floor), reducible)


def best_sparsity(theta: Theta, question: Question, *, highest: float = HIGHEST_SPARSITY) -> Array:
    """The optimal unstructured sparsity in [0, highest] under the question's givens, whatever its `max_sparsity`."""
    return theta.best_sparsity(question.budget, N=question.nonzero_params, M=question.dense_params, highest=highest)


def best_plan(theta: Theta, question: Question, *, lowest: float = 0.0) -> Plans:
    """The plan with the lowest loss among the sparsities that the question allows.

    Of a pattern's few sparsities all are tried, those below `lowest` left out.

    Raises:
        PlanError: if the pattern makes nothing below the cap.
    """
    choices = question.pattern.sparsities
    if choices is None:
        return plan_at(theta, question, best_sparsity(theta, question, highest=question.max_sparsity))
    allowed = tuple(S for S in choices if lowest <= S <= question.cap)
    if not allowed:
        raise PlanError(
            f"`max_sparsity`: the pattern {question.pattern} makes {choices[0]:g}, above the {question.cap:g} "
            "allowed; raise the one or drop the other."
        )
    plans = [plan_at(theta, question, S) for S in allowed]
    best = np.argmin(np.stack(np.broadcast_arrays(*(plan.loss for plan in plans))), axis=0)
    return plan_at(theta, question, np.asarray(allowed)[best])


def dense_plan(theta: Theta, question: Question) -> Plans:
    """The best plan with S = 0 under the same givens."""
    return plan_at(theta, question, 0.0)


def dense_flops_for(theta: Theta, question: Question, reducible: Floats) -> Array:
    """Training FLOPs of a dense run, under the question's size, that reach a reducible loss; infinite where none do."""
    size = question.nonzero_params if question.nonzero_params is not None else question.dense_params
    if size is None:
        return question.cost.flops_for(theta.cheapest_tokens(reducible), 0.0, 1.0)
    return question.cost.flops_for(theta.data_for(0.0, size, reducible), 0.0, size)
