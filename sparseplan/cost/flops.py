"""What training costs: C = 6 N D c_mul(S) tokens_per_unit, for N non-zero parameters and D data.

c_mul compares a sparse model with a dense one of the same non-zero size. With the ramp's mean density
rho(S) = 1 - kappa S, zeros that cost nothing ("sparse FLOPs") give c_mul = rho(S) / (1 - S), zeros that cost like
weights ("dense FLOPs") give 1 / (1 - S); both are kappa + (1 - kappa) / (1 - S), the second with kappa = 0. Where rho
is not linear in S, as on a geometric ramp, there is no kappa.

Source: Frantar et al. 2023, arXiv:2309.08520, section 3.2; 6 N D: Kaplan et al. 2020, arXiv:2001.08361.
"""

from dataclasses import dataclass, replace

import numpy as np

from sparseplan.cost.overhead import PLAIN, Overhead
from sparseplan.laws.forms.budget import Array, Budget, Floats
from sparseplan.sparsity.schedule import Schedule

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0
FLOPS_COSTS = ("sparse", "dense")
ACCELERATED_SPARSITY = 0.5
"""The sparsity of 2:4, the one that devices accelerate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What training costs, by sparsity and size: the data that a budget buys, and the budget that a run needs.

    Attributes:
        name: What the user called it.
        saving: kappa, the share of a dense model's cost that full sparsity would save over the whole run, [0, 1]; None
            where the multiplier is of another kind.
        tokens_per_unit: Tokens that the model processes per unit of data.
        overhead: What a token takes beside 6 N, none if not said; `saving` and the multiplier are of the whole.
    """

    name: str
    saving: float | None
    tokens_per_unit: float = 1.0
    overhead: Overhead = PLAIN

    @property
    def flops_per_parameter(self) -> float:
        """FLOPs of a unit of data for each prunable weight of a dense model."""
        return FLOPS_PER_PARAMETER_AND_TOKEN * self.tokens_per_unit * self.overhead.total

    @property
    def depends_on_size(self) -> bool:
        """Whether the multiplier depends on N; then the best size has no closed form."""
        return False

    def multiplier(self, S: Floats, N: Floats | None = None) -> Array:  # noqa: ARG002 - costs by size read N
        """c_mul(S): training cost against a dense model with the same non-zero parameters N.

        >>> round(float(Cost(name="sparse", saving=0.625).multiplier(0.5)), 6)
        1.375
        """
        assert self.saving is not None
        density = 1.0 - np.asarray(S, dtype=np.float64)
        return np.asarray(self.saving + (1.0 - self.saving) / density)

    def idle(self, S: Floats, N: Floats) -> Array:  # noqa: ARG002 - costs with inference read both
        """Units of data, beyond D, that a run pays for: none."""
        return np.zeros(())

    def budget(self, train_flops: Floats) -> Budget:
        """What a number of training FLOPs buys."""
        return Budget(
            tokens=train_flops / self.flops_per_parameter,
            multiplier=self.multiplier,
            saving=None if self.depends_on_size else self.saving,
            depends_on_size=self.depends_on_size,
        )

    def on_ramp(self, schedule: Schedule, tokens_per_unit: float) -> "Cost":
        """The same cost for runs of another ramp and data unit."""
        if self.name in FLOPS_COSTS:
            return flops_cost(self.name, schedule, tokens_per_unit=tokens_per_unit, overhead=self.overhead)
        if not self.saving:  # zeros cost like weights
            return schedule_cost(
                self.name, schedule, zeros_free=False, tokens_per_unit=tokens_per_unit, overhead=self.overhead
            )
        return replace(self, tokens_per_unit=tokens_per_unit)

    def data_for(self, train_flops: Floats, S: Floats, N: Floats) -> Array:
        """The data D that a budget buys for a run with sparsity S and N non-zero parameters; all broadcast.

        >>> float(Cost(name="dense", saving=0.0).data_for(6e20, 0.5, 1e9))
        50000000000.0
        """
        return self.budget(train_flops).data(S, N)

    def flops_for(self, D: Floats, S: Floats, N: Floats) -> Array:
        """The training FLOPs that a run needs: `data_for` inverted."""
        per_unit = self.flops_per_parameter * np.asarray(N, dtype=np.float64) * self.multiplier(S, N)
        return np.asarray(per_unit * D)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleCost(Cost):
    """FLOPs under a schedule for which there is no kappa.

    Attributes:
        schedule: That schedule.
        zeros_free: Whether zeros cost nothing; else they cost like weights, in every round of the schedule.
    """

    schedule: Schedule
    zeros_free: bool

    def multiplier(self, S: Floats, N: Floats | None = None) -> Array:  # noqa: ARG002 - the same at every size
        """c_mul(S) = rho(S) / (1 - S), with the length of training in place of rho(S) where zeros cost."""
        per_dense = self.schedule.mean_density(S) if self.zeros_free else self.schedule.length(S)
        return self.overhead.around(per_dense / (1.0 - np.asarray(S, dtype=np.float64)), S)


def flops_cost(name: str, schedule: Schedule, *, tokens_per_unit: float = 1.0, overhead: Overhead = PLAIN) -> Cost:
    """The paper's two costs: "sparse" FLOPs, where zeros are free, and "dense" FLOPs, where they cost like weights."""
    assert name in FLOPS_COSTS
    return schedule_cost(
        name, schedule, zeros_free=name == "sparse", tokens_per_unit=tokens_per_unit, overhead=overhead
    )


def schedule_cost(
    name: str, schedule: Schedule, *, zeros_free: bool, tokens_per_unit: float, overhead: Overhead = PLAIN
) -> Cost:
    """The cost of trainings by a schedule whose zeros cost nothing, or like weights."""
    saving = schedule.saving if zeros_free else None if schedule.kind == "rewinding" else 0.0
    if saving is None:
        return ScheduleCost(
            name=name,
            saving=None,
            schedule=schedule,
            zeros_free=zeros_free,
            tokens_per_unit=tokens_per_unit,
            overhead=overhead,
        )
    # What no zero saves makes the saving a smaller share of the whole.
    return Cost(
        name=name, saving=saving * overhead.weights / overhead.total, tokens_per_unit=tokens_per_unit, overhead=overhead
    )
