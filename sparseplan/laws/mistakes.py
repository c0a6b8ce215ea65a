"""Mistakes that people make with laws: counts in millions or billions, sets exchanged, a size term that gives too much.

Each check holds the law against what the laws that come with this package and its calibrations have in common, with a
margin, and names both numbers. `laws.check` lists what they find.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sparseplan.common.intervals import Bounds
from sparseplan.common.units import format_count, format_sparsity
from sparseplan.laws.finding import Finding
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array
from sparseplan.laws.forms.slip import FREE, Ends
from sparseplan.laws.law import Law, coefficient_draws, coefficients, form_of
from sparseplan.sparsity.pattern import parse_pattern

_FEWEST_PARAMS = 1e4
_LEAST_DATA, _LITTLE_DATA = 1e3, 1e5
_LEAST_SEEN = 0.1
_TOKENS_PER_PARAM = (0.5, 2e5)
_BETTER = 1.05
_SMALL_EXCESS = 1.005
_MOST_BY_RUNS = 1.5
"""The largest m(S) (1 - S) that a law's draws can vouch for. Sparse runs whose N leaves the zeros out twice make it
m(S), which is 2.2 and more at the sparsest of our laws' runs."""
_VOUCHED = (0.05, 0.95)
_GRID = 64
_UNKNOWN_HIGHEST = 0.875


def find_mistakes(law: Law) -> list[Finding]:
    """What looks like one of these mistakes, and notes about what lies between the sparsities that were run."""
    units = [*_size_units(law), *_data_units(law)]
    ends = _ends(law)
    if any(one.key.startswith("range.") for one in units):  # nothing is to be judged by such a range
        ends = replace(ends, nonzero_params=None, data_seen=None)
    ratio = [] if units else _data_per_param(law)  # which would only repeat it
    return [*units, *ratio, *_slips_and_pruning(law, ends), *_patterns(law, ends)]


def _size_units(law: Law) -> Iterator[Finding]:
    if law.range.nonzero_params is not None and law.range.nonzero_params[1] < _FEWEST_PARAMS:
        yield Finding(
            key="range.nonzero_params",
            code="size-units",
            message=f"the largest model has {law.range.nonzero_params[1]:.4g} parameters: is N counted in thousands, "
            "millions or billions? N is a plain count, 85e6; the coefficients must be those of plain counts too",
        )


def _data_units(law: Law) -> Iterator[Finding]:
    units = f"{law.data_unit}s"
    advice = f"is D counted in thousands, millions or billions? D is a plain count of {units}, 65e9"
    if law.range.data_seen is not None and _is_too_little(law, law.range.data_seen[1]):
        yield Finding(
            key="range.data_seen",
            code="data-units",
            message=f"the longest run saw {law.range.data_seen[1]:.4g} {units}{_per_param(law)}: {advice}; the "
            "coefficients must be those of plain counts too",
        )
    scale, ends = float(coefficients(law).data_for(0.0, np.inf, 1.0)), _ends(law)
    if not ends.is_usual(scale):
        against = "which is far from nearly all laws measured (1.5e5 to 2.2e10)"
        if ends.data_seen is not None:
            times = np.float64(ends.middle_data) / scale
            against = f"and the runs' data are {times:.3g} times that; laws measured have 1.5 to 57 times"
        yield Finding(
            key="coefficients",
            code="data-units",
            message=f"at D = {scale:.3g} {units} the data term is one nat, {against}: {advice}, in the coefficients "
            "and in `range`. Or is a numerator given for a scale, or the other way round?",
        )


def _is_too_little(law: Law, data: float) -> bool:
    """Whether the longest run saw next to nothing: by itself, or, where it is little, for the size of the model.

    Tiny models may see thousands of images only; those in millions are a millionth of what models see.
    """
    if data >= _LITTLE_DATA:
        return False
    seen = _seen_per_param(law)
    return data < _LEAST_DATA or seen is None or seen < _LEAST_SEEN


def _seen_per_param(law: Law) -> float | None:
    """Tokens that the longest run saw for each parameter of the largest model; None where the law doesn't say."""
    if law.range.nonzero_params is None or law.range.data_seen is None:
        return None
    return law.range.data_seen[1] * law.tokens_per_unit / law.range.nonzero_params[1]


def _per_param(law: Law) -> str:
    seen = _seen_per_param(law)
    return "" if seen is None else f", {seen:.2g} tokens for each parameter of the largest model"


def _data_per_param(law: Law) -> Iterator[Finding]:
    """Tokens per parameter of the compute-optimal dense model in the middle of the range.

    What starts from trained weights may need next to none, so such a law says nothing here.
    """
    if law.range.nonzero_params is None or law.start is not None:
        return
    N = _ends(law).middle_size
    ratio = float(coefficients(law).optimal_tokens(N)) / N / N * law.tokens_per_unit
    low, high = _TOKENS_PER_PARAM
    if not low <= ratio <= high:
        yield Finding(
            key="coefficients",
            code="data-per-param",
            message=f"a compute-optimal dense model of {format_count(N)} parameters would see {ratio:.3g} tokens per "
            "parameter; laws measured have 12 to 12,000. Are N and D of the coefficients counted as in `range`, in "
            "plain numbers, and are the exponents of size and data in their places?",
        )


def _slips_and_pruning(law: Law, ends: Ends) -> list[Finding]:
    """Slips in the form's letters; and sets under which pruning makes a dense model better, unless a slip says why."""
    own = {one.name for one in form_of(law).per_family}
    found: dict[str, Finding] = {}
    for family in law.sparsity or (None,):
        theta = coefficients(law, family)
        vouched = None if family is None else _drawn_worth(law, family, ends)
        # What the draws, fitted run by run, hold as well is no slip in writing.
        slips = [one for one in theta.slips(ends) if vouched is None or one.code != "swapped-weights"]
        for slip in slips:
            key = (
                f"sparsity.{family}.{slip.coefficient}"
                if slip.coefficient in own
                else f"coefficients.{slip.coefficient}"
            )
            found[key] = Finding(key=key, code=slip.code, message=slip.message)
        if family is not None and not any(slip.coefficient in own for slip in slips):
            found |= {one.key: one for one in _free_pruning(law, family, theta, ends, vouched)}
    return list(found.values())


def _drawn_worth(law: Law, family: str, ends: Ends) -> Bounds | None:
    """The ends of the largest m(S) (1 - S) over the draws, where it is above 1 by the law's values and they hold that.

    None where it isn't, or there are no draws, or it is more than draws can vouch for.
    """
    _, worth = _highest(coefficients(law, family), ends.sparsity, ends)
    draws, S = coefficient_draws(law, family), ends.sparsity[ends.sparsity > 0]
    if draws is None or not FREE < worth <= _MOST_BY_RUNS:
        return None
    drawn = np.max(np.nan_to_num(draws.expanded().size_multiplier(S, ends.middle_size) * (1.0 - S), nan=0.0), axis=-1)
    low, high = (float(end) for end in np.quantile(drawn, _VOUCHED))
    return (low, high) if low <= worth <= high else None


def _free_pruning(law: Law, family: str, theta: Theta, ends: Ends, vouched: Bounds | None) -> Iterator[Finding]:
    """Whether what is left after pruning counts for more than the dense model before it: m(S) (1 - S) above 1."""
    S, worth = _highest(theta, ends.sparsity, ends)
    if vouched is not None:
        yield Finding(
            key=f"sparsity.{family}",
            code="free-pruning",
            message=f"{_said(S, worth)}, and the law's draws hold that (90%: {vouched[0]:.3g} .. {vouched[1]:.3g}): "
            "its runs say so, if the form is right. Laws of larger models stay below 0.9: do not count on it beyond "
            "these runs",
            doubtful=False,
        )
        return
    if worth > FREE:
        yield Finding(
            key=f"sparsity.{family}",
            code="free-pruning",
            message=f"{_said(S, worth)}; laws measured stay below 0.9 at sparsities that were run. Check this set, the "
            "exponent of the size, and that N of sparse runs counts non-zero parameters",
        )
        return
    S, worth = _highest(theta, _grid(law), ends)
    if worth > _SMALL_EXCESS:
        why = "no run was near to say so" if law.levels is not None else "that is less than a fit can tell"
        yield Finding(
            key=f"sparsity.{family}",
            code="free-pruning",
            message=f"{_said(S, worth)}, but {why}; take no decision from it",
            doubtful=False,
        )


def _said(S: float, worth: float) -> str:
    counts = f"counts for {worth:.4g} times it, at equal data"
    return f"at S = {format_sparsity(S)}, what pruning leaves of a dense model {counts}"


def _highest(theta: Theta, S: Array, ends: Ends) -> tuple[float, float]:
    """The S above 0 with the largest m(S) (1 - S), and that; (0, 1) where there is none."""
    S = S[S > 0]
    worth = np.nan_to_num(np.asarray(theta.size_multiplier(S, ends.middle_size) * (1.0 - S)), nan=0.0)
    if worth.size == 0:
        return 0.0, 1.0
    best = int(np.argmax(worth))
    return float(S[best]), float(worth[best])


def _patterns(law: Law, ends: Ends) -> Iterator[Finding]:
    """Pattern families that are better than unstructured sparsity, though unstructured masks may have any pattern."""
    if "unstructured" not in law.sparsity:
        return
    highest = _grid(law)[-1]
    free = coefficients(law, "unstructured")
    for family in law.sparsity:
        S = np.asarray(parse_pattern(family).sparsities or ())
        S = S[(S > 0) & (highest + 1e-9 >= S)]
        own, others = (one.size_multiplier(S, ends.middle_size) for one in (coefficients(law, family), free))
        gain = np.nan_to_num(np.asarray(own / others), nan=0.0)
        if gain.size and gain.max() > _BETTER:
            best = int(np.argmax(gain))
            yield Finding(
                key=f"sparsity.{family}",
                code="pattern-better",
                message=f"at {format_sparsity(float(S[best]))} a non-zero parameter counts for {float(own[best]):.3g} "
                f"dense ones, {float(gain[best]):.3g} times as many as without a pattern; but unstructured masks may "
                "have any pattern. Are the two sets in each other's place?",
            )


def _ends(law: Law) -> Ends:
    S = np.asarray(law.levels.sparsity) if law.levels is not None else _grid(law)
    return Ends(sparsity=S, nonzero_params=law.range.nonzero_params, data_seen=law.range.data_seen)


def _grid(law: Law) -> Array:
    """Sparsities over the range of the runs."""
    return np.linspace(0.0, law.range.sparsity[1] if law.range.sparsity is not None else _UNKNOWN_HIGHEST, _GRID)
