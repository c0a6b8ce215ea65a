"""What holds for every form that couples its two terms: one exponent over their sum.

    reducible = [ F(S) N^(-p(S)) + (A(S) / D)^q(S) ]^k

k = 1 is the plain sum of `power_terms`. Below 1 size and data help each other: more data makes more parameters worth
more, which a plain sum can't say. z^k rises in z for every k > 0, so whatever is best for the sum is best here: every
optimum of the sum is this form's, in the same closed form. Only losses know k.

Source: Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5, has such an exponent over a sum without a floor.
"""

from dataclasses import dataclass

import numpy as np

from sparseplan.laws.forms.base import Coefficient
from sparseplan.laws.forms.budget import Array, Floats
from sparseplan.laws.forms.power_terms import PowerTerms


@dataclass(frozen=True, eq=False)
class CoupledTerms(PowerTerms):
    """A sum of power terms under an exponent k; `size_term` and `data_term` are what is summed, not nats of loss."""

    k: Floats

    def reducible(self, S: Floats, N: Floats, D: Floats) -> Array:
        """The sum to the power k."""
        return np.asarray(super().reducible(S, N, D) ** np.asarray(self.k))

    def data_for(self, S: Floats, N: Floats, reducible: Floats) -> Array:
        """The data at which the sum reaches reducible^(1/k)."""
        return super().data_for(S, N, self.summed(reducible))

    def size_for(self, S: Floats, D: Floats, reducible: Floats) -> Array:
        """The size likewise."""
        return super().size_for(S, D, self.summed(reducible))

    def summed(self, reducible: Floats) -> Array:
        """The sum of both terms at a reducible loss; NaN where there is none."""
        return np.asarray(super().summed(reducible) ** (1.0 / np.asarray(self.k)))


OUTER = Coefficient(
    name="k",
    description="Exponent over the sum of size and data term; at 1 the two are added.",
    why="A negative one would predict that larger models are worse.",
)
