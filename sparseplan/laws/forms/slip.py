"""Slips that only a form's own letters show: a coefficient in another's place or meaning. `Theta.slips` finds them."""

from dataclasses import dataclass

import numpy as np

from sparseplan.laws.forms.budget import Array

FREE = 1.02
"""How far above 1 m(S) (1 - S) may come out of a sound fit: over our laws it is at most 0.89 at sparsities that were
run, and 1.015 between them; but for one of tiny vision models, whose draws hold it (`laws.mistakes`)."""
SCALES = (1e4, 1e13)
"""Data at which the data term is one nat, in the law's unit, that are worth no second look where a law does not say
what its runs saw: over our laws of text 1.5e5 (bytes, tiny models) to 2.2e10, with a margin."""
DATA_PER_SCALE = (1e-3, 1e5)
"""The data of the runs, in the middle of their range, over that scale, likewise where it is known: over our laws 1.5 to
57. Units that differ between range and coefficients make it a million times more or less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slip:
    """A coefficient that looks written by mistake: its name, the code and the sentence of the warning."""

    coefficient: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """What the runs behind a law covered, as far as the law says: sparsities to judge, and [smallest, largest]."""

    sparsity: Array
    nonzero_params: tuple[float, float] | None
    data_seen: tuple[float, float] | None

    def is_usual(self, scale: float) -> bool:
        """Whether data at which the data term is one nat need no second look."""
        if self.data_seen is None:
            return SCALES[0] <= scale <= SCALES[1]
        return DATA_PER_SCALE[0] * scale <= self.middle_data <= DATA_PER_SCALE[1] * scale

    @property
    def middle_data(self) -> float:
        """The middle of the data's range on a log scale, 1 where it is unknown."""
        low, high = self.data_seen or (1.0, 1.0)
        return float(np.sqrt(low) * np.sqrt(high))

    @property
    def middle_size(self) -> float:
        """A size to judge at: the middle of the range on a log scale, 1 where it is unknown."""
        low, high = self.nonzero_params or (1.0, 1.0)
        return float(np.sqrt(low) * np.sqrt(high))
