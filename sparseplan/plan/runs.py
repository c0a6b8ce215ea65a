"""Size and data of a run at some sparsity: what the givens of a question leave, for a budget or for a loss.

Whatever is given, a sparsity leaves one run: the given size or data fixes the other, a ratio fixes both, and with
nothing given the best of them is the form's. Where data is limited and the best run would see more, it sees just that
much: along a budget, and along the runs of a loss, everything else gets worse the further it is from the best. Sizes
that are limited likewise.
"""

from typing import TYPE_CHECKING

import numpy as np

from sparseplan.laws.forms import search
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array, Floats

if TYPE_CHECKING:
    from sparseplan.plan.question import Question

_ROUNDING = 1e-12


def run_for_budget(theta: Theta, question: "Question", S: Array) -> tuple[Array, Array]:
    """N and D that spend the question's budget; less than it where neither more size nor more data is allowed.

    D is infinite where inference leaves nothing for training.
    """
    budget, most = question.budget, question.max_data
    largest = largest_size(question, S)
    N = given_size(question, S)
    if N is not None:
        D = budget.data(S, N)
        D = np.where((D > 0.0) & (largest >= N), D, np.inf)  # inference takes more than the budget, or N is too large
        return N, D if most is None else np.where(np.isfinite(D), np.minimum(D, most), D)
    if question.data_seen is not None:
        D = np.asarray(question.data_seen, dtype=np.float64)
        return np.minimum(budget.size(S, D), largest), D
    ratio = question.tokens_per_param
    N = np.minimum(theta.best_size(S, budget) if ratio is None else budget.size_at_ratio(S, ratio), largest)
    D = budget.data(S, N) if ratio is None else np.asarray(ratio * N)
    if most is None:
        return N, D
    at_most = budget.size(S, most) if ratio is None else np.asarray(most / ratio)
    return np.where(most < D, np.minimum(at_most, largest), N), np.minimum(D, most)


def run_for_loss(theta: Theta, question: "Question", S: Floats, reducible: Floats) -> tuple[Array, Array]:
    """N and D of the cheapest run that reaches a reducible loss; N or D infinite where none does."""
    most, largest = question.max_data, largest_size(question, S)
    N = given_size(question, S)
    if N is not None:
        D = _within(theta.data_for(S, N, reducible), most)
        return N, np.where(largest >= N, D, np.inf)
    if question.data_seen is not None:
        D = np.asarray(question.data_seen, dtype=np.float64)
        return _within(theta.size_for(S, D, reducible), largest), D
    if question.tokens_per_param is not None:
        N = _within(search.size_at_ratio(theta, S, question.tokens_per_param, reducible), largest)
        return N, _within(np.asarray(question.tokens_per_param * N), most)
    N = np.minimum(_cheapest_size(theta, question, S, reducible), largest)
    D = theta.data_for(S, N, reducible)
    if most is None:
        return N, D
    at_most = _within(theta.size_for(S, most, reducible), largest)
    return np.where(most < D, at_most, N), np.minimum(D, most)


def given_size(question: "Question", S: Floats) -> Array | None:
    """N at sparsity S where the size is given."""
    if question.nonzero_params is not None:
        return np.asarray(question.nonzero_params, dtype=np.float64)
    if question.dense_params is not None:
        return np.asarray(question.dense_params * (1.0 - np.asarray(S)))
    return None


def largest_size(question: "Question", S: Floats) -> Array:
    """The largest N that is allowed at sparsity S; infinite for no limit."""
    if question.max_dense_params is None:
        return np.asarray(np.inf)
    return np.asarray(question.max_dense_params * (1.0 - np.asarray(S)) * (1.0 + _ROUNDING))


def _within(D: Array, most: Floats | None) -> Array:
    return D if most is None else np.where(most < D, np.inf, D)


def _cheapest_size(theta: Theta, question: "Question", S: Floats, reducible: Floats) -> Array:
    cost = question.spending
    if cost.depends_on_size and np.any(np.asarray(S) > 0.0):  # dense models cost the same by any width
        return search.cheapest_size_by_grid(theta, S, reducible, cost.flops_for)
    return theta.cheapest_size(S, reducible, cost.idle(S, 1.0))
