"""Laws under limited unique data: which rates hold, the law's own or borrowed ones, and the law that they make."""

from dataclasses import dataclass

from sparseplan.laws.file import builtin_law
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.repeated import Repeated
from sparseplan.laws.law import Law, form_of
from sparseplan.laws.repetition import NAMES, Repetition

SPARSE_LENDER, DENSE_LENDER = "wu2026-llama-c4", "muennighoff2023-c4"
"""The built-in laws with published rates: one for sparse models too, one for dense models alone."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UniqueData:
    """How much unique data there is, and how repeats of it count.

    Attributes:
        amount: U, in the data unit of the law that is asked, > 0.
        repetition: The rates.
        lender: The law whose rates they are.
        borrowed: Whether that is another law than the one that is asked.
    """

    amount: float
    repetition: Repetition
    lender: Law
    borrowed: bool

    def limit(self, theta: Theta) -> Theta:
        """A law's values, for runs that draw on this data."""
        return Repeated(theta, self.repetition.rate("R_N"), self.repetition.rate("R_D"), self.amount)

    def limit_draws(self, theta: Theta) -> Theta:
        """Its draws likewise, paired with the draws of its own rates where it has any."""
        if self.borrowed or self.lender.draws is None:
            return self.limit(theta)
        table = dict(zip(self.lender.draws.columns, self.lender.draws.table().T, strict=True))
        R_N, R_D = (self.repetition.drawn(name, table) for name in NAMES)
        return Repeated(theta, R_N, R_D, self.amount)

    @property
    def rates_drawn(self) -> bool:
        """Whether the rates have draws, so that intervals carry their error."""
        draws = self.lender.draws
        return not self.borrowed and draws is not None and any(c in draws.columns for c, _ in self.repetition.columns())


def limited(law: Law, amount: float) -> UniqueData:
    """The law's own rates; of a law that has none, those of a published one that speaks of such models."""
    if law.repetition is not None:
        return UniqueData(amount=amount, repetition=law.repetition, lender=law, borrowed=False)
    return _lent(SPARSE_LENDER if form_of(law).knows_sparsity else DENSE_LENDER, amount)


def published(amount: float, *, but: Law) -> list[UniqueData]:
    """The published rates, but for those of one law."""
    return [_lent(name, amount) for name in (SPARSE_LENDER, DENSE_LENDER) if name != but.name]


def _lent(name: str, amount: float) -> UniqueData:
    lender = builtin_law(name)
    assert lender.repetition is not None, "a lender has rates"
    return UniqueData(amount=amount, repetition=lender.repetition, lender=lender, borrowed=True)
