"""What is asked of the planner, and the plan for any sparsity under it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparseplan.cost.flops import FLOPS_PER_PARAMETER_AND_TOKEN, Cost
from sparseplan.errors import PlanError
from sparseplan.laws.forms import frantar2023_optimum as optimum
from sparseplan.laws.forms.frantar2023 import Coefficients, loss, shape
from sparseplan.sparsity.pattern import UNSTRUCTURED, Pattern

Array = NDArray[np.float64]
Floats = Array | float


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A budget, and what of the model is already decided.

    Attributes:
        train_flops: C, > 0; scalar, or an array that broadcasts with the sizes.
        cost: What sparsity does to the cost of training.
        tokens_per_unit: Tokens that the model processes per unit of data.
        nonzero_params: N where it is decided; at most one of this and dense_params, with neither the size is free.
        dense_params: N / (1 - S) where that is decided.
        pattern: Which sparsities can be made.
        max_sparsity: Unstructured sparsity stays at or below this, [0, 1).
        pattern_cap: A family of patterns likewise; its members beyond it aren't tried.
    """

    train_flops: Floats
    cost: Cost
    tokens_per_unit: float = 1.0
    nonzero_params: Floats | None = None
    dense_params: Floats | None = None
    pattern: Pattern = UNSTRUCTURED
    max_sparsity: float = 1.0 - optimum.LOWEST_DENSITY
    pattern_cap: float = 1.0

    @property
    def token_budget(self) -> Floats:
        """C / (6 tokens_per_unit): parameters times data units that a dense run can pay for."""
        return self.train_flops / (FLOPS_PER_PARAMETER_AND_TOKEN * self.tokens_per_unit)


class Plans(NamedTuple):
    """One plan, or an array of them (over draws, or a grid); all members broadcast."""

    sparsity: Array
    nonzero_params: Array
    data_seen: Array
    loss: Array

    @property
    def dense_params(self) -> Array:
        """Prunable parameters before pruning."""
        return np.asarray(self.nonzero_params / (1.0 - self.sparsity))


def plan_at(theta: Coefficients, question: Question, S: Floats) -> Plans:
    """Spend the whole budget on a model of sparsity S: its size, data and loss."""
    S = np.asarray(S, dtype=np.float64)
    cost, budget = question.cost, question.token_budget
    if question.nonzero_params is not None:
        N = np.asarray(question.nonzero_params, dtype=np.float64)
    elif question.dense_params is not None:
        N = np.asarray(question.dense_params * (1.0 - S))
    elif cost.depends_on_size:
        N = optimum.size_under_cost(theta, S, cost.multiplier, budget)
    else:
        N = optimum.size_at_free_budget(theta, S, cost.multiplier(S), budget)
    D = np.asarray(budget / (N * cost.multiplier(S, N)))
    return Plans(S, N, D, loss(theta, S, N, D))


def uncapped_sparsity(theta: Coefficients, question: Question) -> Array:
    """The optimal unstructured sparsity in [0, 1), whatever `max_sparsity` says."""
    saving, budget = question.cost.saving, question.token_budget
    if question.nonzero_params is not None:
        return optimum.sparsity_at_size(theta, saving, question.nonzero_params, budget)
    if question.dense_params is not None:
        return optimum.sparsity_at_dense_size(theta, saving, question.dense_params, budget)
    return optimum.sparsity_at_free_size(theta, saving)


def best_plan(theta: Coefficients, question: Question) -> Plans:
    """The plan with the lowest loss among the sparsities that the question allows.

    The loss is unimodal in S, so a cap on S is applied to the optimum; of a pattern's few sparsities all are tried.

    Raises:
        PlanError: if the pattern makes nothing below the cap.
    """
    choices = question.pattern.sparsities
    if choices is None:
        return plan_at(theta, question, np.minimum(uncapped_sparsity(theta, question), question.max_sparsity))
    allowed = tuple(S for S in choices if question.pattern_cap >= S)
    if not allowed:
        raise PlanError(
            f"--max-sparsity: the pattern {question.pattern} makes {choices[0]:g}, above the {question.pattern_cap:g} "
            "allowed; raise the one or drop the other."
        )
    plans = [plan_at(theta, question, S) for S in allowed]
    best = np.argmin(np.stack(np.broadcast_arrays(*(plan.loss for plan in plans))), axis=0)
    return plan_at(theta, question, np.asarray(allowed)[best])


def dense_plan(theta: Coefficients, question: Question) -> Plans:
    """The best plan with S = 0 under the same givens."""
    return plan_at(theta, question, 0.0)


def dense_flops_for_loss(theta: Coefficients, question: Question, target: Floats) -> Array:
    """Training FLOPs of a dense run, under the question's size, that reach a loss; infinite where none do."""
    dense = dense_plan(theta, question)
    b_N, b_D = np.asarray(theta.b_N), np.asarray(theta.b_D)
    if question.nonzero_params is None and question.dense_params is None:
        # Along the compute-optimal line, loss - c falls as C to the power -b_N b_D / (b_N + b_D).
        reducible, wanted, exponent = dense.loss - theta.c, target - np.asarray(theta.c), (b_N + b_D) / (b_N * b_D)
    else:
        floor = theta.c + shape(theta, 0.0) * dense.nonzero_params**-b_N
        reducible, wanted, exponent = dense.loss - floor, target - floor, 1.0 / b_D
    with np.errstate(divide="ignore", over="ignore"):
        ratio = np.where(wanted > 0, reducible / np.where(wanted > 0, wanted, 1.0), np.inf) ** exponent
    return np.asarray(question.train_flops * ratio)
