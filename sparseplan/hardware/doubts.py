"""What in a profile can't be the device's own doing: times that scatter, speeds that fall with width, zeros that give
more than they take.

Wider layers give a device more to do at once, so its FLOP/s grow with the width until they level off. Where they fall
by far, or repeats of the same work differ by a factor, something else was running or threads waited for each other.
"""

from collections.abc import Iterator

from sparseplan.common.units import format_count, format_sparsity
from sparseplan.hardware.kernels import Kernel
from sparseplan.hardware.profile import MeasuredProfile, Point, Profile

MOST_SCATTER = 2.0
"""Percentile 90 of the repeats over percentile 10, above which a time is no measurement."""
MOST_FALL = 0.8
"""FLOP/s over those of a narrower one: caches cost some, not more than this."""


def doubts(profile: Profile) -> list[str]:
    """What to doubt of a profile, in sentences, with what to do last; empty where there is nothing."""
    kernels = list(_beyond_ideal(profile.kernels))
    if not isinstance(profile, MeasuredProfile):
        return kernels
    found = [*_scatter(profile.points), *_falls(profile.points)]
    if not found:
        return kernels
    cpu = profile.hardware.accelerator == "cpu"
    threads = " and with one thread (OMP_NUM_THREADS=1)" if cpu else ""
    return [
        *kernels,
        *found,
        f"Don't plan with these times: measure again while nothing else runs{threads}, with `force`.",
    ]


def _beyond_ideal(kernels: list[Kernel]) -> Iterator[str]:
    """Rows that gain more than leaving all zeros out would."""
    for row in kernels:
        ideal = 1.0 / (1.0 - row.at_sparsity)
        if row.speedup.median > ideal:
            yield (
                f"{row.pattern} at {format_sparsity(row.at_sparsity)} runs {row.speedup.median:.3g}x as fast in "
                f"{row.work}, more than the {ideal:.3g}x of leaving all zeros out: was the dense side slowed down, or "
                "in another number format?"
            )


def _scatter(points: list[Point]) -> Iterator[str]:
    """One sentence for all that scatters, by its worst."""
    ratios = [(high / low, point) for point in points for low, high in _ends(point) if high > MOST_SCATTER * low]
    if not ratios:
        return
    worst, point = max(ratios, key=lambda pair: pair[0])
    yield (
        f"Repeats of the same work differ by more than {MOST_SCATTER:g}x in {len(ratios)} of "
        f"{sum(len(_ends(each)) for each in points)} times, most in {_name(point)}: {worst:.3g}x."
    )


def _ends(point: Point) -> list[tuple[float, float]]:
    return [spread.ends for spread in (point.dense, point.sparse) if spread is not None]


def _falls(points: list[Point]) -> Iterator[str]:
    """A sentence for each kind of dense work that is slower on a wider model: its deepest fall."""
    kinds = dict.fromkeys((point.part, point.phase, point.tokens) for point in points if point.phase != "inference")
    for kind in kinds:
        same = sorted(
            (point for point in points if (point.part, point.phase, point.tokens) == kind), key=lambda each: each.width
        )
        best, deepest = same[0], None
        for point in same[1:]:
            share = _rate(point) / _rate(best)
            if share < MOST_FALL and (deepest is None or share < deepest[0]):
                deepest = share, best, point
            best = max(best, point, key=_rate)
        if deepest is not None:
            _, narrow, wide = deepest
            yield (
                f"{_name(wide).capitalize()} reached {format_count(_rate(wide))} FLOP/s, less than the "
                f"{format_count(_rate(narrow))} at width {narrow.width}."
            )


def _rate(point: Point) -> float:
    return point.machine_flops / point.dense.median


def _name(point: Point) -> str:
    part = "layer" if point.part == "linear" else point.part
    return f"{part} {point.phase} on {point.tokens} tokens at width {point.width}"
