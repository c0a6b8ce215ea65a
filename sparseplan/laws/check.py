"""Plausibility of a law: what a valid file may still get wrong."""

from dataclasses import dataclass

import numpy as np

from sparseplan.laws.forms.frantar2023 import Coefficients, loss
from sparseplan.laws.law import DenseLaw, Law, SparseLaw, coefficient_draws, coefficients, dense_coefficients

# Published exponents lie between 0.2 and 0.9 (Hoffmann 2022, Besiroglu 2024, Frantar 2023); beyond these, ask.
_EXPONENTS = (0.05, 2.0)
_SENSIBLE_LOSS = (1e-3, 100.0)
_TOKENS_PER_IMAGE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing to look at: the key it concerns, and why; a note is no doubt about what is there."""

    key: str
    message: str
    doubtful: bool = True


@np.errstate(all="ignore")  # what overflows shows as a doubtful prediction
def check_law(law: Law) -> list[Finding]:
    """Find what is doubtful about a law whose file is valid; an empty list is a clean bill."""
    found = [*_exponents(law), *_range(law), *_units(law), *_predictions(law), *_draws(law)]
    if isinstance(law, SparseLaw):
        found += _families(law)
    return found


def _exponents(law: Law) -> list[Finding]:
    named = (
        {"alpha": law.coefficients.alpha, "beta": law.coefficients.beta}
        if isinstance(law, DenseLaw)
        else {"b_N": law.coefficients.b_N, "b_D": law.coefficients.b_D}
    )
    found = [
        Finding(key=f"coefficients.{name}", message=f"{value:g} is far from every published exponent (0.2 to 0.9)")
        for name, value in named.items()
        if not _EXPONENTS[0] <= value <= _EXPONENTS[1]
    ]
    if isinstance(law, SparseLaw):
        for family, chosen in law.sparsity.items():
            if chosen.a_S == 0:
                found.append(Finding(key=f"sparsity.{family}.a_S", message="0: this law says that sparsity is no help"))
            if chosen.c_S == 0:
                found.append(
                    Finding(key=f"sparsity.{family}.c_S", message="0: a model of zeros would be as good as any")
                )
            if not _EXPONENTS[0] <= chosen.b_S <= 2 * _EXPONENTS[1]:
                message = f"{chosen.b_S:g} is far from every published one (0.7 to 1.4)"
                found.append(Finding(key=f"sparsity.{family}.b_S", message=message))
    return found


def _range(law: Law) -> list[Finding]:
    return [
        Finding(key=f"range.{axis}", message="missing: plans can't say how far they extrapolate on this axis")
        for axis in ("sparsity", "nonzero_params", "data_seen")
        if getattr(law.range, axis) is None
    ]


def _units(law: Law) -> list[Finding]:
    if law.data_unit == "image" and law.tokens_per_unit < _TOKENS_PER_IMAGE:
        return [
            Finding(
                key="tokens_per_unit",
                message=f"{law.tokens_per_unit:g} tokens per image is few; ViT/16 at 224 px makes 196",
            )
        ]
    if law.data_unit == "token" and law.tokens_per_unit != 1:
        return [Finding(key="tokens_per_unit", message=f"{law.tokens_per_unit:g}, though the data unit is a token")]
    return []


def _predictions(law: Law) -> list[Finding]:
    if law.range.nonzero_params is None or law.range.data_seen is None:
        return []
    sizes, data = (np.asarray(bounds) for bounds in (law.range.nonzero_params, law.range.data_seen))
    values = loss(dense_coefficients(law), 0.0, sizes[:, None], data)
    low, high = float(values.min()), float(values.max())
    found: list[Finding] = []
    if not _SENSIBLE_LOSS[0] <= low <= high <= _SENSIBLE_LOSS[1]:
        found.append(
            Finding(key="coefficients", message=f"dense losses over the range run from {low:.3g} to {high:.3g} nats")
        )
    floor = float(dense_coefficients(law).c)
    if high - floor < 0.01 * high:
        found.append(Finding(key="coefficients", message="the loss hardly depends on N and D over the range"))
    return found


def _families(law: SparseLaw) -> list[Finding]:
    dense = {family: chosen.a_S + chosen.c_S for family, chosen in law.sparsity.items()}
    first, reference = next(iter(dense.items()))
    return [
        Finding(
            key=f"sparsity.{family}",
            message=f"a_S + c_S = {value:.4g} differs from {first}'s {reference:.4g}; at S = 0 they are one model",
        )
        for family, value in dense.items()
        if abs(value / reference - 1) > 0.02
    ]


def _draws(law: Law) -> list[Finding]:
    if law.draws is None:
        return [Finding(key="draws", message="missing: answers from this law have no intervals", doubtful=False)]
    pairs: list[tuple[str, Coefficients, Coefficients | None]] = [
        ("dense", dense_coefficients(law), coefficient_draws(law, None))
    ]
    if isinstance(law, SparseLaw):
        pairs += [(family, coefficients(law, family), coefficient_draws(law, family)) for family in law.sparsity]
    found: list[Finding] = []
    sizes, data = law.range.nonzero_params or (1e8, 1e8), law.range.data_seen or (1e10, 1e10)
    N, D = np.sqrt(sizes[0] * sizes[1]), np.sqrt(data[0] * data[1])
    for family, point, draws in pairs:
        if draws is None:
            found.append(Finding(key="draws.columns", message=f"none of them answers for {family}", doubtful=False))
            continue
        S = 0.0 if family == "dense" else 0.5
        spread = np.quantile(loss(draws, S, N, D), [0.005, 0.995])
        if not spread[0] <= float(loss(point, S, N, D)) <= spread[1]:
            found.append(
                Finding(
                    key="draws.data",
                    message=f"the {family} prediction mid-range lies outside 99 % of the draws; are they this law's?",
                )
            )
    return found
