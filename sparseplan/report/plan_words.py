"""What several parts of a printed plan ask of an answer, and how they call it."""

from math import isfinite

from sparseplan.common.intervals import Bounds
from sparseplan.common.units import format_bounds, format_count, format_ratio, format_scientific
from sparseplan.plan.answer import Answer, Plan
from sparseplan.plan.answer_facts import budget_of, loss_word, paid, size_is_free

__all__ = [
    "budget_of",
    "cost_of",
    "cost_word",
    "data_end_losses",
    "flops_bounds",
    "format_epochs",
    "is_dense_only",
    "is_only_dense",
    "is_spent",
    "loss_word",
    "needed",
    "on_data",
    "size_is_free",
    "spending_word",
]

_COSTS = {"sparse": "if zeros cost nothing", "dense": "if zeros cost as much as weights"}


def cost_word(answer: Answer) -> str:
    """What zeros cost in training."""
    return _COSTS.get(answer.cost, f"at its cost on {answer.cost}")


def is_dense_only(answer: Answer) -> bool:
    """Whether the law knows nothing of sparsity, so that there is one plan and nothing to compare."""
    return any(caveat.code == "dense-only" for caveat in answer.warnings)


def is_only_dense(answer: Answer) -> bool:
    """Whether the question allows no sparsity above 0, so that nothing was compared."""
    return any(caveat.code == "only-dense" for caveat in answer.warnings)


def is_spent(answer: Answer, plan: Plan) -> bool:
    """Whether a plan spends the budget; where size and data are both held, it may not."""
    budget = budget_of(answer)
    return budget is None or paid(answer, plan) >= (1.0 - 1e-9) * budget


def cost_of(plan: Plan) -> float:
    """FLOPs of a plan, of inference too where it counts."""
    return plan.total_flops or plan.train_flops


def spending_word(answer: Answer) -> str:
    """What ratios between plans are ratios of."""
    serving = answer.serving
    if serving is None or serving.counted_in == "flops":
        return "compute" if serving is None or serving.weight == 1.0 else "weighed compute"
    return {"hours": "device hours", "money": "money"}[serving.counted_in]


def data_end_losses(answer: Answer) -> bool:
    """Whether limited data, or a limited size, may put a loss out of reach of all compute."""
    given = answer.given
    limits = (given.unique_data, given.data_seen, given.max_data, given.max_dense_params)
    return any(one is not None for one in limits)


def on_data(answer: Answer) -> str:
    """What is given of the data, and of the memory, as an addition to a model's name."""
    given = answer.given
    found = "" if given.tokens_per_param is None else " at this ratio"
    if given.data_seen is not None:
        found = " on these data"
    elif given.max_data is not None:
        found = " within these data"
    return found if given.max_dense_params is None else f"{found} within this memory"


def needed(ratio: float) -> str:
    """What a dense model needs, in budgets, where the budget is `ratio` of it; 0 where that overflows."""
    return format_ratio(1 / ratio) if ratio > 0 else "over 1e300x"


def flops_bounds(bounds: Bounds) -> str:
    """An interval of FLOPs, which has no upper end where no compute may be enough."""
    low, high = bounds
    return format_bounds(bounds, format_scientific) if isfinite(high) else f"at least {format_scientific(low)}"


def format_epochs(epochs: float) -> str:
    """A number of epochs.

    >>> format_epochs(1.0), format_epochs(8.343), format_epochs(1234.5)
    ('1.0', '8.3', '1.23k')
    """
    return f"{epochs:.1f}" if epochs < 999.95 else format_count(epochs)
