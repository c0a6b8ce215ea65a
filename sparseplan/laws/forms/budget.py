"""What a training budget buys: the data D of a run with sparsity S and N non-zero parameters.

    D = tokens / (N c_mul(S, N))

`tokens` is C / (6 tokens_per_unit), the product of parameters and data units that a dense run can pay for. Where
c_mul = kappa + (1 - kappa) / (1 - S), the FLOP costs of the paper, forms have closed solutions; `saving` is that kappa.
Geometric ramps and rewinding have none: c_mul is rho(S) / (1 - S), with a rho that is not linear in S.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparseplan.sparsity.schedule import Schedule

Array = NDArray[np.float64]
Floats = Array | float
Multiplier = Callable[[Floats, Floats], Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """A budget, or an array of them, under one cost.

    Attributes:
        tokens: Parameters times data units that a dense run can pay for, > 0; any shape that broadcasts with S and N.
        multiplier: c_mul(S, N), the cost against a dense model with the same non-zero parameters; 1 at S = 0.
        saving: kappa where c_mul = kappa + (1 - kappa) / (1 - S) at every N, [0, 1]; None where it is not of that kind.
        depends_on_size: Whether c_mul depends on N.
    """

    tokens: Floats
    multiplier: Multiplier
    saving: float | None = None
    depends_on_size: bool = False

    def data(self, S: Floats, N: Floats) -> Array:
        """D that the whole budget buys; S and N broadcast with the budget."""
        N = np.asarray(N, dtype=np.float64)
        return np.asarray(self.tokens / (N * self.multiplier(S, N)))

    def expanded(self) -> "Budget":
        """The same budget with a trailing axis, to broadcast over points."""
        return replace(self, tokens=np.asarray(self.tokens, dtype=np.float64)[..., None])


def flops_budget(tokens: Floats, saving: float) -> Budget:
    """A budget of training FLOPs under a cost with c_mul = saving + (1 - saving) / (1 - S).

    >>> float(flops_budget(6.0, 0.625).data(0.5, 2.0)) == 6.0 / (2.0 * 1.375)
    True
    """

    def multiplier(S: Floats, _: Floats) -> Array:
        return np.asarray(saving + (1.0 - saving) / (1.0 - np.asarray(S, dtype=np.float64)))

    return Budget(tokens=tokens, multiplier=multiplier, saving=saving)


def schedule_budget(tokens: Floats, schedule: Schedule) -> Budget:
    """A budget of training FLOPs under a pruning schedule, where zeros are free: c_mul = rho(S) / (1 - S).

    >>> float(schedule_budget(6.0, Schedule()).data(0.5, 2.0)) == float(flops_budget(6.0, 0.625).data(0.5, 2.0))
    True
    """

    def multiplier(S: Floats, _: Floats) -> Array:
        return np.asarray(schedule.mean_density(S) / (1.0 - np.asarray(S, dtype=np.float64)))

    if schedule.saving is not None:
        return flops_budget(tokens, schedule.saving)
    return Budget(tokens=tokens, multiplier=multiplier)
