"""What separates two laws: coefficients, and what they change in predictions over the range that both cover."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.cost import flops_cost
from sparseplan.law import DenseLaw, Law, SparseLaw, coefficients, dense_coefficients
from sparseplan.laws.frantar2023 import Coefficients, loss, size_multiplier
from sparseplan.plan import optimum
from sparseplan.schedule import Schedule

Bounds = tuple[float, float]
_POINTS = 12
_NO_RANGE: tuple[Bounds, Bounds] = ((1e6, 1e10), (1e9, 1e12))


class Change(Struct, frozen=True, kw_only=True):
    """One number under both laws; None where a law has no such number."""

    name: str
    first: float | None
    second: float | None


class LawDiff(Struct, frozen=True, kw_only=True):
    """The difference between two laws.

    Attributes:
        coefficients: The seven coefficients of the sparse form, natural units.
        nonzero_params, data_seen: The region compared: where both laws were measured, else where either was.
        common: Whether that region is common to both.
        loss_difference: Second minus first, nats, over that region: smallest, median, largest.
        sparsity_difference: The same for S_opt at fixed N and C under sparse FLOPs; None for dense-only laws.
        plans: What follows: size multipliers, best sparsity with the size free.
    """

    first: str
    second: str
    coefficients: list[Change]
    nonzero_params: Bounds
    data_seen: Bounds
    common: bool
    loss_difference: tuple[float, float, float]
    sparsity_difference: tuple[float, float, float] | None
    plans: list[Change]


def diff_laws(first: Law, second: Law, *, family: str = "unstructured") -> LawDiff:
    """Compare two laws over the range they share; a dense-only law is compared where S = 0."""
    thetas = _theta(first, family), _theta(second, family)
    both_sparse = isinstance(first, SparseLaw) and isinstance(second, SparseLaw)
    sizes, data, common = _region(first, second)
    N, D = np.geomspace(*sizes, _POINTS)[:, None, None], np.geomspace(*data, _POINTS)[:, None]
    S = np.asarray([0.0, 0.5, 0.75] if both_sparse else [0.0])
    differences = loss(thetas[1], S, N, D) - loss(thetas[0], S, N, D)
    return LawDiff(
        first=first.name,
        second=second.name,
        coefficients=[
            Change(name=name, first=_shown(first, name, thetas[0]), second=_shown(second, name, thetas[1]))
            for name in Coefficients._fields
        ],
        nonzero_params=sizes,
        data_seen=data,
        common=common,
        loss_difference=_summary(differences),
        sparsity_difference=_sparsity_difference(first, second, thetas, N, D) if both_sparse else None,
        plans=_plans(first, second, thetas),
    )


def _theta(law: Law, family: str) -> Coefficients:
    return dense_coefficients(law) if isinstance(law, DenseLaw) else coefficients(law, family)


def _shown(law: Law, name: str, theta: Coefficients) -> float | None:
    """A coefficient, or None where a dense-only law has none of that name."""
    return None if isinstance(law, DenseLaw) and name in ("a_S", "b_S") else float(getattr(theta, name))


def _region(first: Law, second: Law) -> tuple[Bounds, Bounds, bool]:
    """The region both laws cover; where there is none, the one that spans both."""
    regions: list[Bounds] = []
    common = first.data_unit == second.data_unit
    for axis, fallback in zip(("nonzero_params", "data_seen"), _NO_RANGE, strict=True):
        spans = [span for law in (first, second) if (span := getattr(law.range, axis)) is not None] or [fallback]
        inner = (max(low for low, _ in spans), min(high for _, high in spans))
        common = common and len(spans) == 2 and inner[0] <= inner[1]
        regions.append(inner if inner[0] <= inner[1] else (min(low for low, _ in spans), max(h for _, h in spans)))
    return regions[0], regions[1], common


def _sparsity_difference(
    first: Law, second: Law, thetas: tuple[Coefficients, Coefficients], N: NDArray[np.float64], D: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Over the budgets of dense runs in the region; a budget is N D in parameters times units."""
    found = [
        optimum.sparsity_at_size(theta, flops_cost("sparse", _schedule(law)).saving, N, N * D)
        for law, theta in zip((first, second), thetas, strict=True)
    ]
    return _summary(found[1] - found[0])


def _plans(first: Law, second: Law, thetas: tuple[Coefficients, Coefficients]) -> list[Change]:
    rows: list[Change] = []
    sparse = [isinstance(law, SparseLaw) for law in (first, second)]
    for S in (0.5, 0.75, 0.875):
        values = [float(size_multiplier(t, S)) if known else None for t, known in zip(thetas, sparse, strict=True)]
        rows.append(Change(name=f"size multiplier at {100 * S:g}%", first=values[0], second=values[1]))
    for cost in ("sparse", "dense"):
        values = [
            float(optimum.sparsity_at_free_size(theta, flops_cost(cost, _schedule(law)).saving)) if known else None
            for law, theta, known in zip((first, second), thetas, sparse, strict=True)
        ]
        rows.append(Change(name=f"best sparsity, size free, {cost} cost", first=values[0], second=values[1]))
    return rows


def _schedule(law: Law) -> Schedule:
    return law.schedule if isinstance(law, SparseLaw) else Schedule()


def _summary(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())
