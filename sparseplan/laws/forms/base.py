"""What a functional form of a law is: its coefficients with their meaning, and what follows from their values.

One form is one file: a subclass of `Theta` (usually of `power_terms.PowerTerms`) that holds values of the coefficients
and answers for them, and one `Form` that describes them; `laws.forms.FORMS` lists the forms. Everything else in the
package asks `Theta` and loops over `Form.coefficients`; nothing else knows a coefficient by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms import balanced, search
from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.laws.forms.search import HIGHEST_SPARSITY
from sparseplan.laws.forms.slip import Ends, Slip

Rows: TypeAlias = slice | NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Coefficient:
    """One coefficient of a form.

    Attributes:
        name: As in law files and formulas.
        description: What it is.
        unit: Its unit, "" for a pure number; `{unit}` stands for the law's data unit in the plural.
        per_family: Whether each pattern family has its own; else it belongs to the dense base.
        low: Smallest value that makes sense, None where any sign does.
        zero_allowed: Whether `low` itself makes sense.
        why: Why a value below makes no sense, a sentence.
        published: The range of published values with a margin; outside it a law is worth a second look.
        published_words: That range in words.
        at_zero: What a value of 0 says, worth a second look too.
        reference: Whether it is only a place at which others are read off: chosen, not fitted, and never drawn.
    """

    name: str
    description: str
    unit: str = ""
    per_family: bool = False
    low: float | None = 0.0
    zero_allowed: bool = False
    why: str = ""
    published: tuple[float, float] | None = None
    published_words: str = ""
    at_zero: str = ""
    reference: bool = False

    def allows(self, values: Floats) -> bool:
        """Whether all values make sense."""
        if self.low is None:
            return True
        return bool(np.all(np.asarray(values) >= self.low if self.zero_allowed else np.asarray(values) > self.low))


@dataclass(frozen=True, eq=False)
class Theta(ABC):
    """Values of a form's coefficients for one pattern family, and the law that they make.

    A subclass is a frozen dataclass whose fields are the coefficients, in the order of its form: scalars, or draws of
    shape (K,) that broadcast with everything else. S is a sparsity in [0, 1), N non-zero prunable parameters, D data
    seen in the law's unit; losses are in nats. "Reducible" is a loss less its `floor`, which no run can do without:
    kept apart, since far runs differ in digits that a sum with the floor would lose.
    """

    form: ClassVar["Form"]

    def __iter__(self) -> Iterator[Floats]:
        """The values in the order of the form."""
        return (getattr(self, field.name) for field in fields(self))

    def as_dict(self) -> dict[str, Floats]:
        """The values by name, in the order of the form."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def expanded(self) -> Self:
        """The same coefficients with a trailing axis: draws of shape (K,) become (K, 1) and broadcast over points."""
        return type(self)(*(np.asarray(value, dtype=np.float64)[..., None] for value in self))

    def rows(self, chosen: Rows) -> Self:
        """Some of the draws; a coefficient that was not drawn is the same in all."""
        return type(self)(*(np.asarray(value)[chosen] if np.ndim(value) else value for value in self))

    @property
    def count(self) -> int | None:
        """Number of draws; None for single values."""
        sizes = [np.size(value) for value in self if np.ndim(value)]
        return max(sizes) if sizes else None

    @property
    @abstractmethod
    def floor(self) -> Floats:
        """The loss that remains at infinite size and data."""

    @abstractmethod
    def reducible(self, S: Floats, N: Floats, D: Floats) -> Array:
        """The loss above the floor, > 0; everything broadcasts."""

    def loss(self, S: Floats, N: Floats, D: Floats) -> Array:
        """The validation loss; everything broadcasts."""
        return np.asarray(self.reducible(S, N, D) + self.floor)

    @abstractmethod
    def size_multiplier(self, S: Floats, N: Floats) -> Array:
        """m: a sparse model with N non-zero weights does as well at any data as a dense one with N m.

        Where the data term depends on S as well, as well as far as the size is concerned.
        """

    @abstractmethod
    def data_for(self, S: Floats, N: Floats, reducible: Floats) -> Array:
        """The data at which a run reaches a reducible loss; infinite where no data is enough."""

    @abstractmethod
    def size_for(self, S: Floats, D: Floats, reducible: Floats) -> Array:
        """The N at which a run on D data reaches a reducible loss; infinite where no size is enough."""

    def cheapest_size(self, S: Floats, reducible: Floats, idle: Floats = 0.0) -> Array:
        """The N of the smallest N (D + idle) that reaches a reducible loss at sparsity S; `idle` as of `Budget`.

        Where the `balance` of a run that reaches it is ln(1 + idle / D): the more idle data a parameter must pay for,
        the more data is worth.
        """
        return balanced.cheapest_size(self, S, reducible, idle, np.log(1e9))

    @abstractmethod
    def cheapest_tokens(self, reducible: Floats, S: Floats = 0.0) -> Array:
        """The smallest product N D of a run with sparsity S that reaches a reducible loss, N free."""

    @abstractmethod
    def optimal_tokens(self, N: Floats) -> Array:
        """The product N D at which N is the compute-optimal size of a dense model."""

    def balance(self, S: Floats, N: Floats, D: Floats) -> Array:
        """ln of how much a percent more size takes off the loss against a percent more data; it falls with N.

        0 where N is the best size of its own budget, for a cost that does not depend on it. By differences here; a form
        whose derivatives are short overrides this.
        """
        return search.balance(self, S, N, D)

    def size_for_data(self, S: Floats, D: Floats) -> Array:
        """The N whose compute-optimal data at sparsity S is D: where the `balance` is 0."""
        return search.size_for_data(self, S, D)

    def free_size_sparsity(self, budget: Budget) -> Array | None:  # noqa: ARG002 - a form that has one uses it
        """The best unstructured S with the size free, where no budget moves it; None where one does, or S is 0.

        Of `budget` only c_mul counts.
        """
        return None

    @abstractmethod
    def on_base(self, dense: "Theta") -> Self:
        """The same effect of sparsity on the dense base of another law: its f(S) / f(0) is kept, f(0) the other's.

        Only of laws that `Form.takes_base_of` allows; of others something would be lost.
        """

    def slips(self, ends: Ends) -> list[Slip]:  # noqa: ARG002 - a form that knows some uses it
        """What looks like a coefficient in another's place or meaning, which only the form's letters show."""
        return []

    def best_size(self, S: Floats, budget: Budget) -> Array:
        """The N that reaches the lowest loss at sparsity S, of the shape in which coefficients, S and budget broadcast.

        Searched on a grid that closes in where the cost depends on the size, else where the `balance` is that of the
        budget; a form with a closed solution overrides this.
        """
        if budget.depends_on_size:
            return search.best_size(self, S, budget, *search.ANY_SIZE)
        return balanced.best_size(self, S, budget, np.log(1e9))

    def best_sparsity(
        self, budget: Budget, *, N: Floats | None = None, M: Floats | None = None, highest: float = HIGHEST_SPARSITY
    ) -> Array:
        """The unstructured S in [0, highest] of the lowest loss, N fixed, or M parameters before pruning, or N free.

        Searched on a grid that closes in; a form with a closed solution overrides this.
        """
        return search.best_sparsity(self, budget, N=N, M=M, highest=highest)

    def tokens_for_sparsity(self, S: float, N: Floats, budget: Budget) -> Array:
        """The `Budget.tokens` at which N wants the sparsity S; at S = 0, where sparsity begins to pay. May be infinite.

        Args:
            S: The sparsity.
            N: Non-zero parameters, any shape.
            budget: Any budget under the cost; its c_mul counts, its tokens do not.
        """
        return search.tokens_for_sparsity(self, S, N, budget)


PLAIN_DENSE = "chinchilla"
"""The dense form that every other can write: a plain sum of two power terms and a floor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A functional form.

    Attributes:
        name: As in law files.
        title: What reports call it.
        formula: The law in one line.
        source: Where it comes from.
        coefficients: In the order of `theta`'s fields.
        theta: The class that holds their values.
        inputs: What a run is described by, as the axes of `laws.law.Range` are called.
        numerator_words: The numerator of the size term of a dense model, `reducible` at N = 1 and infinite data, in a
            formula of the form's coefficients; it must be above 0.
        dense_form: The form of its dense models, by its name; itself if it knows nothing of sparsity.
    """

    name: str
    title: str
    formula: str
    source: str
    coefficients: tuple[Coefficient, ...]
    theta: type[Theta]
    numerator_words: str
    inputs: tuple[str, ...] = ("sparsity", "nonzero_params", "data_seen")
    dense_form: str = PLAIN_DENSE

    @property
    def base(self) -> tuple[Coefficient, ...]:
        """The coefficients of the dense base."""
        return tuple(one for one in self.coefficients if not one.per_family)

    @property
    def per_family(self) -> tuple[Coefficient, ...]:
        """The coefficients that each pattern family has of its own."""
        return tuple(one for one in self.coefficients if one.per_family)

    @property
    def exponents(self) -> tuple[Coefficient, ...]:
        """The coefficients of the dense base that are pure numbers and whose size is known of other setups."""
        return tuple(one for one in self.base if one.published is not None and not one.unit)

    def takes_base_of(self, other: "Form") -> bool:
        """Whether `Theta.on_base` keeps all that a law of the other form says of dense models."""
        return other.dense_form in (self.dense_form, PLAIN_DENSE)

    @property
    def knows_sparsity(self) -> bool:
        """Whether the form says anything of sparse models."""
        return bool(self.per_family)


@dataclass(frozen=True, kw_only=True, slots=True)
class AverageForm(Form):
    """The form of a law averaged over forms: it has no coefficients of its own.

    Attributes:
        sparse: Whether its forms say anything of sparse models.
    """

    sparse: bool

    @property
    def knows_sparsity(self) -> bool:
        """Whether its forms do."""
        return self.sparse


def dense_numerator(theta: Theta) -> Array:
    """The numerator of a dense model's size term: what is left above the floor at one parameter and endless data."""
    return theta.reducible(0.0, 1.0, np.inf)
