"""What a token of training takes beside 6 FLOPs for each prunable weight: attention, the head, embeddings of patches.

Over 6 FLOPs for each prunable weight of the dense model, a token takes `weights` in these weights (1, but in
encoder-decoders, whose stacks see different numbers of tokens) and `rest` in what no zero saves. Where sparse weights
cost c_mul against a dense model of equal non-zero size,

    C = 6 N D tokens_per_unit (weights c_mul(S) + rest / (1 - S)).

A real model says both; without one they are 1 and 0, the 6 N D of the laws.
"""

from dataclasses import dataclass

import numpy as np

from sparseplan.laws.forms.budget import Array, Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Overhead:
    """FLOPs of a token over 6 for each prunable weight of the dense model."""

    weights: float = 1.0
    rest: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.rest

    def around(self, multiplier: Floats, S: Floats) -> Array:
        """c_mul of the whole, 1 where dense, from that of the weights alone.

        >>> float(Overhead(rest=0.25).around(1.375, 0.5))  # (1.375 + 0.25 / 0.5) / 1.25
        1.5
        """
        fixed = self.rest / (1.0 - np.asarray(S, dtype=np.float64))
        return np.asarray((self.weights * multiplier + fixed) / self.total)

    def within(self, multiplier: float, S: float) -> float:
        """c_mul of the weights alone, from that of the whole: `around` inverted."""
        return (multiplier * self.total - self.rest / (1.0 - S)) / self.weights


PLAIN = Overhead()
"""6 N D and nothing else."""
