"""What separates two laws: coefficients, and what they change in predictions over the range that both cover."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.laws.forms import frantar2023_optimum as optimum
from sparseplan.laws.forms.frantar2023 import Coefficients, loss, shape, size_multiplier
from sparseplan.laws.law import DenseLaw, Law, SparseLaw, coefficients, dense_coefficients
from sparseplan.sparsity.schedule import Schedule

Bounds = tuple[float, float]
_POINTS = 12
_NO_RANGE: dict[str, Bounds] = {"nonzero_params": (1e6, 1e10), "data_seen": (1e9, 1e12)}
SHOWN_SPARSITIES = (0.5, 0.75, 0.875)


class Change(Struct, frozen=True, kw_only=True):
    """One number under both laws; None where a law has no such number."""

    name: str
    first: float | None
    second: float | None


class LawDiff(Struct, frozen=True, kw_only=True):
    """The difference between two laws.

    Attributes:
        coefficients: Of the two laws' form where they share one, else of the sparse form, natural units.
        nonzero_params, data_seen: The region compared; None for data that two units count.
        region: Whether both laws cover it, only either does (they share none), or one doesn't say what it covers.
        loss_difference: Second minus first, nats, over that region: smallest, median, largest; None where the laws
            count different data, whose losses can't be compared.
        sparsity_difference: The same for S_opt at fixed N and C under sparse FLOPs; None for dense-only laws too.
        plans: What follows: size multipliers, best sparsity with the size free.
    """

    first: str
    second: str
    coefficients: list[Change]
    nonzero_params: Bounds
    data_seen: Bounds | None
    region: Literal["both", "either", "unknown"]
    loss_difference: tuple[float, float, float] | None
    sparsity_difference: tuple[float, float, float] | None
    plans: list[Change]


@np.errstate(all="ignore")  # what overflows is told as infinite
def diff_laws(first: Law, second: Law, *, family: str | None = None) -> LawDiff:
    """Compare two laws over the range they share; a dense-only law is compared where S = 0.

    `family` is a pattern family; without it each law answers from its main one.
    """
    thetas = _theta(first, family), _theta(second, family)
    sparse = isinstance(first, SparseLaw) and isinstance(second, SparseLaw)
    comparable = first.data_unit == second.data_unit
    regions = [_region(first, second, axis) for axis in ("nonzero_params", "data_seen")]
    (sizes, of_sizes), (data, of_data) = regions
    N, D = np.geomspace(*sizes, _POINTS)[:, None, None], np.geomspace(*data, _POINTS)[:, None]
    S = np.asarray([0.0, *SHOWN_SPARSITIES] if sparse else [0.0])
    differences = loss(thetas[1], S, N, D) - loss(thetas[0], S, N, D)
    shared = {of_sizes, of_data}
    return LawDiff(
        first=first.name,
        second=second.name,
        coefficients=_coefficients(first, second, thetas),
        nonzero_params=sizes,
        data_seen=data if comparable else None,
        region="unknown" if "unknown" in shared else "either" if "either" in shared else "both",
        loss_difference=_summary(differences) if comparable else None,
        sparsity_difference=_sparsity_difference(first, second, thetas, N, D) if sparse and comparable else None,
        plans=_plans(first, second, thetas),
    )


def _theta(law: Law, family: str | None) -> Coefficients:
    return dense_coefficients(law) if isinstance(law, DenseLaw) or family is None else coefficients(law, family)


def _coefficients(first: Law, second: Law, thetas: tuple[Coefficients, Coefficients]) -> list[Change]:
    """The coefficients of the form that both laws share; of two forms, the sparse one's, with f(0) for the dense A."""
    if isinstance(first, DenseLaw) and isinstance(second, DenseLaw):
        names = type(first.coefficients).__struct_fields__
        pairs = [(name, getattr(first.coefficients, name), getattr(second.coefficients, name)) for name in names]
        return [Change(name=name, first=one, second=two) for name, one, two in pairs]
    rows = [
        Change(name=name, first=_own(first, name, thetas[0]), second=_own(second, name, thetas[1]))
        for name in Coefficients._fields
    ]
    at_zero = [float(shape(theta, 0.0)) for theta in thetas]
    return [*rows[:3], Change(name="f(0) = a_S + c_S", first=at_zero[0], second=at_zero[1]), *rows[3:]]


def _own(law: Law, name: str, theta: Coefficients) -> float | None:
    """A coefficient, or None where a dense-only law has none of that name."""
    return None if isinstance(law, DenseLaw) and name.endswith("_S") else float(getattr(theta, name))


def _region(first: Law, second: Law, axis: str) -> tuple[Bounds, Literal["both", "either", "unknown"]]:
    """What both laws cover on an axis; where that is nothing, what spans both."""
    spans = [span for law in (first, second) if (span := getattr(law.range, axis)) is not None]
    if not spans:
        return _NO_RANGE[axis], "unknown"
    inner = (max(low for low, _ in spans), min(high for _, high in spans))
    if inner[0] <= inner[1]:
        return inner, "both" if len(spans) == 2 else "unknown"
    return (min(low for low, _ in spans), max(high for _, high in spans)), "either"


def _sparsity_difference(
    first: Law, second: Law, thetas: tuple[Coefficients, Coefficients], N: NDArray[np.float64], D: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Over the budgets of dense runs in the region; a budget is N D in parameters times units."""
    found = [
        optimum.sparsity_at_size(theta, _saving(law), N, N * D)
        for law, theta in zip((first, second), thetas, strict=True)
    ]
    return _summary(found[1] - found[0])


def _plans(first: Law, second: Law, thetas: tuple[Coefficients, Coefficients]) -> list[Change]:
    pairs = [(law, theta) for law, theta in zip((first, second), thetas, strict=True)]

    def row(name: str, value: Callable[[Law, Coefficients], float]) -> Change:
        both = [value(law, theta) if isinstance(law, SparseLaw) else None for law, theta in pairs]
        return Change(name=name, first=both[0], second=both[1])

    def multiplier_row(S: float) -> Change:
        return row(f"size multiplier at {100 * S:g}%", lambda _, theta: float(size_multiplier(theta, S)))

    def best(law: Law, theta: Coefficients) -> float:
        return float(optimum.sparsity_at_free_size(theta, _saving(law)))

    def best_if_zeros_cost(_: Law, theta: Coefficients) -> float:
        return float(optimum.sparsity_at_free_size(theta, 0.0))

    return [
        *(multiplier_row(S) for S in SHOWN_SPARSITIES),
        row("best sparsity, size free, sparse cost", best),
        row("best sparsity, size free, dense cost", best_if_zeros_cost),
    ]


def _saving(law: Law) -> float:
    """kappa of sparse FLOPs under the law's ramp."""
    return (law.schedule if isinstance(law, SparseLaw) else Schedule()).saving


def _summary(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())
