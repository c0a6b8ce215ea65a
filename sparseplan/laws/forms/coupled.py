"""The sparse scaling law with its two terms coupled by one exponent over their sum.

    L(S, N, D) = [ f(S) N^(-b_N) + (a_D / D)^b_D ]^k + c,    f(S) = a_S (1 - S)^b_S + c_S

With k = 1 it is the law of Frantar et al. 2023. Best sizes, best sparsities, contours and size multipliers are those of
that law at the same a_S ... b_D, in closed form: see `coupled_terms`.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sparseplan.laws.forms import frantar2023
from sparseplan.laws.forms.base import Form, Theta
from sparseplan.laws.forms.coupled_terms import OUTER, CoupledTerms
from sparseplan.laws.forms.power_terms import PowerTerms

# f(S) N^-b_N is in nats^(1/k), which no unit names: what is left is the part that a change of N's unit moves.
_PURE = {"a_S": "parameters^b_N", "c_S": "parameters^b_N"}


@dataclass(frozen=True, eq=False)
class Coefficients(CoupledTerms, frantar2023.Coefficients):
    """The eight coefficients in natural units; scalars, or arrays that broadcast with S, N and D.

    >>> t5 = dict(a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.203, c=0.651)
    >>> round(float(Coefficients(**t5, k=1.0).loss(0.75, 85e6, 65.5e9)), 4)  # as frantar2023's
    1.6317
    >>> round(float(Coefficients(**t5, k=0.5).loss(0.75, 85e6, 65.5e9)), 4)  # sqrt(1.6317 - 0.651) + 0.651
    1.6413
    """

    def on_base(self, dense: Theta) -> Self:
        """f(S) scaled to the other law's f(0); its exponents, data scale, k (1 where it has none) and floor."""
        assert isinstance(dense, PowerTerms)
        factor = dense.numerator(0.0) / self.numerator(0.0)
        return type(self)(
            a_S=np.asarray(self.a_S * factor),
            b_S=self.b_S,
            c_S=np.asarray(self.c_S * factor),
            b_N=dense.size_exponent(0.0),
            a_D=dense.data_scale(0.0),
            b_D=dense.data_exponent(0.0),
            c=dense.floor,
            k=dense.k if isinstance(dense, CoupledTerms) else 1.0,
        )


FORM = Form(
    name="coupled",
    title="the coupled sparse law",
    formula="L(S, N, D) = [(a_S (1 - S)^b_S + c_S) N^(-b_N) + (a_D / D)^b_D]^k + c",
    source="the law of Frantar et al. 2023, arXiv:2309.08520, with one exponent over the sum of its terms",
    coefficients=(
        *(replace(one, unit=_PURE.get(one.name, one.unit)) for one in frantar2023.SPARSITY_SET),
        *frantar2023.BASE,
        OUTER,
    ),
    theta=Coefficients,
    numerator_words="(a_S + c_S)^k",
    dense_form="coupled-dense",
)
Coefficients.form = FORM
