"""What a map says in words, in its picture and on a terminal alike: cost, span of the runs, cap, loss."""

from collections.abc import Sequence

import numpy as np

from sparseplan.common.units import format_bounds, format_count, format_sparsity
from sparseplan.laws.identity import law_hash
from sparseplan.plan.sparsity_map import MapPlan, SparsityMap, map_caveats
from sparseplan.sparsity.pattern import UNSTRUCTURED

_GRAVE = ("pattern-borrowed", "transferred", "poor-fit")
"""The caveats that a picture can't do without."""
_COSTS = {"sparse": "zeros cost nothing", "dense": "zeros cost as much as weights"}


def cost_words(name: str) -> str:
    """What a cost makes of zeros."""
    return _COSTS.get(name, f"cost of training on {name}")


def title(charts: Sequence[SparsityMap]) -> str:
    """What the maps show, and at which cost where it is one."""
    first = charts[0]
    pattern = "unstructured" if first.pattern == UNSTRUCTURED else f"pattern {first.pattern}"
    return f"Optimal sparsity, {pattern}" + (f"; {cost_words(first.cost_name)}" if len(charts) == 1 else "")


def caption(charts: Sequence[SparsityMap], extrapolated: str, *, written: bool = True) -> str:
    """What a reader of the map alone has to know: which loss, at which cost, and how far it can be trusted.

    Args:
        charts: The maps, of one law.
        extrapolated: How extrapolated points are marked, as in "Faded".
        written: Whether the law is as its file has it, and so has its hash.
    """
    law, several = charts[0].law, len(charts) > 1
    price = "" if several else f"; {cost_words(charts[0].cost_name)}"
    hashed = f" {law_hash(law)}" if written else ""
    of = law.loss or "its file doesn't say which"
    what = "The sparsity of the lowest loss for each size and training budget"
    found = [f"{what} by the law {law.name}{hashed}{price}. Loss: {of}."]
    if charts[0].outside is None:
        found.append("The law doesn't say what its runs covered.")
    elif any(np.any(chart.extrapolated) for chart in charts):
        found.append(
            f"{extrapolated}: extrapolated, the plan lies outside the span of the law's runs ({span(charts[0])})."
        )
    if any(np.any(chart.held) for chart in charts):
        found.append(f"Sparsity stops at {cap(charts[0])}.")
    found += [
        f"{caveat.message[0].upper()}{caveat.message[1:]}."
        for caveat in map_caveats(charts[0])
        if caveat.code in _GRAVE
    ]
    if law.counts_embeddings:
        found.append("Parameters are counted with embeddings.")
    return " ".join(found)


def span(chart: SparsityMap) -> str:
    """What the law's runs covered, axis by axis; not every combination was run."""
    covered, unit = chart.law.range, f"{chart.law.data_unit}s"
    found = []
    if covered.nonzero_params is not None:
        found.append(f"{format_bounds(covered.nonzero_params, format_count)} parameters")
    if covered.data_seen is not None:
        found.append(f"{format_bounds(covered.data_seen, format_count)} {unit}")
    if covered.sparsity is not None:
        found.append(f"{format_bounds(covered.sparsity, format_sparsity)} sparse")
    return ", ".join(found)


def cap(chart: SparsityMap) -> str:
    """The cap and whose it is."""
    highest = format_sparsity(chart.max_sparsity)
    covered = chart.law.range.sparsity
    if covered is not None and chart.max_sparsity == covered[1]:
        return f"{highest}, the sparsest of the law's runs"
    return f"{highest}, the highest allowed"


def plan_words(plan: MapPlan) -> str:
    """A plan in a line."""
    sparse = f"{format_sparsity(plan.sparsity)} sparse" if plan.sparsity > 0 else "dense"
    made = f" ({plan.pattern})" if plan.sparsity > 0 and plan.pattern != str(UNSTRUCTURED) else ""
    size = f"{format_count(plan.nonzero_params)} non-zero" if plan.sparsity > 0 else format_count(plan.nonzero_params)
    return f"{sparse}{made}, {size}{' (size free)' if plan.size_is_free else ''}"
