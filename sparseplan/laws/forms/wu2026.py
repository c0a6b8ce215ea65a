"""The law of sparse decoders that are sparse from the start of training.

    L(S, N, D) = E + A g(S) / N^alpha + B / D^beta,    g(S) = (1 - S)^eps + P S^mu

S final sparsity in [0, 1); N non-zero parameters, embeddings among them; D data seen; L loss in nats. The authors write
it in the density s = 1 - S and give both exponents one value. How repeated data counts is not part of the form: a law
file of any form carries it as `repetition`.

g(S) falls from 1 as S^mu, so for mu < 1 and P < 0 a little sparsity always costs less than it gains; there is no closed
solution for the best S.

Source: Wu et al. 2026, arXiv:2606.01155, ICML 2026.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from sparseplan.laws.forms.base import Coefficient, Form, Theta
from sparseplan.laws.forms.budget import Array, Floats
from sparseplan.laws.forms.chinchilla import COEFFICIENTS, DenseLetters, letters


@dataclass(frozen=True, eq=False)
class Coefficients(DenseLetters):
    """The eight coefficients in natural units.

    >>> wu = Coefficients(eps=-0.00968, mu=0.84662, P=-0.27289, E=2.348, A=188.8, B=447.2, alpha=0.32682, beta=0.32682)
    >>> [round(float(wu.size_multiplier(S, 1e9)), 2) for S in (0.5, 0.75, 0.875, 0.9375)]
    [1.62, 1.98, 2.17, 2.24]
    """

    eps: Floats
    mu: Floats
    P: Floats
    E: Floats
    A: Floats
    B: Floats
    alpha: Floats
    beta: Floats

    def numerator(self, S: Floats) -> Array:
        """A g(S); NaN where g is not above 0, where a sparse model would be better than an infinite one."""
        S = np.asarray(S, dtype=np.float64)
        g = (1.0 - S) ** self.eps + self.P * S**self.mu
        return np.asarray(self.A * np.where(g > 0.0, g, np.nan))

    def on_base(self, dense: Theta) -> Self:
        """g(S) on the other law's dense base: g(0) is 1, so that A becomes its f(0)."""
        return type(self)(self.eps, self.mu, self.P, *letters(dense))


FORM = Form(
    name="wu2026",
    title="the sparse law of decoders sparse from the start",
    formula="L(S, N, D) = E + A ((1 - S)^eps + P S^mu) / N^alpha + B / D^beta",
    source="Wu et al. 2026, arXiv:2606.01155",
    coefficients=(
        Coefficient(name="eps", description="Exponent of the density in the size term.", per_family=True, low=None),
        Coefficient(
            name="mu",
            description="Exponent of the sparsity in the size term.",
            per_family=True,
            why="A negative exponent would make a barely sparse model infinitely better or worse than a dense one.",
        ),
        Coefficient(
            name="P",
            description="What sparsity does to the size term, below 0 where it helps.",
            per_family=True,
            low=None,
        ),
        *COEFFICIENTS,
    ),
    theta=Coefficients,
    numerator_words="A",
)
Coefficients.form = FORM
