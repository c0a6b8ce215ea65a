"""The dense scaling law with its two terms coupled: L = [ A / N^alpha + B / D^beta ]^k + E.

With k = 1 it is the law of Hoffmann et al. 2022; see `coupled_terms`.
"""

from dataclasses import dataclass
from typing import Self

from sparseplan.laws.forms import chinchilla
from sparseplan.laws.forms.base import Form, Theta
from sparseplan.laws.forms.coupled_terms import OUTER, CoupledTerms


@dataclass(frozen=True, eq=False)
class Coefficients(CoupledTerms, chinchilla.Coefficients):
    """The six coefficients in natural units. Asked of a sparse model they answer NaN: nothing is known.

    >>> hoffmann = dict(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
    >>> round(float(Coefficients(**hoffmann, k=1.0).loss(0.0, 70e9, 1.4e12)), 4)  # as chinchilla's
    1.9366
    """

    def on_base(self, dense: Theta) -> Self:
        """The other law itself, in these letters."""
        return type(self)(*from_dense(dense))


def from_dense(dense: Theta) -> Coefficients:
    """What another law says of dense models, in these letters; k is 1 where it has none."""
    E, A, B, alpha, beta = chinchilla.letters(dense)
    k = dense.k if isinstance(dense, CoupledTerms) else 1.0
    return Coefficients(E=E, A=A, B=B, alpha=alpha, beta=beta, k=k)


FORM = Form(
    name="coupled-dense",
    title="the coupled dense law",
    formula="L(N, D) = [A / N^alpha + B / D^beta]^k + E",
    source="the law of Hoffmann et al. 2022, arXiv:2203.15556, with one exponent over the sum of its terms",
    coefficients=(*chinchilla.FORM.coefficients, OUTER),
    theta=Coefficients,
    numerator_words="A^k",
    dense_form="coupled-dense",
)
Coefficients.form = FORM
