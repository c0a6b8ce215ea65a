"""The sparse scaling law with exponents that depend on sparsity: what `fit` tests the law against, and fits if asked.

    L(S, N, D) = f(S) N^(-b_N) (N / N_0)^(-eta u) + (a_D / D)^b_D (D_0 / D)^(b_D zeta u) + c,
    f(S) = a_S (1 - S)^b_S + c_S,   u = ln(1 - S)

So at a given S the size exponent is b_N + eta u and the data exponent b_D (1 + zeta u). At N_0 and D_0, a size and a
length in the middle of the runs, the terms are those of the law of Frantar et al., which eta = zeta = 0 is everywhere.
The best sparsity is searched: with the size free it depends on the budget here.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from sparseplan.laws.forms.base import Coefficient, Form, Theta
from sparseplan.laws.forms.budget import Array, Floats
from sparseplan.laws.forms.frantar2023 import BASE, SPARSITY_SET, on_base
from sparseplan.laws.forms.frantar2023_slips import slips
from sparseplan.laws.forms.power_terms import PowerTerms
from sparseplan.laws.forms.slip import Ends, Slip


@dataclass(frozen=True, eq=False)
class Coefficients(PowerTerms):
    """The eleven coefficients in natural units.

    >>> t5 = dict(a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.203, c=0.651, N_0=1e7, D_0=1e10)
    >>> round(float(Coefficients(**t5, eta=0.0, zeta=0.0).loss(0.75, 85e6, 65.5e9)), 4)  # as frantar2023's
    1.6317
    >>> round(float(Coefficients(**t5, eta=0.01, zeta=0.0).size_exponent(0.75)), 4)
    0.2311
    """

    a_S: Floats
    b_S: Floats
    c_S: Floats
    b_N: Floats
    a_D: Floats
    b_D: Floats
    c: Floats
    eta: Floats
    zeta: Floats
    N_0: Floats
    D_0: Floats

    @property
    def floor(self) -> Floats:
        """c."""
        return self.c

    def numerator(self, S: Floats) -> Array:
        """f(S) N_0^(eta u)."""
        u = _log_density(S)
        return np.asarray((self.a_S * np.exp(self.b_S * u) + self.c_S) * np.asarray(self.N_0) ** (self.eta * u))

    def size_exponent(self, S: Floats) -> Floats:
        """b_N + eta u; NaN where it is not above 0, where larger models would be worse."""
        return _positive(self.b_N + self.eta * _log_density(S))

    def data_scale(self, S: Floats) -> Floats:
        """The data at which the data term is one nat: q ln A = b_D (ln a_D + zeta u ln D_0)."""
        bend = self.zeta * _log_density(S)
        return np.asarray(np.exp((np.log(self.a_D) + bend * np.log(self.D_0)) / (1.0 + bend)))

    def slips(self, ends: Ends) -> list[Slip]:
        """Those of a_S, c_S and a_D."""
        return slips(self, ends)

    def on_base(self, dense: Theta) -> Self:
        """f(S) scaled to the other law's f(0); its exponents at S = 0, data scale and floor; eta and zeta stay."""
        return on_base(self, dense)

    def data_exponent(self, S: Floats) -> Floats:
        """b_D (1 + zeta u); NaN where it is not above 0, where more data would be worse."""
        return _positive(self.b_D * (1.0 + self.zeta * _log_density(S)))


def _log_density(S: Floats) -> Array:
    return np.log1p(-np.asarray(S, dtype=np.float64))


def _positive(exponent: Floats) -> Array:
    exponent = np.asarray(exponent, dtype=np.float64)
    return np.asarray(np.where(exponent > 0.0, exponent, np.nan))


FORM = Form(
    name="varying-exponents",
    title="the sparse law with exponents that vary with sparsity",
    formula=(
        "L(S, N, D) = (a_S (1 - S)^b_S + c_S) N^(-b_N) (N / N_0)^(-eta ln(1 - S)) "
        "+ (a_D / D)^b_D (D_0 / D)^(b_D zeta ln(1 - S)) + c"
    ),
    source="the law of Frantar et al. 2023, arXiv:2309.08520, with b_N and b_D linear in ln(1 - S)",
    coefficients=(
        *SPARSITY_SET,
        *BASE,
        Coefficient(name="eta", description="Change of the size exponent per ln(1 - S).", low=None),
        Coefficient(name="zeta", description="Relative change of the data exponent per ln(1 - S).", low=None),
        Coefficient(name="N_0", description="Size at which f(S) is read off.", unit="parameters", reference=True),
        Coefficient(name="D_0", description="Data at which the data term is read off.", unit="{unit}", reference=True),
    ),
    theta=Coefficients,
    numerator_words="a_S + c_S",
)
Coefficients.form = FORM
