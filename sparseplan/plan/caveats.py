"""What a plan rests on: distances outside the law's range, and the warnings that follow."""

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.caveat import SCHEDULE, TRAVELS, Caveat
from sparseplan.common.units import format_bounds, format_count, format_sparsity
from sparseplan.errors import PlanError
from sparseplan.laws.file import builtin_laws, shadowing
from sparseplan.laws.law import (
    HeldOutError,
    Law,
    PretrainedStart,
    Range,
    coefficient_draws,
    family_used,
    form_of,
    is_transferred,
    poor_fit,
    undrawn,
)
from sparseplan.plan.question import Question


class Distance(Struct, frozen=True, kw_only=True):
    """How far a value lies outside what the law's runs covered.

    Attributes:
        of: What has the value: the plan, the dense plan, or the dense run of equal loss.
        axis: sparsity, nonzero_params, data_seen, unique_data or epochs.
        value: The planned value.
        low: Smallest value among the law's runs.
        high: Largest.
        factor: Value over the nearest end, or that end over the value: always above 1; of densities for sparsity.
    """

    of: str = "plan"
    axis: str
    value: float
    low: float
    high: float
    factor: float
    message: str


LARGEST = 1e40
"""More parameters, or units of data, than any run will have; beyond them an answer would only look like one."""
ROUNDING = 1.02  # people write 85M for 84.9M; that is no extrapolation


def distances(
    covered: Range, *, sparsity: float, nonzero_params: float, data_seen: float, data_unit: str, of: str = "plan"
) -> list[Distance]:
    """The axes on which a point lies outside a law's range; an axis without a range is left out."""
    found: list[Distance] = []
    saw = "any of the law's runs saw"
    for axis, value, bounds, more, less, what in (
        ("nonzero_params", nonzero_params, covered.nonzero_params, "larger", "smaller", "any model of the law's runs"),
        ("data_seen", data_seen, covered.data_seen, f"more {data_unit}s", f"fewer {data_unit}s", saw),
    ):
        if bounds is None or bounds[0] / ROUNDING <= value <= bounds[1] * ROUNDING:
            continue
        beyond = value > bounds[1]
        factor = value / bounds[1] if beyond else bounds[0] / value
        text = f"{factor_words(factor)} {more if beyond else less} than {what} ({format_count(bounds[beyond])})"
        found.append(
            Distance(of=of, axis=axis, value=value, low=bounds[0], high=bounds[1], factor=factor, message=text)
        )
    if covered.sparsity is not None and sparsity > covered.sparsity[1]:
        low, high = covered.sparsity
        factor = (1.0 - high) / (1.0 - sparsity)
        text = f"{format_sparsity(sparsity)} is sparser than any of the law's runs ({format_sparsity(high)})"
        found.append(Distance(of=of, axis="sparsity", value=sparsity, low=low, high=high, factor=factor, message=text))
    if covered.sparsity is not None and sparsity < covered.sparsity[0]:
        low, high = covered.sparsity
        factor = (1.0 - sparsity) / (1.0 - low)
        text = f"{format_sparsity(sparsity)} is less sparse than any of the law's runs ({format_sparsity(low)})"
        found.append(Distance(of=of, axis="sparsity", value=sparsity, low=low, high=high, factor=factor, message=text))
    return found


def extrapolation_caveats(found: list[Distance]) -> list[Caveat]:
    """One caveat for each thing that lies outside, with all its distances."""
    by_thing: dict[str, list[str]] = {}
    for distance in found:
        by_thing.setdefault(distance.of, []).append(distance.message)
    return [
        Caveat(code="extrapolation", message=f"extrapolated: {', '.join(messages)}")
        if thing == "plan"
        else Caveat(code="dense-extrapolation", message=f"the {thing} is extrapolated too: {', '.join(messages)}")
        for thing, messages in by_thing.items()
    ]


def factor_words(factor: float) -> str:
    """Write a ratio.

    >>> factor_words(35.2), factor_words(1.84), factor_words(1.03), factor_words(123456.0)
    ('35x', '1.8x', '1.03x', '1.23e5x')
    """
    if factor < 1.095:
        return f"{factor:.2f}x"
    if factor < 9.95:
        return f"{factor:.1f}x"
    return f"{factor:.0f}x" if factor < 9999.5 else f"{factor:.2e}x".replace("e+0", "e").replace("e+", "e")


def require_real(**values: NDArray[np.float64] | float) -> None:
    """Refuse numbers that no model can have: not finite, below one parameter or unit of data, or beyond `LARGEST`.

    Raises:
        PlanError: naming the value.
    """
    for name, value in values.items():
        number = float(value)
        least, most = (1.0, LARGEST) if name in ("N", "D") else (0.0, math.inf)
        if not math.isfinite(number) or not least <= number <= most:
            raise PlanError(
                f"these inputs give {name} = {number:.3g}, which is not a possible run; check the budget, the size and "
                "the law's coefficients (`laws.check`)."
            )


def law_caveats(law: Law, family: str | None) -> list[Caveat]:
    """What a law can't itself vouch for when asked about a pattern family; None where the question is dense."""
    found: list[Caveat] = []
    if is_transferred(law) and family is not None:
        found.append(
            Caveat(code="transferred", message="the sparsity term was borrowed from another law, not measured here")
        )
    if law.start is not None:
        found.append(Caveat(code="pretrained-start", message=start_words(law.start, law.data_unit)))
    if not form_of(law).knows_sparsity:
        message = f"the law {law.name} knows nothing of sparsity; `laws.compose` lends it a sparsity term"
        found.append(Caveat(code="dense-only", message=message))
    elif family is not None and (used := family_used(law, family)) != family:
        found.append(
            Caveat(
                code="pattern-borrowed",
                message=f"the law has no coefficients for {family}; the {used} ones stand in, which flatters n:m",
            )
        )
    found += [*_of_the_status(law), *_of_the_fit(law)]
    asked = [axis for axis in form_of(law).inputs if axis != "sparsity" or form_of(law).knows_sparsity]
    if any(getattr(law.range, axis) is None for axis in asked):
        found.append(Caveat(code="no-range", message="the law doesn't say what its runs covered on every axis"))
    missing = undrawn(law, family)
    if coefficient_draws(law, family) is None and law.held_out is not None:
        message = f"no intervals: this law has no draws; {held_out_words(law.held_out)}"
        found.append(Caveat(code="held-out-error", message=message))
    elif coefficient_draws(law, family) is None:
        found.append(Caveat(code="no-draws", message=_no_draws(law)))
    elif missing:
        message = f"the law's draws take {', '.join(missing)} as exactly known: the intervals leave their error out"
        found.append(Caveat(code="partial-draws", message=message))
    return found


def shadow_caveats(name: str) -> list[Caveat]:
    """Whether another file than the built-in one answers to a built-in law's name."""
    path = shadowing(name)
    if path is None:
        return []
    message = f"the law {name} is the file {path}, in the place of the built-in law of that name"
    return [Caveat(code="shadowed", message=message)]


def held_out_words(error: HeldOutError) -> str:
    """A law's error on runs that it was not fitted to."""
    return f"it missed {error.runs} held-out runs by {error.mean:.3f} nats on average and {error.worst:.3f} at worst"


def start_words(start: PretrainedStart, unit: str) -> str:
    """What a law of pretrained starts counts, and what it leaves out."""
    seen = format_bounds(start.dense_data_seen, format_count)
    return (
        f"D and FLOPs count what comes after a dense checkpoint of the model's dense size, trained on {seen} {unit}s "
        "as this law's were; what the checkpoint took is left out"
    )


def _of_the_fit(law: Law) -> list[Caveat]:
    """The warnings that the law's own fit put into its file; what isn't one of ours is somebody's note."""
    noted = law.fit.get("warnings")
    return [
        Caveat(code=one["code"], message=f"the law's fit warned: {str(one.get('message', '')).rstrip('.')}")
        for one in (noted if isinstance(noted, list) else ())
        if isinstance(one, dict) and one.get("code") in TRAVELS and one["code"] != SCHEDULE
    ]


def schedule_caveats(law: Law) -> list[Caveat]:
    """That the ramp behind the price of sparse training is nobody's word, for answers in which zeros may be free."""
    noted = law.fit.get("warnings")
    codes = [one.get("code") for one in (noted if isinstance(noted, list) else ()) if isinstance(one, dict)]
    if SCHEDULE not in codes:
        return []
    message = f"the law's pruning schedule was assumed by `fit`, not said: {law.schedule.describe()}"
    return [Caveat(code=SCHEDULE, message=message)]


def fit_caveats(law: Law) -> list[Caveat]:
    """What the law's own fit says against it, for answers with no room for more: status, warnings, ramp."""
    return [*_of_the_status(law), *_of_the_fit(law), *schedule_caveats(law)]


def _of_the_status(law: Law) -> list[Caveat]:
    ended = poor_fit(law)
    return [] if ended is None else [Caveat(code="poor-fit", message=f"this law's {ended}".rstrip("."))]


def _no_draws(law: Law) -> str:
    """Why there are no intervals, and where some are to be had."""
    refit = f"{law.name}-refit"
    if any(path.stem == refit for path in builtin_laws()):
        return f"no uncertainty for this law; `law` {refit} has it"
    return "no uncertainty for this law: it carries no draws for this question; `fit` makes them from runs"


def question_caveats(question: Question, law: Law) -> list[Caveat]:
    """What the question itself rules out, where the law knows of more."""
    if not question.only_dense or not form_of(law).knows_sparsity:
        return []
    allowed = f"the pattern {question.pattern}"
    if question.pattern.sparsities not in (None, (0.0,)):
        allowed += f" up to a sparsity of {format_sparsity(question.cap)}"
    return [Caveat(code="only-dense", message=f"no sparsity above 0 is allowed: {allowed} leaves dense models only")]


def plan_caveats(outside: list[Distance], uncapped: float | None, max_sparsity: float, law: Law) -> list[Caveat]:
    """What this plan cannot vouch for.

    Lifting the cap is worth a thought where that halves the law's lowest density at most. Further out a law may run
    away to a sparsity of almost 1, and that is no advice.
    """
    found = extrapolation_caveats(outside)
    if uncapped is not None and uncapped > max_sparsity:
        reach = sparsity_cap(law)
        near = 1 - uncapped >= (1 - reach) / 2
        advice = ". Lift the cap with `max_sparsity`" if near else f", too far beyond {format_sparsity(reach)}"
        found.append(
            Caveat(
                code="sparsity-capped",
                message=f"S is held at {format_sparsity(max_sparsity)}; the law alone would go to "
                f"{format_sparsity(uncapped)}{advice}",
            )
        )
    return found


def gap_caveats(law: Law, sparsities: Sequence[float]) -> list[Caveat]:
    """That one of an answer's sparsities lies where nothing was run, though the runs reach further on both sides."""
    for S in sparsities:
        gap = None if law.levels is None else law.levels.gap(S)
        if gap is not None:
            low, high = (format_sparsity(end) for end in gap)
            message = (
                f"no run has a sparsity between {low} and {high}: {format_sparsity(S)} is what the form says there"
            )
            return [Caveat(code="sparsity-gap", message=message)]
    return []


def sparsity_cap(law: Law) -> float:
    """The sparsity beyond which this law should not be asked: its largest run's, or 0.95 where it doesn't say."""
    return law.range.sparsity[1] if law.range.sparsity is not None else DEFAULT_CAP


DEFAULT_CAP = 0.95
