"""Plausibility of a law: what a valid file may still get wrong."""

from dataclasses import replace

import numpy as np

from sparseplan.laws import repetition
from sparseplan.laws.finding import Finding
from sparseplan.laws.law import Law, axes, coefficient_draws, coefficients, draw_columns, form_of, members, poor_fit
from sparseplan.laws.mistakes import find_mistakes

_SENSIBLE_LOSS = (1e-3, 100.0)
_TOKENS_PER_IMAGE = 16
_ROUNDING = 1e-5  # draws are in single precision; those of a base that stands still are all alike


@np.errstate(all="ignore")  # what overflows shows as a doubtful prediction
def check_law(law: Law) -> list[Finding]:
    """Find what is doubtful about a law whose file is valid; an empty list is a clean bill.

    Of an averaged law every form's block is looked at as a law of its own.
    """
    found = [*_status(law), *_range(law), *_units(law), *_repetition(law)]
    for index, one in enumerate(members(law)):
        own = [*_values(one), *_predictions(one), *_draws(one), *_families(one), *find_mistakes(one)]
        prefix = f"forms[{index}]." if law.forms else ""
        found += [replace(finding, key=f"{prefix}{finding.key}") for finding in own]
    return found


def _status(law: Law) -> list[Finding]:
    ended = poor_fit(law)
    return [] if ended is None else [Finding(key="fit.status", code="poor-fit", message=f"this law's {ended}")]


def _values(law: Law) -> list[Finding]:
    """Coefficients at 0, or far from every published one."""
    found = []
    for column, one in draw_columns(law).items():
        family, _, name = column.rpartition(".")
        value = law.sparsity[family][name] if family else law.coefficients[name]
        key = f"sparsity.{column}" if family else f"coefficients.{name}"
        if value == 0 and one.at_zero:
            found.append(Finding(key=key, code="far-coefficient", message=f"0: {one.at_zero}"))
        elif one.published is not None and not one.published[0] <= value <= one.published[1]:
            found.append(
                Finding(key=key, code="far-coefficient", message=f"{value:g} is far from {one.published_words}")
            )
    return found


def _range(law: Law) -> list[Finding]:
    return [
        Finding(
            key=f"range.{axis}",
            code="no-range",
            message="missing: plans can't say how far they extrapolate on this axis",
        )
        for axis in axes(law)
        if getattr(law.range, axis) is None
    ]


def _units(law: Law) -> list[Finding]:
    if law.data_unit == "image" and law.tokens_per_unit < _TOKENS_PER_IMAGE:
        return [
            Finding(
                key="tokens_per_unit",
                code="tokens-per-unit",
                message=f"{law.tokens_per_unit:g} tokens per image is few; ViT/16 at 224 px makes 196",
            )
        ]
    if law.data_unit == "token" and law.tokens_per_unit != 1:
        return [
            Finding(
                key="tokens_per_unit",
                code="tokens-per-unit",
                message=f"{law.tokens_per_unit:g}, though the data unit is a token",
            )
        ]
    return []


def _predictions(law: Law) -> list[Finding]:
    if law.range.nonzero_params is None or law.range.data_seen is None:
        return []
    sizes, data = (np.asarray(bounds) for bounds in (law.range.nonzero_params, law.range.data_seen))
    dense = coefficients(law)
    values = dense.loss(0.0, sizes[:, None], data)
    low, high = float(values.min()), float(values.max())
    found: list[Finding] = []
    if not _SENSIBLE_LOSS[0] <= low <= high <= _SENSIBLE_LOSS[1]:
        found.append(
            Finding(
                key="coefficients",
                code="odd-losses",
                message=f"dense losses over the range run from {low:.3g} to {high:.3g} nats",
            )
        )
    if float(dense.reducible(0.0, sizes[:, None], data).max()) < 0.01 * high:
        found.append(
            Finding(key="coefficients", code="odd-losses", message="the loss hardly depends on N and D over the range")
        )
    return found


def _families(law: Law) -> list[Finding]:
    """Families whose dense models differ, though at S = 0 they are one model."""
    words = form_of(law).numerator_words
    dense = {family: float(coefficients(law, family).reducible(0.0, 1.0, np.inf)) for family in law.sparsity}
    return [
        Finding(
            key=f"sparsity.{family}",
            code="dense-mismatch",
            message=f"{words} = {value:.4g} differs from {first}'s {reference:.4g}; at S = 0 they are one model",
        )
        for first, reference in list(dense.items())[:1]
        for family, value in dense.items()
        if abs(value / reference - 1) > 0.02
    ]


def _repetition(law: Law) -> list[Finding]:
    """Rates far from every published one, at a sparsity that the law covers."""
    if law.repetition is None:
        return []
    sparsest = law.range.sparsity[1] if law.range.sparsity is not None else 0.0
    found = []
    for name in repetition.NAMES:
        rate = law.repetition.rate(name)
        for S in (0.0, sparsest) if sparsest else (0.0,):
            value = float(rate.at(S))
            if not repetition.PUBLISHED[0] <= value <= repetition.PUBLISHED[1]:
                message = f"{value:.4g} at S = {S:g} is far from every published one (4 to 26)"
                found.append(Finding(key=f"repetition.{name}", code="far-coefficient", message=message))
                break
    return found


def _draws(law: Law) -> list[Finding]:
    if law.draws is None:
        return [
            Finding(
                key="draws", code="no-draws", message="missing: answers from this law have no intervals", doubtful=False
            )
        ]
    found: list[Finding] = []
    sizes, data = law.range.nonzero_params or (1e8, 1e8), law.range.data_seen or (1e10, 1e10)
    N, D = np.sqrt(sizes[0] * sizes[1]), np.sqrt(data[0] * data[1])
    for family in (None, *law.sparsity):
        name, S = (family, 0.5) if family is not None else ("dense", 0.0)
        draws = coefficient_draws(law, family)
        if draws is None:
            found.append(
                Finding(
                    key="draws.columns", code="no-draws", message=f"none of them answers for {name}", doubtful=False
                )
            )
            continue
        low, high = np.quantile(draws.loss(S, N, D), [0.005, 0.995])
        if not low * (1 - _ROUNDING) <= float(coefficients(law, family).loss(S, N, D)) <= high * (1 + _ROUNDING):
            found.append(
                Finding(
                    key="draws.data",
                    code="odd-draws",
                    message=f"the {name} prediction mid-range lies outside 99 % of the draws; are they this law's?",
                )
            )
    return found
