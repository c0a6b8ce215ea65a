"""Lend a dense law the effect of sparsity that another law measured.

Between setups the size multiplier m(S) is carried: the sparse model is as good as a dense one m(S) times its non-zero
size, so on a base with the exponent b_N f(S)/f(0) = m(S)^(-b_N). The ratio f(S)/f(0) of the lender, which a base with
another b_N turns into another m(S), is carried on request. What comes out was measured by nobody, and says so.

A composed law has the letters a_S, b_S, c_S. On a base of the lender's own b_N they hold m(S) exactly, else as closely
as they can over the sparsities that the lender covers: by far closer than m(S) of any two setups is alike.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparseplan.errors import LawError
from sparseplan.laws.draws import Draws
from sparseplan.laws.forms import FORMS
from sparseplan.laws.forms.base import Form, Theta
from sparseplan.laws.forms.budget import Array, Floats
from sparseplan.laws.forms.closest_shape import closest_shape, places, shaped
from sparseplan.laws.forms.frantar2023 import Coefficients
from sparseplan.laws.forms.power_terms import PowerTerms
from sparseplan.laws.law import (
    Law,
    Range,
    coefficient_draws,
    coefficients,
    draw_table,
    form_of,
    law_block,
    poor_fit,
    require_one_form,
    require_sparse,
)
from sparseplan.laws.repetition import Repetition, with_dense_value
from sparseplan.version import __version__

Carried = Literal["multiplier", "ratio"]
CARRIED_IN_WORDS: dict[Carried, str] = {
    "multiplier": "the size multiplier m(S)",
    "ratio": "the ratio f(S)/f(0)",
}
SPREAD: dict[Carried, float] = {"multiplier": 0.21, "ratio": 0.53}
"""How far the carried thing misses ln m(S) of another setup, as the standard deviation of the logarithm of a factor.

Root mean square over ten pairs of five setups, less what the laws' own draws explain; scripts/transfer_spread.py
computes both numbers again.
"""
_DRAWS = 1000  # where neither law has any
_EXACT = 1e-6  # closer than the search for b_S is exact
_DEFAULT_REACH = 0.95  # of S, where the lender doesn't say what it covers


@dataclass(frozen=True, kw_only=True, slots=True)
class Composed:
    """A composed law, and how well its letters hold what was carried.

    Attributes:
        law: The law.
        carried: What was carried.
        deviation: Largest relative deviation of its m(S) from the carried one, for S up to `highest`.
        multiplier_at: The N at which m was read off, where the lender's m depends on it.
    """

    law: Law
    carried: Carried
    deviation: float
    highest: float
    multiplier_at: float | None


def compose(dense: Law, sparse: Law, *, name: str, carry: Carried = "multiplier", seed: int = 0) -> Composed:
    """Keep the dense base of one law and transfer the other's effect of sparsity, for every pattern family it has.

    Draws are paired at random where both laws carry them (their errors are independent), else the one that has none
    stands still. Each draw's ln m(S) gets a random factor besides, one for all families, whose spread is `SPREAD`:
    that of m over setups. The range of N and D is the dense law's, that of S the sparse one's.

    Args:
        dense: The law whose dense models stay as they are.
        sparse: The law that lends its effect of sparsity.
        name: Of the composed law.
        carry: What is lent; "ratio" is f(S)/f(0).
        seed: Of the pairing and the spread.

    Raises:
        LawError: if `sparse` has no sparsity term, or the fit of one of the two did not converge.
    """
    lender = require_sparse(sparse)
    for law in (dense, lender):
        require_one_form(law, "composing")
        if (ended := poor_fit(law)) is not None:
            raise LawError(f"{law.name}: nothing to compose with: this law's {ended}")
    form = _form_for(dense)
    transfer = _Transfer(form=form, lender=lender, carry=carry)
    base = coefficients(dense)
    mixed = {family: transfer.on_base(coefficients(lender, family), base) for family in lender.sparsity}
    deviation = max(transfer.deviation(coefficients(lender, family), base, mixed[family]) for family in mixed)
    law = Law(
        format="sparseplan-law/1",
        name=name,
        description=f"Dense base of {dense.name} with the effect of sparsity of {lender.name}: transferred, not "
        "measured.",
        form=form.name,
        loss=dense.loss,
        data_unit=dense.data_unit,
        tokens_per_unit=dense.tokens_per_unit,
        coefficients=law_block(form, next(iter(mixed.values())), per_family=False),
        sparsity={family: law_block(form, theta, per_family=True) for family, theta in mixed.items()},
        schedule=lender.schedule,
        range=Range(
            sparsity=lender.range.sparsity,
            nonzero_params=dense.range.nonzero_params,
            data_seen=dense.range.data_seen,
            unique_data=(dense if dense.repetition is not None else lender).range.unique_data,
            epochs=(dense if dense.repetition is not None else lender).range.epochs,
        ),
        levels=lender.levels,
        fit={
            "status": "transferred",
            "carried": CARRIED_IN_WORDS[carry],
            "deviation": float(f"{deviation:.2g}") if deviation > _EXACT else 0.0,
            "spread": SPREAD[carry],
        },
        repetition=_repetition(dense, lender),
        counts_embeddings=dense.counts_embeddings,
        draws=_draws(dense, transfer, np.random.default_rng(seed)),
        provenance={
            "dense": dense.name,
            "sparsity": lender.name,
            "note": f"{CARRIED_IN_WORDS[carry]} was measured on the second law's setup; parameters are counted as in "
            "the first",
            "sparseplan": __version__,
        },
    )
    at = transfer.size if any(transfer.depends_on_size(coefficients(lender, family)) for family in mixed) else None
    return Composed(law=law, carried=carry, deviation=deviation, highest=transfer.highest, multiplier_at=at)


def _repetition(dense: Law, lender: Law) -> Repetition | None:
    """The dense law's own rates, changing with sparsity as the lender's do; of one that has none, the lender's."""
    if dense.repetition is None or lender.repetition is None:
        return dense.repetition or lender.repetition
    return with_dense_value(lender.repetition, dense.repetition)


def _form_for(dense: Law) -> Form:
    """The form with a_S, b_S and c_S that keeps all that the law says of dense models."""
    return next(
        form for form in FORMS.values() if issubclass(form.theta, Coefficients) and form.takes_base_of(form_of(dense))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Transfer:
    """What is carried from a lender, into which form."""

    form: Form
    lender: Law
    carry: Carried

    @property
    def highest(self) -> float:
        """The sparsity up to which the term is matched."""
        covered = self.lender.range.sparsity
        return covered[1] if covered is not None and covered[1] > 0 else _DEFAULT_REACH

    @property
    def size(self) -> float:
        """The N at which an m that depends on it is read off: the middle of the lender's range."""
        sizes = self.lender.range.nonzero_params or (1e8, 1e8)
        return float(np.sqrt(sizes[0] * sizes[1]))

    def depends_on_size(self, theta: Theta) -> bool:
        """Whether the lender's m(S) is another one at another size."""
        m = theta.size_multiplier(self.highest, np.array([self.size, 10.0 * self.size]))
        return abs(float(m[1] / m[0]) - 1.0) > 1e-9

    def log_share(self, theta: Theta, base: Theta, S: Array, factor: Floats = 1.0) -> Array:
        """The wanted ln f(S)/f(0) on the base, shape (..., len(S)).

        Args:
            theta: The lender's coefficients, or draws of them, shape (...).
            base: The dense law's, likewise.
            S: Sparsities, shape (n,).
            factor: On ln m(S), shape (...).
        """
        assert isinstance(base, PowerTerms)
        log_m = np.log(theta.expanded().size_multiplier(S, self.size))
        exponent = base.size_exponent(0.0)
        if self.carry == "ratio":
            assert isinstance(theta, PowerTerms)
            exponent = theta.size_exponent(0.0)
        return np.asarray(-np.asarray(exponent * np.asarray(factor))[..., None] * log_m)

    def on_base(self, theta: Theta, base: Theta, factor: Floats = 1.0) -> Theta:
        """The composed coefficients; arguments as in `log_share`."""
        S = places(self.highest)
        return shaped(self.form, *closest_shape(S, self.log_share(theta, base, S, factor))).on_base(base)

    def deviation(self, theta: Theta, base: Theta, mixed: Theta) -> float:
        """Largest relative deviation of the composed m(S)."""
        assert isinstance(base, PowerTerms)
        S = np.linspace(0.0, self.highest, 200)
        wanted = -self.log_share(theta, base, S) / base.size_exponent(0.0)
        return float(np.max(np.abs(np.expm1(np.log(mixed.size_multiplier(S, 1.0)) - wanted))))


def _draws(dense: Law, transfer: _Transfer, random: np.random.Generator) -> Draws:
    lender = transfer.lender
    drawn = [law.draws.count for law in (dense, lender) if law.draws is not None]
    count = min(drawn, default=_DRAWS)
    order = random.permutation(lender.draws.count)[:count] if lender.draws is not None else slice(0, count)
    base = (coefficient_draws(dense) or coefficients(dense)).rows(slice(0, count))
    factor = np.exp(SPREAD[transfer.carry] * random.standard_normal(count))
    table: dict[str, Any] = {}
    for family in lender.sparsity:
        lent = (coefficient_draws(lender, family) or coefficients(lender, family)).rows(order)
        table |= draw_table(transfer.form, transfer.on_base(lent, base, factor), family)
    table |= _drawn_rates(dense, lender, order, count)
    # What stands still was not drawn: a column of it would say that it is known.
    moving = {name: value for name, value in table.items() if np.ptp(value) > 0}
    rows = np.stack([np.broadcast_to(value, count) for value in moving.values()], axis=1)
    pairs = "draws of both laws, paired at random" if len(drawn) == 2 else "draws of one law" if drawn else "no draws"
    spread = f"a factor on ln m(S) of log spread {SPREAD[transfer.carry]:g}, as setups differ"
    return Draws.pack(list(moving), rows, method=f"composed: {pairs}, and {spread}")


def _drawn_rates(
    dense: Law, lender: Law, order: slice | NDArray[np.int64], count: int
) -> dict[str, NDArray[np.float64]]:
    """Draws of the rates that the composed law has; where both laws carry some, the dense law's stand."""
    block = _repetition(dense, lender)
    found: dict[str, NDArray[np.float64]] = {}
    for law, chosen in ((lender, order), (dense, slice(0, count))):
        if block is not None and law.draws is not None:
            drawn = dict(zip(law.draws.columns, law.draws.table().T, strict=True))
            found |= {name: drawn[name][chosen] for name, _ in block.columns() if name in drawn}
    return found
