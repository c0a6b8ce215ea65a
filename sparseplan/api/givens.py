"""What of a run is decided: the arguments that fix its size or its data, and which of them exclude each other."""

from dataclasses import dataclass

from sparseplan.api import arguments
from sparseplan.api.arguments import Number
from sparseplan.common.units import format_count
from sparseplan.errors import PlanError

_ONE_OF = ("params", "dense_params", "model", "data", "tokens_per_param")


@dataclass(frozen=True, kw_only=True, slots=True)
class Givens:
    """As numbers; None for what is free. `model` is the dense size of the real model that is given."""

    params: float | None
    dense_params: float | None
    model: float | None
    data: float | None
    max_data: float | None
    tokens_per_param: float | None
    unique_data: float | None


def givens(
    *,
    params: Number | None,
    dense_params: Number | None,
    model: float | None,
    data: Number | None,
    max_data: Number | None,
    tokens_per_param: Number | None,
    unique_data: Number | None,
) -> Givens:
    """Read them.

    Raises:
        SparseplanError: naming the arguments that are no numbers or contradict each other.
    """
    found = Givens(
        params=arguments.count("params", params),
        dense_params=arguments.count("dense_params", dense_params),
        model=model,
        data=arguments.positive("data", data),
        max_data=arguments.positive("max_data", max_data),
        tokens_per_param=arguments.positive("tokens_per_param", tokens_per_param),
        unique_data=arguments.positive("unique_data", unique_data),
    )
    both = [f"`{name}`" for name in _ONE_OF if getattr(found, name) is not None]
    if len(both) > 1:
        why = "one follows from the other and the sparsity" if "`data`" not in both else "the goal fixes the other"
        raise PlanError(f"expected {' or '.join(both)}, found {'both' if len(both) == 2 else 'all'}; {why}.")
    if found.data is not None and found.max_data is not None:
        raise PlanError("expected `data`, which is what is seen, or `max_data`, which is a limit; found both.")
    if found.data is not None and found.unique_data is not None and found.unique_data > found.data:
        raise PlanError(
            f"`unique_data`: expected at most the {format_count(found.data)} of `data`, found "
            f"{format_count(found.unique_data)}; without repeats leave it out."
        )
    return found
