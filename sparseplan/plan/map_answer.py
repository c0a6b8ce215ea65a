"""Maps as JSON: these structs are what `sparseplan contour --json` prints, key for key."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.plan.law_name import LawName, law_name
from sparseplan.plan.sparsity_map import SparsityMap, map_caveats

Rows = list[list[float]]


class PlanOnMap(Struct, frozen=True, kw_only=True):
    """A plan that was asked for."""

    pattern: str
    sparsity: float
    nonzero_params: float
    data_seen: float
    train_flops: float
    loss: float


class MapOfCost(Struct, frozen=True, kw_only=True):
    """The map at one cost; rows of the grid are budgets, columns sizes.

    Attributes:
        sparsity: The best, up to `max_sparsity`.
        held_at_cap: Whether the law alone would go further.
        extrapolated: Whether the plan lies outside what the law's runs covered; null where the law doesn't say.
        two_to_four: Whether 2:4 on a device is best; null without a device.
        sparsity_low, sparsity_high: 90 % interval over the law's draws; null without draws.
        dense_optimal_flops, sparsity_begins_flops, held_flops: By size; null where there is none.
    """

    cost: str
    sparsity: Rows
    data_seen: Rows
    loss: Rows
    held_at_cap: list[list[bool]]
    extrapolated: list[list[bool]] | None
    two_to_four: list[list[bool]] | None
    sparsity_low: Rows | None
    sparsity_high: Rows | None
    dense_optimal_flops: list[float]
    sparsity_begins_flops: list[float]
    held_flops: list[float]
    plan: PlanOnMap | None


class MapAnswer(Struct, frozen=True, kw_only=True):
    """Everything `contour` computes."""

    format: Literal["sparseplan-map/1"] = "sparseplan-map/1"
    law: LawName
    pattern: str
    max_sparsity: float
    data_unit: str
    nonzero_params: list[float]
    train_flops: list[float]
    maps: list[MapOfCost]
    warnings: list[Caveat]


def to_json(charts: Sequence[SparsityMap]) -> str:
    """Maps of one law on one grid as indented JSON; what is not finite is null."""
    first = charts[0]
    answer = MapAnswer(
        law=law_name(first.law),
        pattern=str(first.pattern),
        max_sparsity=first.max_sparsity,
        data_unit=first.law.data_unit,
        nonzero_params=first.nonzero_params.tolist(),
        train_flops=first.train_flops.tolist(),
        maps=[_map(chart) for chart in charts],
        warnings=map_caveats(first),
    )
    return msgspec.json.encode(answer).decode()


def _map(chart: SparsityMap) -> MapOfCost:
    plan = chart.plan
    return MapOfCost(
        cost=chart.cost_name,
        sparsity=chart.sparsity.tolist(),
        data_seen=chart.data_seen.tolist(),
        loss=chart.loss.tolist(),
        held_at_cap=chart.held.tolist(),
        extrapolated=_listed(chart.extrapolated),
        two_to_four=_listed(chart.two_to_four),
        sparsity_low=_listed(chart.low),
        sparsity_high=_listed(chart.high),
        dense_optimal_flops=chart.dense_optimal_flops.tolist(),
        sparsity_begins_flops=chart.sparsity_begins_flops.tolist(),
        held_flops=chart.held_flops.tolist(),
        plan=None
        if plan is None
        else PlanOnMap(
            pattern=plan.pattern,
            sparsity=plan.sparsity,
            nonzero_params=plan.nonzero_params,
            data_seen=plan.data_seen,
            train_flops=plan.train_flops,
            loss=plan.loss,
        ),
    )


def _listed(values: Any) -> Any:
    return None if values is None else values.tolist()
