"""What a plan rests on: distances outside the law's range, and the warnings that follow."""

from msgspec import Struct

from sparseplan.law import Law, Range, SparseLaw, family_used, is_transferred
from sparseplan.units import format_count, format_sparsity


class Warning(Struct, frozen=True, kw_only=True):
    """One caveat: a stable code for machines, a sentence for people."""

    code: str
    message: str


class Distance(Struct, frozen=True, kw_only=True):
    """How far a value lies outside what the law's runs covered.

    Attributes:
        axis: sparsity, nonzero_params or data_seen.
        value: The planned value.
        low: Smallest value among the law's runs.
        high: Largest.
        factor: Value over the nearest end, or that end over the value: always above 1; of densities for sparsity.
    """

    axis: str
    value: float
    low: float
    high: float
    factor: float
    message: str


ROUNDING = 1.02  # people write 85M for 84.9M; that is no extrapolation


def distances(
    covered: Range, *, sparsity: float, nonzero_params: float, data_seen: float, data_unit: str
) -> list[Distance]:
    """The axes on which a point lies outside a law's range; an axis without a range is left out."""
    found: list[Distance] = []
    for axis, value, bounds, noun in (
        ("nonzero_params", nonzero_params, covered.nonzero_params, "N"),
        ("data_seen", data_seen, covered.data_seen, "D"),
    ):
        if bounds is None or bounds[0] / ROUNDING <= value <= bounds[1] * ROUNDING:
            continue
        larger = value > bounds[1]
        factor = value / bounds[1] if larger else bounds[0] / value
        edge = f"the {'largest' if larger else 'smallest'} run ({format_count(bounds[larger])})"
        unit = f" {data_unit}s" if axis == "data_seen" else ""
        ratio = _factor(factor) if larger else f"1/{_factor(factor).removesuffix('x')} of"
        text = f"{noun} = {format_count(value)}{unit} is {ratio} {edge}"
        found.append(Distance(axis=axis, value=value, low=bounds[0], high=bounds[1], factor=factor, message=text))
    if covered.sparsity is not None and sparsity > covered.sparsity[1]:
        low, high = covered.sparsity
        factor = (1.0 - high) / (1.0 - sparsity)
        text = f"S = {format_sparsity(sparsity)} is sparser than every run ({format_sparsity(high)})"
        found.append(Distance(axis="sparsity", value=sparsity, low=low, high=high, factor=factor, message=text))
    return found


def _factor(factor: float) -> str:
    """Write a ratio.

    >>> _factor(35.2), _factor(1.84), _factor(123456.0)
    ('35x', '1.8x', '1.23e5x')
    """
    if factor < 9.95:
        return f"{factor:.1f}x"
    return f"{factor:.0f}x" if factor < 9999.5 else f"{factor:.2e}x".replace("e+0", "e").replace("e+", "e")


def law_caveats(law: Law, family: str) -> list[Warning]:
    """What a law with sparsity can't itself vouch for."""
    found: list[Warning] = []
    if is_transferred(law):
        found.append(
            Warning(code="transferred", message="the sparsity term was borrowed from another law, not measured here")
        )
    if isinstance(law, SparseLaw) and (used := family_used(law, family)) != family:
        found.append(
            Warning(
                code="pattern-borrowed",
                message=f"the law has no coefficients for {family}; the {used} ones stand in, which flatters n:m",
            )
        )
    if law.range.nonzero_params is None or law.range.data_seen is None or law.range.sparsity is None:
        found.append(Warning(code="no-range", message="the law doesn't say what its runs covered on every axis"))
    if law.draws is None:
        found.append(Warning(code="no-draws", message=NO_DRAWS))
    return found


NO_DRAWS = "the law carries no bootstrap draws, so there are no intervals; refit its runs with sparseplan fit"


def plan_caveats(
    outside: list[Distance], sparsity: float, unlimited: float | None, max_sparsity: float
) -> list[Warning]:
    """What this plan can't vouch for."""
    found = [Warning(code="extrapolation", message=distance.message) for distance in outside]
    if unlimited is not None and unlimited > sparsity:
        found.append(
            Warning(
                code="sparsity-capped",
                message=f"S is held at {format_sparsity(max_sparsity)}; the law alone would go to "
                f"{format_sparsity(unlimited)}. Lift the cap with --max-sparsity",
            )
        )
    return found


def sparsity_cap(law: Law) -> float:
    """The sparsity beyond which this law should not be asked: its largest run's, or 0.95 where it doesn't say."""
    return law.range.sparsity[1] if law.range.sparsity is not None else DEFAULT_CAP


DEFAULT_CAP = 0.95
