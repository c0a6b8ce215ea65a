"""What a training budget buys: the data D of a run with sparsity S and N non-zero parameters.

    D = tokens / (N c_mul(S, N)) - idle(S, N)

`tokens` is C / (6 tokens_per_unit), the product of parameters and data units that a dense run can pay for. `idle` is
what else a run must pay for, in units of data at its own price: a model that serves many tokens pays for them as if it
had trained on so many more, and learns nothing from them. Where c_mul = kappa + (1 - kappa) / (1 - S), the FLOP costs
of the paper, forms have closed solutions; `saving` is that kappa. Geometric ramps and rewinding have none: c_mul is
rho(S) / (1 - S), with a rho that is not linear in S.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparseplan.sparsity.schedule import Schedule

Array = NDArray[np.float64]
Floats = Array | float
_STEPS = 60
Multiplier = Callable[[Floats, Floats], Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """A budget, or an array of them, under one cost.

    Attributes:
        tokens: Parameters times data units that a dense run can pay for, > 0; any shape that broadcasts with S and N.
        multiplier: c_mul(S, N), the cost against a dense model with the same non-zero parameters; 1 at S = 0.
        saving: kappa where c_mul = kappa + (1 - kappa) / (1 - S) at every N, [0, 1]; None where it is not of that kind.
        depends_on_size: Whether c_mul, or idle, depends on N.
        idle: The units of data, beyond D, that the budget pays for at sparsity S and size N, or None.
    """

    tokens: Floats
    multiplier: Multiplier
    saving: float | None = None
    depends_on_size: bool = False
    idle: Multiplier | None = None

    @property
    def closed(self) -> bool:
        """Whether the best size of a sum of power terms has a closed solution under this budget."""
        return self.idle is None and not self.depends_on_size

    def data(self, S: Floats, N: Floats) -> Array:
        """D that the whole budget buys; S and N broadcast with the budget. Not above 0 where idle data takes it all."""
        N = np.asarray(N, dtype=np.float64)
        bought = self.tokens / (N * self.multiplier(S, N))
        return np.asarray(bought if self.idle is None else bought - self.idle(S, N))

    def size(self, S: Floats, D: Floats) -> Array:
        """N that the whole budget buys for a run on D data: `data` inverted."""
        return self._settled(S, lambda bought, idle: bought / (D + idle))

    def size_at_ratio(self, S: Floats, R: Floats) -> Array:
        """N that the whole budget buys for a run on R units of data per non-zero parameter."""
        # R N^2 + idle N = bought; this way of writing the root loses no digits where either term is small.
        return self._settled(S, lambda bought, idle: 2.0 * bought / (idle + np.sqrt(idle**2 + 4.0 * R * bought)))

    def _settled(self, S: Floats, size: Callable[[Array, Array], Array]) -> Array:
        """A size that follows from N D c_mul and idle data, both at that size.

        Where they depend on it, over widths they change far more slowly than in proportion: a few steps settle it.
        """

        def following(N: Floats) -> Array:
            idle = np.zeros(()) if self.idle is None else self.idle(S, N)
            return np.asarray(size(np.asarray(self.tokens / self.multiplier(S, N)), idle))

        N = following(1e9)
        for _ in range(_STEPS if self.depends_on_size else 0):
            before, N = N, following(N)
            if np.all(np.abs(N - before) <= 1e-14 * N):
                break
        return N

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
