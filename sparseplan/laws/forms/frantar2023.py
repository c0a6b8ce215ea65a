"""The sparse scaling law, its derivatives, and what follows from it in closed form.

    L(S, N, D) = f(S) N^(-b_N) + (a_D / D)^b_D + c,    f(S) = a_S (1 - S)^b_S + c_S

S final sparsity in [0, 1); N non-zero prunable parameters > 0; D data seen in the law's unit > 0; L loss in nats.
Every coefficient may be an array (bootstrap draws), and everything broadcasts. The dense law is the case S = 0.

Source: Frantar et al. 2023, arXiv:2309.08520, eq. 1.
"""

from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np

from sparseplan.laws.forms import frantar2023_optimum as optimum
from sparseplan.laws.forms.base import Coefficient, Form, Theta
from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.laws.forms.frantar2023_slips import slips
from sparseplan.laws.forms.power_terms import PowerTerms
from sparseplan.laws.forms.search import HIGHEST_SPARSITY
from sparseplan.laws.forms.slip import Ends, Slip

WORSE_SIZE = "A negative exponent would predict that larger models are worse."
WORSE_DATA = "A negative exponent would predict that more data is worse."
NEGATIVE_FLOOR = "The irreducible loss can't be negative."
# Published exponents lie between 0.2 and 0.9 (Hoffmann 2022, Besiroglu 2024, Frantar 2023); beyond these, ask.
EXPONENTS = (0.05, 2.0)
EXPONENTS_IN_WORDS = "every published exponent (0.2 to 0.9)"


@dataclass(frozen=True, eq=False)
class Coefficients(PowerTerms):
    """The law's seven coefficients in natural units; scalars, or arrays that broadcast with S, N and D."""

    a_S: Floats
    b_S: Floats
    c_S: Floats
    b_N: Floats
    a_D: Floats
    b_D: Floats
    c: Floats

    @property
    def floor(self) -> Floats:
        """c."""
        return self.c

    def numerator(self, S: Floats) -> Array:
        """f(S)."""
        return shape(self, S)

    def size_exponent(self, S: Floats) -> Floats:  # noqa: ARG002 - the same at every sparsity
        """b_N."""
        return self.b_N

    def data_scale(self, S: Floats) -> Floats:  # noqa: ARG002 - likewise
        """a_D."""
        return self.a_D

    def data_exponent(self, S: Floats) -> Floats:  # noqa: ARG002 - likewise
        """b_D."""
        return self.b_D

    def slips(self, ends: Ends) -> list[Slip]:
        """Those of a_S, c_S and a_D."""
        return slips(self, ends)

    def on_base(self, dense: Theta) -> Self:
        """f(S) scaled to the other law's f(0); its exponents, data scale and floor."""
        return on_base(self, dense)

    def best_sparsity(
        self, budget: Budget, *, N: Floats | None = None, M: Floats | None = None, highest: float = HIGHEST_SPARSITY
    ) -> Array:
        """The root of the derivative; searched for where the cost is not of the kind that has one."""
        if budget.saving is None:
            return super().best_sparsity(budget, N=N, M=M, highest=highest)
        if N is not None:
            root = optimum.sparsity_at_size(self, budget.saving, N, budget.tokens)
        elif M is not None:
            root = optimum.sparsity_at_dense_size(self, budget.saving, M, budget.tokens)
        else:
            root = optimum.sparsity_at_free_size(self, budget.saving)
        return np.minimum(root, highest)  # the loss falls and then rises in S, once

    def free_size_sparsity(self, budget: Budget) -> Array | None:
        """It depends on the sparsity term, b_N and the cost alone."""
        return self.best_sparsity(budget)

    def tokens_for_sparsity(self, S: float, N: Floats, budget: Budget) -> Array:
        """`frantar2023_optimum.sparsity_at_size` inverted; searched for where the cost is of another kind."""
        if budget.saving is None:
            return super().tokens_for_sparsity(S, N, budget)
        return optimum.budget_where_sparsity_is(self, budget.saving, S, N)


def shape(theta: Coefficients, S: Floats) -> Array:
    """f(S), the numerator of the capacity term; f(0) = a_S + c_S is A of the dense law."""
    density = 1.0 - np.asarray(S, dtype=np.float64)
    return np.asarray(theta.a_S * density**theta.b_S + theta.c_S)


def loss(theta: Coefficients, S: Floats, N: Floats, D: Floats) -> Array:
    """Predict the validation loss in nats; S, N, D and the coefficients broadcast to the result's shape.

    >>> t5 = Coefficients(a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.203, c=0.651)
    >>> round(float(loss(t5, 0.75, 85e6, 65.5e9)), 4)
    1.6317
    """
    N, D = np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64)
    return np.asarray(shape(theta, S) * N**-theta.b_N + (theta.a_D / D) ** theta.b_D + theta.c)


def input_gradient(theta: Coefficients, S: Floats, N: Floats, D: Floats) -> tuple[Array, Array, Array]:
    """Derivatives of the loss by S, N and D, each of the broadcast shape."""
    S, N, D = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (S, N, D)))
    power = N**-theta.b_N
    by_S = -theta.a_S * theta.b_S * (1.0 - S) ** (theta.b_S - 1.0) * power
    by_N = -theta.b_N * shape(theta, S) * power / N
    by_D = -theta.b_D * (theta.a_D / D) ** theta.b_D / D
    by_S, by_N, by_D = np.broadcast_arrays(by_S, by_N, by_D)
    return by_S, by_N, by_D


def coefficient_gradient(theta: Coefficients, S: Floats, N: Floats, D: Floats) -> Array:
    """Derivatives of the loss by (a_S, b_S, c_S, b_N, a_D, b_D, c), stacked on a new last axis of length 7."""
    density = 1.0 - np.asarray(S, dtype=np.float64)
    N, D = np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64)
    power, kept, data = N**-theta.b_N, density**theta.b_S, (theta.a_D / D) ** theta.b_D
    columns = (
        kept * power,
        theta.a_S * kept * np.log(density) * power,
        power,
        -shape(theta, S) * power * np.log(N),
        data * theta.b_D / theta.a_D,
        data * np.log(theta.a_D / D),
        np.ones_like(data),
    )
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def size_multiplier(theta: Coefficients, S: Floats) -> Array:
    """m(S): a sparse model with N non-zero weights has the capacity term of a dense one with N m(S).

    >>> t5 = Coefficients(a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.203, c=0.651)
    >>> [round(float(size_multiplier(t5, S)), 2) for S in (0.5, 0.75, 0.875)]
    [1.59, 2.16, 2.63]
    """
    return theta.size_multiplier(S, 1.0)


Sparse = TypeVar("Sparse", bound=PowerTerms)


def on_base(sparse: Sparse, dense: Theta) -> Sparse:
    """`Theta.on_base` for every form with a_S, c_S and the dense base b_N, a_D, b_D, c."""
    assert isinstance(dense, PowerTerms)
    factor = dense.numerator(0.0) / sparse.numerator(0.0)
    values = sparse.as_dict()
    values |= {"a_S": values["a_S"] * factor, "c_S": values["c_S"] * factor, "c": dense.floor}
    values |= {"b_N": dense.size_exponent(0.0), "a_D": dense.data_scale(0.0), "b_D": dense.data_exponent(0.0)}
    return type(sparse)(**values)


def dense_as_sparse(dense: Theta) -> Coefficients:
    """A dense law in these letters, without an effect of sparsity: a_S = 0, c_S = f(0)."""
    return Coefficients(a_S=0.0, b_S=1.0, c_S=1.0, b_N=1.0, a_D=1.0, b_D=1.0, c=0.0).on_base(dense)


SPARSITY_SET = (
    Coefficient(
        name="a_S",
        description="Weight of the term that falls with sparsity.",
        unit="nats x parameters^b_N",
        per_family=True,
        zero_allowed=True,
        why="A negative one would predict that sparser models of equal non-zero size are worse.",
        at_zero="this law says that sparsity is no help",
    ),
    Coefficient(
        name="b_S",
        description="Exponent of the density.",
        per_family=True,
        published=(EXPONENTS[0], 2 * EXPONENTS[1]),
        published_words="every published one (0.7 to 1.4)",
    ),
    Coefficient(
        name="c_S",
        description="What remains of the capacity term as S nears 1.",
        unit="nats x parameters^b_N",
        per_family=True,
        zero_allowed=True,
        at_zero="a model of zeros would be as good as any",
    ),
)
BASE = (
    Coefficient(
        name="b_N",
        description="Exponent of the non-zero parameters.",
        why=WORSE_SIZE,
        published=EXPONENTS,
        published_words=EXPONENTS_IN_WORDS,
    ),
    Coefficient(name="a_D", description="Scale of the data term, in the law's data unit.", unit="{unit}"),
    Coefficient(
        name="b_D",
        description="Exponent of the data.",
        why=WORSE_DATA,
        published=EXPONENTS,
        published_words=EXPONENTS_IN_WORDS,
    ),
    Coefficient(name="c", description="Irreducible loss in nats.", unit="nats", zero_allowed=True, why=NEGATIVE_FLOOR),
)
FORM = Form(
    name="frantar2023",
    title="the sparse law",
    formula="L(S, N, D) = (a_S (1 - S)^b_S + c_S) N^(-b_N) + (a_D / D)^b_D + c",
    source="Frantar et al. 2023, arXiv:2309.08520, eq. 1",
    coefficients=(*SPARSITY_SET, *BASE),
    theta=Coefficients,
    numerator_words="a_S + c_S",
)
Coefficients.form = FORM
