"""`optimal --from-dense`: whether to prune a dense model that exists."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparseplan.cli import options as o
from sparseplan.errors import PlanError
from sparseplan.laws import DEFAULT_LAW


def answer_from_dense(
    dense_data: float,
    *,
    flops: Sequence[float] | None,
    dense_params: float | None,
    pattern: Sequence[Any] | None,
    law: Sequence[str] | None,
    cost: Sequence[str] | None,
    max_sparsity: float | None,
    explain: bool,
    json: bool,
    others: Mapping[str, Any],
) -> None:
    """Print the answer.

    Args:
        dense_data: What the model has seen.
        flops, dense_params, pattern, law, cost, max_sparsity, explain, json: As in `optimal`.
        others: Options of `optimal` that say nothing here, by name; none may be given.

    Raises:
        PlanError: naming options that are missing, given more than once, or have no meaning here.
    """
    from sparseplan.api.from_dense import from_dense
    from sparseplan.report.from_dense import print_from_dense

    if surplus := [f"`{name}`" for name, value in others.items() if value not in (None, False)]:
        raise PlanError(
            "`dense_data`: expected `flops` and `dense_params` beside it, and of other givens `pattern`, `law`, `cost` "
            f"and `max_sparsity`; found {' and '.join(surplus)}."
        )
    if flops is None or dense_params is None:
        missing = "`flops`, what there is to spend" if flops is None else "`dense_params`, the size of the model"
        raise PlanError(f"`dense_data`: expected {missing}, beside it.")
    for name, values in (("flops", flops), ("pattern", pattern), ("cost", cost)):
        if values is not None and len(values) > 1:
            raise PlanError(f"`{name}`: expected one value with `dense_data`, found {len(values)}.")
    found = from_dense(
        flops[0],
        dense_params=dense_params,
        dense_data=dense_data,
        law=law or DEFAULT_LAW,
        pattern=pattern[0] if pattern else "unstructured",
        cost=cost[0] if cost else "sparse",
        max_sparsity=max_sparsity,
    )
    if json:
        o.print_json(found.to_json())
    else:
        print_from_dense(o.open_console(), found, explain=explain)
