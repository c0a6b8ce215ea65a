"""A law for a page: its coefficients and draws by pattern family, and what its file says beside them."""

import shlex
from collections.abc import Sequence

import numpy as np

from sparseplan.common.caveat import Caveat
from sparseplan.explore.data import CoefficientSet, PackedLaw, Ramp, Rows, Values
from sparseplan.explore.kept import kept
from sparseplan.explore.pack_rates import law_rates
from sparseplan.laws.draws import Draws
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.mixture import Mixture
from sparseplan.laws.identity import law_date, law_hash
from sparseplan.laws.law import (
    Law,
    coefficient_draws,
    coefficients,
    family_used,
    form_of,
    main_family,
    members,
    poor_fit,
    weights,
)
from sparseplan.plan.caveats import law_caveats, schedule_caveats, sparsity_cap
from sparseplan.sparsity.pattern import UNSTRUCTURED, parse_pattern

_PATTERNS = ("unstructured", "2:4", "1:4", "n:4", "n:8", "n:16")
_SMALLER, _LARGER = 2.0, 1e4
_CHEAPER, _DEARER, _BEYOND = 10.0, 1e6, 10.0
_ANY_SIZES, _ANY_FLOPS, _ANY_BUDGET = (1e6, 1e12), (1e16, 1e26), 1e21


def patterns(laws: Sequence[Law]) -> list[str]:
    """The patterns that a page offers: the usual ones, and the families that its laws have of their own."""
    return list(dict.fromkeys([*_PATTERNS, *(family for law in laws for family in law.sparsity)]))


def pack_law(law: Law, argument: str, words: Sequence[str], further: Sequence[Caveat] = ()) -> PackedLaw:
    """A law for a page.

    Args:
        law: It must know sparsity.
        argument: What names it on a command line.
        words: The patterns that the page offers.
        further: Warnings beside those that follow from the law.
    """
    main = main_family(law)
    assert main is not None, "a law with sparsity has a family"
    families = [parse_pattern(word).family for word in words]
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
        repetition=law_rates(law),
        caveats={
            family: [*further, *law_caveats(law, family), *schedule_caveats(law)] for family in dict.fromkeys(answered)
        },
        drawn=0 if drawn is None else drawn.count or 0,
        sizes=sizes,
        flops=flops,
        budget=budget,
    )


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
    chosen = kept(theta.count or 0, whole)
    columns = theta.rows(chosen).as_dict()
    table = np.stack([np.broadcast_to(value, len(chosen)) for value in columns.values()], axis=1)
    packed = Draws.pack(list(columns), table, method="")
    return Rows(
        form=theta.form.name, count=packed.count, columns=packed.columns, encoding=packed.encoding, data=packed.data
    )


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
