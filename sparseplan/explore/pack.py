"""What a page holds of laws and costs: plain structs that become its JSON.

The page computes plans itself, from coefficients and draws (`web/src`): nothing here is an answer. What needs Python's
knowledge of files travels along: warnings that the law's file causes, its hash, the speed-ups of devices.
"""

import shlex
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.caveat import Caveat
from sparseplan.errors import PlanError
from sparseplan.figures import palette as colors
from sparseplan.hardware.acceleration import acceleration
from sparseplan.hardware.kernels import Work
from sparseplan.hardware.profile import Curve, Profile
from sparseplan.laws.draws import Draws
from sparseplan.laws.file import builtin_law
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.mixture import Mixture
from sparseplan.laws.forms.repeated import Rate, Repeated
from sparseplan.laws.identity import law_date, law_hash
from sparseplan.laws.law import (
    HeldOutError,
    Law,
    Range,
    coefficient_draws,
    coefficients,
    family_used,
    form_of,
    main_family,
    members,
    poor_fit,
    weights,
)
from sparseplan.laws.unique_data import DENSE_LENDER, UniqueData, limited, published
from sparseplan.plan.caveats import law_caveats, schedule_caveats, sparsity_cap
from sparseplan.plan.verdict import hardware_caveats, measured_widths
from sparseplan.shapes.base import typical_width
from sparseplan.sparsity.pattern import UNSTRUCTURED, parse_pattern

MOST_DRAWS = 1000
"""Draws of a law that travel with a page; of more, as many at even distances."""
_WIDTH_OFFSET = 3.0 * float(np.log(typical_width(1.0)))
_PATTERNS = ("unstructured", "2:4", "1:4", "n:4", "n:8", "n:16")
_SMALLER, _LARGER = 2.0, 1e4
_CHEAPER, _DEARER, _BEYOND = 10.0, 1e6, 10.0
_ANY_SIZES, _ANY_FLOPS, _ANY_BUDGET = (1e6, 1e12), (1e16, 1e26), 1e21


class Values(Struct, frozen=True, kw_only=True):
    """Values of one form's coefficients, and what its losses weigh."""

    form: str
    weight: float
    values: dict[str, float]


class Rows(Struct, frozen=True, kw_only=True):
    """Draws of one form's coefficients, packed as in law files."""

    form: str
    count: int
    columns: list[str]
    encoding: str
    data: str


class CoefficientSet(Struct, frozen=True, kw_only=True):
    """What answers for one pattern family: a block a form, and their draws one after the other."""

    values: list[Values]
    draws: list[Rows]


class Ramp(Struct, frozen=True, kw_only=True):
    """A pruning schedule, and the share of a step that a zero in force saves."""

    kind: str
    start: float
    end: float
    share: float | None
    zeros_save: float


class Rates(Struct, frozen=True, kw_only=True):
    """How repeats count, each R(S) as [dense, linear, quadratic]."""

    R_N: tuple[float, float, float]
    R_D: tuple[float, float, float]


class LentRates(Rates, frozen=True, kw_only=True):
    """The rates that answer for a law, and whose they are; draws of them, paired with the law's, where it has some."""

    lender: str
    lender_unit: str
    range: Range
    borrowed: bool
    draws: list[Rates] | None


class PackedLaw(Struct, frozen=True, kw_only=True):
    """One law.

    Attributes:
        argument: What names it on a command line, quoted for a shell.
        mainSet: The set that answers for dense models.
        cap: The highest sparsity that is planned, as for `optimal`.
        caveats: Warnings that hold for every plan, by pattern family; families that nothing answers for are missing.
        drawn: How many draws the law has; the page may hold fewer.
        sizes, flops: Ends of what the page offers; `budget` is where it begins.
    """

    name: str
    argument: str
    hash: str
    date: str | None
    data_unit: str
    tokens_per_unit: float
    counts_embeddings: bool
    loss: str
    held_out: HeldOutError | None
    poor_fit: str | None
    schedule: Ramp
    range: Range
    cap: float
    levels: list[float] | None
    sets: dict[str, CoefficientSet]
    mainSet: str
    repetition: LentRates
    caveats: dict[str, list[Caveat]]
    drawn: int
    sizes: tuple[float, float]
    flops: tuple[float, float]
    budget: float


class ByDenseParams(Struct, frozen=True, kw_only=True):
    """A speed-up of 2:4 by parameters before pruning: linear in their logarithm, one value where that is None."""

    log_dense_params: list[float] | None
    values: list[float]


class PackedAcceleration(Struct, frozen=True, kw_only=True):
    """A pattern's speed-ups over dense weights: `hardware.acceleration.Acceleration`, medians alone.

    Attributes:
        as_2to4: Sparsities that run as 2:4, as `curve` says; None where nothing does.
        exact: Pairs of a single sparsity and its speed-up.
        sparsities, speeds: Of unstructured kernels.
    """

    as_2to4: list[float]
    curve: ByDenseParams | None
    exact: list[tuple[float, float]]
    sparsities: list[float]
    speeds: list[float]


class PackedCost(Struct, frozen=True, kw_only=True):
    """What zeros cost: nothing, as much as weights, or what a device makes of them in training and inference.

    Attributes:
        training, inference: What a device accelerates, by pattern; those that it does not are missing.
        widths: Ends of the widths that were measured in training; None where all are alike.
        width_offset: 3 ln(width) of a model of one parameter before pruning.
    """

    name: str
    argument: str
    zeros_free: bool
    training: dict[str, PackedAcceleration]
    inference: dict[str, PackedAcceleration]
    widths: tuple[float, float] | None
    width_offset: float
    caveats: list[Caveat]


class Palette(Struct, frozen=True, kw_only=True):
    """The colours of sparsities: that of dense models, and a ramp over so many halvings of the density."""

    dense: str
    ramp: list[str]
    halvings: float


class PageData(Struct, frozen=True, kw_only=True):
    """Everything a page holds; `gravest` are codes of warnings in the order of how grave they are."""

    format: str = "sparseplan-explore/1"
    version: str
    laws: list[PackedLaw]
    costs: list[PackedCost]
    patterns: list[str]
    published: list[LentRates]
    gravest: list[str]
    palette: Palette


def pack_law(law: Law, argument: str, further: Sequence[Caveat] = ()) -> PackedLaw:
    """A law for a page.

    Args:
        law: It must know sparsity.
        argument: What names it on a command line.
        further: Warnings beside those that follow from the law.
    """
    main = main_family(law)
    assert main is not None, "a law with sparsity has a family"
    families = [parse_pattern(word).family for word in patterns([law])]
    answered = [family for family in families if {family, UNSTRUCTURED.family} & law.sparsity.keys()]
    sizes, flops, budget = _ends(law)
    ramp = law.schedule
    drawn = coefficient_draws(law)
    return PackedLaw(
        name=law.name,
        argument=shlex.quote(argument),
        hash=law_hash(law),
        date=law_date(law),
        data_unit=law.data_unit,
        tokens_per_unit=law.tokens_per_unit,
        counts_embeddings=law.counts_embeddings,
        loss=law.loss,
        held_out=law.held_out,
        poor_fit=poor_fit(law),
        schedule=Ramp(
            kind=ramp.kind, start=ramp.start, end=ramp.end, share=ramp.share or None, zeros_save=ramp.zeros_save
        ),
        range=law.range,
        cap=sparsity_cap(law),
        levels=None if law.levels is None else list(law.levels.sparsity),
        sets={family: _set(law, family) for family in {family_used(law, one): None for one in [main, *answered]}},
        mainSet=main,
        repetition=_repetition(law),
        caveats={
            family: [*further, *law_caveats(law, family), *schedule_caveats(law)] for family in dict.fromkeys(answered)
        },
        drawn=0 if drawn is None else drawn.count or 0,
        sizes=sizes,
        flops=flops,
        budget=budget,
    )


def pack_flops_cost(name: str) -> PackedCost:
    """One of the costs that count FLOPs: "sparse" or "dense"."""
    free = name == "sparse"
    return PackedCost(
        name=name,
        argument=name,
        zeros_free=free,
        training={},
        inference={},
        widths=None,
        width_offset=0.0,
        caveats=[],
    )


def pack_device(profile: Profile, argument: str, words: Sequence[str]) -> PackedCost:
    """The cost on a device, for some patterns."""
    return PackedCost(
        name=profile.name,
        argument=shlex.quote(argument),
        zeros_free=False,
        training=_accelerations(profile, words, "training"),
        inference=_accelerations(profile, words, "prefill"),
        widths=measured_widths(profile),
        width_offset=_WIDTH_OFFSET,
        caveats=hardware_caveats(profile, utilization_given=True),
    )


def patterns(laws: Sequence[Law]) -> list[str]:
    """The patterns that a page offers: the usual ones, and the families that its laws have of their own."""
    return list(dict.fromkeys([*_PATTERNS, *(family for law in laws for family in law.sparsity)]))


def palette() -> Palette:
    """Those of all pictures."""
    return Palette(dense=colors.DENSE, ramp=list(colors.RAMP), halvings=colors.HALVINGS)


def require_names(names: Sequence[str], what: str) -> None:
    """Refuse two of one name: a link could not say which is meant.

    Raises:
        PlanError: naming it.
    """
    for name in names:
        if names.count(name) > 1:
            raise PlanError(f"`{what}`: expected different ones, found two named {name}.")


def _set(law: Law, family: str) -> CoefficientSet:
    parts = zip(members(law), weights(law), strict=True)
    draws = coefficient_draws(law, family)
    drawn = [] if draws is None else list(draws.parts) if isinstance(draws, Mixture) else [draws]
    whole = sum(part.count or 0 for part in drawn)
    return CoefficientSet(
        values=[
            Values(form=form_of(one).name, weight=weight, values=_plain(coefficients(one, family)))
            for one, weight in parts
        ],
        draws=[_rows(part, whole) for part in drawn],
    )


def _plain(theta: Theta) -> dict[str, float]:
    return {name: float(value) for name, value in theta.as_dict().items()}


def _rows(theta: Theta, whole: int) -> Rows:
    """Draws of one form, fewer where all forms together have more than a page holds."""
    chosen = _kept(theta.count or 0, whole)
    columns = theta.rows(chosen).as_dict()
    table = np.stack([np.broadcast_to(value, len(chosen)) for value in columns.values()], axis=1)
    packed = Draws.pack(list(columns), table, method="")
    return Rows(
        form=theta.form.name, count=packed.count, columns=packed.columns, encoding=packed.encoding, data=packed.data
    )


def published_rates() -> list[LentRates]:
    """The published rates of repetition, which a page holds an answer's against."""
    law = builtin_law(DENSE_LENDER)
    return [_lent(one, None) for one in (limited(law, 1.0), *published(1.0, but=law))]


def _repetition(law: Law) -> LentRates:
    unique = limited(law, 1.0)
    if not unique.rates_drawn or law.draws is None:
        return _lent(unique, None)
    theta = unique.limit_draws(coefficients(law))
    assert isinstance(theta, Repeated)
    rows = _kept(law.draws.count, law.draws.count)
    return _lent(unique, [Rates(R_N=_rate(theta.R_N, i), R_D=_rate(theta.R_D, i)) for i in rows])


def _lent(unique: UniqueData, draws: list[Rates] | None) -> LentRates:
    return LentRates(
        R_N=_rate(unique.repetition.rate("R_N")),
        R_D=_rate(unique.repetition.rate("R_D")),
        lender=unique.lender.name,
        lender_unit=unique.lender.data_unit,
        range=unique.lender.range,
        borrowed=unique.borrowed,
        draws=draws,
    )


def _rate(rate: Rate, row: int = 0) -> tuple[float, float, float]:
    dense, linear, quadratic = (float(np.asarray(value)[row] if np.ndim(value) else value) for value in rate)
    return dense, linear, quadratic


def _kept(count: int, whole: int) -> NDArray[np.intp]:
    """Which of a form's draws travel, where all its law's forms together have `whole`."""
    kept = count if whole <= MOST_DRAWS else max(2, round(count * MOST_DRAWS / whole))
    return np.linspace(0, count - 1, kept).round().astype(np.intp)


def _accelerations(profile: Profile, words: Sequence[str], work: Work) -> dict[str, PackedAcceleration]:
    found = {word: acceleration(profile, parse_pattern(word), work) for word in words}
    return {
        word: PackedAcceleration(
            as_2to4=list(fast.as_2to4),
            curve=_by_dense_params(fast.curve),
            exact=[(sparsity, spread.median) for sparsity, spread in fast.exact],
            sparsities=fast.sparsities.tolist(),
            speeds=fast.speeds.tolist(),
        )
        for word, fast in found.items()
        if fast is not None
    }


def _by_dense_params(curve: Curve | None) -> ByDenseParams | None:
    """A curve by width as one by parameters: ln w is ln M / 3 and a constant, so straight lines stay straight."""
    if curve is None:
        return None
    values = [float(value) for value in curve.median]
    if curve.widths is None:
        return ByDenseParams(log_dense_params=None, values=values[:1])
    points = [float(3.0 * np.log(width) - _WIDTH_OFFSET) for width in curve.widths]
    return ByDenseParams(log_dense_params=points, values=values)


def _ends(law: Law) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Sizes and budgets from below the law's runs to far above, and a budget ten times that of its largest run."""
    N, D = law.range.nonzero_params, law.range.data_seen
    if N is None or D is None:
        return _ANY_SIZES, _ANY_FLOPS, _ANY_BUDGET
    smallest, largest = (6.0 * law.tokens_per_unit * n * d for n, d in zip(N, D, strict=True))
    return (
        (N[0] / _SMALLER, N[1] * _LARGER),
        (smallest / _CHEAPER, largest * _DEARER),
        float(f"{largest * _BEYOND:.0e}"),
    )
