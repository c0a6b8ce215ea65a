"""The dense scaling law L = E + A / N^alpha + B / D^beta, which knows nothing of sparsity.

N parameters > 0; D data seen > 0; L loss in nats.

Source: Hoffmann et al. 2022, arXiv:2203.15556, approach 3.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from sparseplan.laws.forms.base import Coefficient, Form, Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.laws.forms.frantar2023 import EXPONENTS, EXPONENTS_IN_WORDS, NEGATIVE_FLOOR, WORSE_DATA, WORSE_SIZE
from sparseplan.laws.forms.power_terms import PowerTerms
from sparseplan.laws.forms.search import HIGHEST_SPARSITY


class DenseLetters(PowerTerms):
    """A form whose data term, exponents and floor are written E, B, alpha and beta, alike at every sparsity."""

    E: Floats
    B: Floats
    alpha: Floats
    beta: Floats

    @property
    def floor(self) -> Floats:
        """E."""
        return self.E

    def size_exponent(self, S: Floats) -> Floats:  # noqa: ARG002 - the same at every sparsity
        """Alpha."""
        return self.alpha

    def data_scale(self, S: Floats) -> Floats:  # noqa: ARG002 - likewise
        """B^(1/beta), the data at which the data term is one nat."""
        return np.asarray(self.B, dtype=np.float64) ** (1.0 / np.asarray(self.beta))

    def data_exponent(self, S: Floats) -> Floats:  # noqa: ARG002 - likewise
        """Beta."""
        return self.beta


@dataclass(frozen=True, eq=False)
class Coefficients(DenseLetters):
    """The five coefficients in natural units. Asked of a sparse model they answer NaN: nothing is known.

    >>> hoffmann = Coefficients(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
    >>> round(float(hoffmann.loss(0.0, 70e9, 1.4e12)), 4)
    1.9366
    """

    E: Floats
    A: Floats
    B: Floats
    alpha: Floats
    beta: Floats

    def numerator(self, S: Floats) -> Array:
        """A of a dense model, NaN of a sparse one."""
        return np.asarray(np.where(np.asarray(S) == 0.0, self.A, np.nan))

    def on_base(self, dense: Theta) -> Self:
        """The other law itself, in these letters: there is no effect of sparsity to keep."""
        return type(self)(*letters(dense))

    def best_sparsity(
        self,
        budget: Budget,
        *,
        N: Floats | None = None,
        M: Floats | None = None,
        highest: float = HIGHEST_SPARSITY,  # noqa: ARG002 - 0 is below any
    ) -> Array:
        """0, the one sparsity that the law speaks of."""
        given = (size for size in (N, M) if size is not None)
        shapes = (np.shape(value) for value in (*self, budget.tokens, *given))
        return np.zeros(np.broadcast_shapes(*shapes))

    def tokens_for_sparsity(self, S: float, N: Floats, budget: Budget) -> Array:  # noqa: ARG002 - none is enough
        """Infinite."""
        return np.full(np.broadcast_shapes(np.shape(N), *(np.shape(value) for value in self)), np.inf)


def letters(dense: Theta) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """E, A, B, alpha and beta of what another law says of dense models."""
    assert isinstance(dense, PowerTerms)
    q = np.asarray(dense.data_exponent(0.0))
    with np.errstate(over="ignore"):
        B = np.asarray(dense.data_scale(0.0)) ** q
    return dense.floor, dense.numerator(0.0), B, dense.size_exponent(0.0), q


def dense_through(
    N: float, D: float, *, size_term: float, data_term: float, floor: float, exponents: tuple[float, float]
) -> Coefficients:
    """The dense law with these terms, in nats, at one run, and these exponents of the parameters and the data.

    >>> law = dense_through(1e8, 1e10, size_term=0.9, data_term=0.6, floor=1.5, exponents=(0.3, 0.2))
    >>> round(float(law.loss(0.0, 1e8, 1e10)), 12)
    3.0
    """
    alpha, beta = exponents
    return Coefficients(E=floor, A=size_term * N**alpha, B=data_term * D**beta, alpha=alpha, beta=beta)


COEFFICIENTS = (
    Coefficient(name="E", description="Irreducible loss in nats.", unit="nats", zero_allowed=True, why=NEGATIVE_FLOOR),
    Coefficient(name="A", description="Numerator of the capacity term.", unit="nats x parameters^alpha"),
    Coefficient(name="B", description="Numerator of the data term.", unit="nats x {unit}^beta"),
    Coefficient(
        name="alpha",
        description="Exponent of the parameters.",
        why=WORSE_SIZE,
        published=EXPONENTS,
        published_words=EXPONENTS_IN_WORDS,
    ),
    Coefficient(
        name="beta",
        description="Exponent of the data.",
        why=WORSE_DATA,
        published=EXPONENTS,
        published_words=EXPONENTS_IN_WORDS,
    ),
)
"""The coefficients of the dense base, for forms that share it."""
FORM = Form(
    name="chinchilla",
    title="the dense law",
    formula="L(N, D) = E + A / N^alpha + B / D^beta",
    source="Hoffmann et al. 2022, arXiv:2203.15556, approach 3",
    coefficients=COEFFICIENTS,
    theta=Coefficients,
    numerator_words="A",
)
Coefficients.form = FORM
