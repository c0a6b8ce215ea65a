"""The runs that `next` chooses from: a grid over S, N and D around what a law's runs covered."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.units import format_count, format_scientific
from sparseplan.cost.flops import Cost
from sparseplan.errors import PlanError
from sparseplan.laws.forms.budget import Array
from sparseplan.laws.law import Law, form_of
from sparseplan.sparsity.pattern import Pattern

SPARSITIES = (0.0, 0.25, 0.5, 0.625, 0.75, 0.8125, 0.875, 0.9375, 0.96875)
ABOVE = 16.0
"""How far beyond the largest size and length of a law's runs."""
MOST = 2000
STEP = 2.0
_MOST_OF_FAMILY = 8


class Span(Struct, frozen=True, kw_only=True):
    """Ends of the non-zero parameters or the data to choose from."""

    low: float
    high: float


class Trainable(Struct, frozen=True, kw_only=True, eq=False):
    """What models there are to train.

    Attributes:
        dense_params: Parameters before pruning, shape (M,).
        data_seen: What a run may see, shape (L,).
        trained: Runs that there are already, rows of (S, dense parameters, D), shape (R, 3).
    """

    dense_params: Array
    data_seen: Array
    trained: Array


class Candidates(Struct, frozen=True, kw_only=True, eq=False):
    """Runs that could be trained, arrays of shape (X,)."""

    sparsity: Array
    nonzero_params: Array
    data_seen: Array
    train_flops: Array

    def __len__(self) -> int:
        return len(self.sparsity)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Candidates":
        """Some of them, in that order."""
        return Candidates(**{name: getattr(self, name)[rows] for name in self.__struct_fields__})


def spans(law: Law, params: Span | None, data: Span | None) -> tuple[Span, Span]:
    """Sizes and data to choose from: as given, else from the law's smallest runs to 16 times its largest.

    Raises:
        PlanError: if neither says anything of an axis.
    """
    found = []
    for name, given, covered in (
        ("sizes", params, law.range.nonzero_params),
        ("data", data, law.range.data_seen),
    ):
        if given is None and covered is None:
            raise PlanError(
                f"`{name}`: the law {law.name} doesn't say what its runs covered; give a range to choose from."
            )
        found.append(given or Span(low=covered[0], high=covered[1] * ABOVE))  # type: ignore[index]
    return found[0], found[1]


def grid(law: Law, pattern: Pattern, cap: float, cost: Cost, budget: float, sizes: Span, data: Span) -> Candidates:
    """Runs of sizes and lengths by factors of two, at every sparsity that the pattern makes, each within the budget.

    Raises:
        PlanError: if the budget pays for none of them.
    """
    step = STEP
    while True:
        levels_of = sparsities(law, pattern, cap), levels(sizes, step), levels(data, step)
        S, N, D = (axis.ravel() for axis in np.meshgrid(*levels_of, indexing="ij"))
        made = Candidates(sparsity=S, nonzero_params=N, data_seen=D, train_flops=cost.flops_for(D, S, N))
        affordable = within(made, budget)
        if len(affordable) <= MOST:
            return affordable
        step *= step


def trainable(
    law: Law, pattern: Pattern, cap: float, cost: Cost, budget: float, models: Trainable, sizes: Span, data: Span
) -> Candidates:
    """Runs of models that there are, at every sparsity that the pattern makes, each within the spans and the budget.

    Raises:
        PlanError: if there is none, or the budget pays for none.
    """
    axes = np.meshgrid(sparsities(law, pattern, cap), models.dense_params, models.data_seen, indexing="ij")
    S, dense, D = (axis.ravel() for axis in axes)
    N = dense * (1.0 - S)
    made = Candidates(sparsity=S, nonzero_params=N, data_seen=D, train_flops=cost.flops_for(D, S, N))
    slack = 1.0 + 1e-9
    inside = (sizes.low <= N * slack) & (sizes.high * slack >= N) & (data.low <= D * slack) & (data.high * slack >= D)
    inside &= ~np.any(np.all(np.stack([S, dense, D], axis=1)[:, None] == models.trained, axis=2), axis=1)
    if not np.any(inside):
        raise PlanError(
            f"`recipe`: its models have {format_count(N.min())} to {format_count(N.max())} non-zero parameters and see "
            f"{format_count(D.min())} to {format_count(D.max())} of data: none is new and within `sizes` and `data`."
        )
    return within(made.take(inside), budget)


def within(candidates: Candidates, budget: float) -> Candidates:
    """Those that the budget pays for.

    Raises:
        PlanError: if it pays for none.
    """
    kept = candidates.take(candidates.train_flops <= budget)
    if not len(kept):
        least = int(np.argmin(candidates.train_flops))
        raise PlanError(
            f"`budget`: {format_scientific(budget)} FLOPs pay for no run here; the cheapest, "
            f"{format_count(candidates.nonzero_params[least])} non-zero parameters on "
            f"{format_count(candidates.data_seen[least])} of data, takes "
            f"{format_scientific(candidates.train_flops[least])}."
        )
    return kept


def sparsities(law: Law, pattern: Pattern, cap: float) -> tuple[float, ...]:
    """Sparsities to choose from, dense always among them; of a long family an even selection."""
    if not form_of(law).knows_sparsity:
        return (0.0,)
    if pattern.sparsities is None:
        return tuple(S for S in SPARSITIES if cap >= S)
    made = [S for S in pattern.sparsities if 0.0 < S <= max(cap, pattern.sparsity or 0.0)]
    every = max(1, -(-len(made) // _MOST_OF_FAMILY))
    return (0.0, *made[every - 1 :: every])


def levels(span: Span, step: float = STEP) -> Array:
    """Values from low to high by a factor of about `step`, both ends among them."""
    count = max(1, round(np.log(span.high / span.low) / np.log(step)))
    return np.asarray(span.low * (span.high / span.low) ** (np.arange(count + 1) / count))
