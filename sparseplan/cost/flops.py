"""What training costs: C = 6 N D c_mul(S) tokens_per_unit, for N non-zero parameters and D data.

c_mul compares a sparse model with a dense one of the same non-zero size. With the ramp's mean density
rho(S) = 1 - kappa S, zeros that cost nothing ("sparse FLOPs") give c_mul = rho(S) / (1 - S), zeros that cost like
weights ("dense FLOPs") give 1 / (1 - S); both are kappa + (1 - kappa) / (1 - S), the second with kappa = 0.

Source: Frantar et al. 2023, arXiv:2309.08520, section 3.2; 6 N D: Kaplan et al. 2020, arXiv:2001.08361.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseplan.sparsity.schedule import Schedule

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0
FLOPS_COSTS = ("sparse", "dense")
ACCELERATED_SPARSITY = 0.5
"""The sparsity of 2:4, the one that devices accelerate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """How the cost of training grows with sparsity at a fixed number of non-zero parameters.

    Attributes:
        name: What the user called it.
        saving: kappa, the share of a dense model's cost that full sparsity would save over the whole run, [0, 1].
    """

    name: str
    saving: float

    @property
    def depends_on_size(self) -> bool:
        """Whether the multiplier depends on N; then the best size has no closed form."""
        return False

    def multiplier(
        self,
        S: NDArray[np.float64] | float,
        N: NDArray[np.float64] | float | None = None,  # noqa: ARG002 - costs by size read it
    ) -> NDArray[np.float64]:
        """c_mul(S): training cost against a dense model with the same non-zero parameters N.

        >>> round(float(Cost(name="sparse", saving=0.625).multiplier(0.5)), 6)
        1.375
        """
        density = 1.0 - np.asarray(S, dtype=np.float64)
        return np.asarray(self.saving + (1.0 - self.saving) / density)


def flops_cost(name: str, schedule: Schedule) -> Cost:
    """The paper's two costs: "sparse" FLOPs, where zeros are free, and "dense" FLOPs, where they cost like weights."""
    assert name in FLOPS_COSTS
    return Cost(name=name, saving=schedule.saving if name == "sparse" else 0.0)
