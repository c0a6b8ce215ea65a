"""What is asked of the planner, and the plan for any sparsity under it."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from sparseplan.cost.flops import Cost
from sparseplan.cost.inference import Inference, lifetime_cost
from sparseplan.errors import PlanError
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.laws.forms.minima import smooth_minimum
from sparseplan.laws.forms.search import HIGHEST_SPARSITY, densities
from sparseplan.laws.unique_data import UniqueData
from sparseplan.plan.runs import largest_size, run_for_budget, run_for_loss
from sparseplan.sparsity.pattern import UNSTRUCTURED, Pattern

_ROUNDING = 1e-9
_ARRAYS = (
    *("train_flops", "loss", "nonzero_params", "dense_params"),
    *("data_seen", "max_data", "tokens_per_param", "max_dense_params"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A budget, or a loss to reach with the least of one, and what of the run is already decided.

    Numbers are scalars, or arrays that broadcast with each other.

    Attributes:
        train_flops: C, > 0; with `inference` the total of training and inference. None where the loss is given.
        loss: The loss to reach, nats; None where the budget is given.
        cost: What sparsity does to the cost of training.
        nonzero_params: N where it is decided; at most one of this and dense_params, with neither the size is free.
        dense_params: N / (1 - S) where that is decided.
        data_seen: D where that is decided; the size follows.
        max_data: The most D may be; None for no limit.
        tokens_per_param: D / N where that is decided; size and data follow.
        max_dense_params: The most N / (1 - S) may be; None for no limit.
        pattern: Which sparsities can be made.
        max_sparsity: Sparsities that are chosen stay at or below this, [0, 1): unstructured ones, and those of a family
            of patterns.
        pattern_cap: A single pattern likewise. Its sparsity is asked for, not chosen, so the default allows any.
        unique_data: The unique data that runs draw on, and how repeats count; None where all data are unique.
        inference: What the model is to serve; None where training alone counts.
    """

    train_flops: Floats | None = None
    cost: Cost
    loss: Floats | None = None
    nonzero_params: Floats | None = None
    dense_params: Floats | None = None
    data_seen: Floats | None = None
    max_data: Floats | None = None
    tokens_per_param: Floats | None = None
    max_dense_params: Floats | None = None
    pattern: Pattern = UNSTRUCTURED
    max_sparsity: float = HIGHEST_SPARSITY
    pattern_cap: float = 1.0
    unique_data: UniqueData | None = None
    inference: Inference | None = None

    @property
    def spending(self) -> Cost:
        """What the budget pays for: training, and inference where it counts."""
        return self.cost if self.inference is None else lifetime_cost(self.cost, self.inference)

    @property
    def budget(self) -> Budget:
        """What the budget buys under the cost."""
        assert self.train_flops is not None, "a loss is asked for, not a budget"
        return self.spending.budget(self.train_flops)

    @property
    def is_plain(self) -> bool:
        """Whether it gives a budget of training FLOPs and at most the size: what forms have closed solutions for."""
        data = (self.data_seen, self.max_data, self.tokens_per_param, self.max_dense_params)
        return self.loss is None and self.inference is None and all(one is None for one in data)

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

    def at_budget(self, flops: Floats) -> Self:
        """The same question for a budget."""
        return replace(self, train_flops=flops, loss=None)

    def shape(self, theta: Theta) -> tuple[int, ...]:
        """The shape in which its numbers and coefficients broadcast."""
        given = [getattr(self, name) for name in _ARRAYS] + [None if self.inference is None else self.inference.tokens]
        return np.broadcast_shapes(*(np.shape(one) for one in (*theta, *given) if one is not None))

    def expanded(self) -> Self:
        """The same question with a trailing axis on its numbers, to broadcast over sparsities."""

        def wide(value: Floats) -> Floats:
            return np.asarray(value, dtype=np.float64)[..., None]

        given: dict[str, Any] = {name: wide(getattr(self, name)) for name in _ARRAYS if getattr(self, name) is not None}
        if self.inference is not None:
            given["inference"] = replace(self.inference, tokens=wide(self.inference.tokens))
        return replace(self, **given)


class Plans(NamedTuple):
    """One plan, or an array of them (over draws, or a grid); all members broadcast.

    Where a loss is asked for that no run reaches, FLOPs are infinite and the loss is NaN. `spent` is what a budget pays
    for: training FLOPs, and inference at what its FLOPs cost in such.
    """

    sparsity: Array
    nonzero_params: Array
    data_seen: Array
    loss: Array
    reducible: Array
    train_flops: Array
    inference_flops: Array
    spent: Array

    @property
    def dense_params(self) -> Array:
        """Prunable parameters before pruning."""
        return np.asarray(self.nonzero_params / (1.0 - self.sparsity))


def plan_at(theta: Theta, question: Question, S: Floats) -> Plans:
    """The run of sparsity S under a question: its size, data, cost and loss."""
    S = np.asarray(S, dtype=np.float64)
    if question.loss is None:
        N, D = run_for_budget(theta, question, S)
    else:
        N, D = run_for_loss(theta, question, S, question.loss - np.asarray(theta.floor))
    inference = question.inference
    served = np.zeros(()) if inference is None else inference.flops(S, N)
    price = 0.0 if inference is None else inference.weight * served
    trained = question.cost.flops_for(D, S, N)
    spent = np.asarray(trained + price)
    if question.train_flops is not None:
        # What is spent but for rounding is the budget itself.
        whole = np.abs(spent - question.train_flops) <= _ROUNDING * question.train_flops
        spent = np.where(whole, question.train_flops, spent)
        trained = np.where(whole, question.train_flops - price, trained)
    reducible = np.where(np.isfinite(spent), theta.reducible(S, N, D), np.nan)
    return Plans(S, N, D, np.asarray(reducible + theta.floor), reducible, trained, served, spent)


def objective(question: Question, plan: Plans) -> Array:
    """What a question wants least of: the loss, or what it costs to reach one; infinite where a plan means nothing."""
    value = plan.reducible if question.loss is None else plan.spent
    return np.where(np.isnan(value), np.inf, value)


def best_sparsity(theta: Theta, question: Question, *, highest: float = HIGHEST_SPARSITY) -> Array:
    """The optimal unstructured sparsity in [0, highest] under the question's givens, whatever its `max_sparsity`."""
    if question.is_plain:
        return theta.best_sparsity(question.budget, N=question.nonzero_params, M=question.dense_params, highest=highest)
    shape = question.shape(theta)
    if highest == 0.0:
        return np.zeros(shape)
    wide, asked = theta.expanded(), question.expanded()

    # In x = ln(1 - S), as in the closed solutions: steps of equal ratio in the density.
    def wanted(x: Array) -> Array:
        return np.broadcast_to(objective(question, plan_at(wide, asked, -np.expm1(x))), x.shape)

    x = smooth_minimum(wanted, *densities(highest, shape))
    at = wanted(np.stack([x, np.zeros(shape)], axis=-1))
    # What no digit can tell from dense is dense.
    return np.asarray(np.where(at[..., 0] < at[..., 1], 0.0 - np.expm1(x), 0.0))


def best_plan(theta: Theta, question: Question, *, lowest: float = 0.0) -> Plans:
    """The best plan among the sparsities that the question allows.

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
    best = np.argmin(np.stack(np.broadcast_arrays(*(objective(question, plan) for plan in plans))), axis=0)
    return plan_at(theta, question, np.asarray(allowed)[best])


def dense_plan(theta: Theta, question: Question) -> Plans:
    """The best plan with S = 0 under the same givens."""
    return plan_at(theta, question, 0.0)


def dense_run_for(theta: Theta, question: Question, reducible: Floats) -> tuple[Array, Array]:
    """N and D of the cheapest dense run, under the question's givens, that reaches a reducible loss."""
    return run_for_loss(theta, question, 0.0, reducible)


def dense_flops_for(theta: Theta, question: Question, reducible: Floats) -> Array:
    """FLOPs, of inference too where it counts, of that run; infinite where none reaches the loss."""
    N, D = dense_run_for(theta, question, reducible)
    return question.spending.flops_for(D, 0.0, N)


def lowest_reducible(theta: Theta, question: Question) -> Array:
    """The reducible loss that runs under a question come near to, however much they cost."""
    N, D = question.nonzero_params, question.data_seen if question.data_seen is not None else question.max_data
    if N is None and question.tokens_per_param is not None and D is not None:
        N = D / question.tokens_per_param
    choices = question.pattern.sparsities
    S = np.linspace(0.0, question.cap, 257) if choices is None else np.array([S for S in choices if question.cap >= S])
    if N is None:
        N = largest_size(question, S) if question.dense_params is None else question.dense_params * (1.0 - S)
    return np.asarray(np.nanmin(theta.reducible(S, N, np.inf if D is None else D)))
