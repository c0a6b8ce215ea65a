"""Laws and costs as callers give them: by name, path or object."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from sparseplan.common.caveat import Caveat
from sparseplan.cost.flops import FLOPS_COSTS, Cost, flops_cost
from sparseplan.cost.overhead import PLAIN, Overhead
from sparseplan.errors import HardwareError, PlanError
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws import file as law_files
from sparseplan.laws.law import Law
from sparseplan.plan.caveats import shadow_caveats
from sparseplan.sparsity.pattern import Pattern

if TYPE_CHECKING:
    from sparseplan.hardware.profile import Profile

LawLike = str | Path | Law
CostLike: TypeAlias = "str | Path | Profile"


def load_law(law: LawLike = DEFAULT_LAW, *, strategy: str | None = None) -> Law:
    """A law by name (as `sparseplan laws list` shows them) or path; a law is returned as it is.

    Args:
        law: The law.
        strategy: A strategy of its calibration, whose law is wanted instead.

    Raises:
        LawError: if there is no such law or strategy, or its file is broken.

    Examples:
        >>> load_law("frantar2023-t5-c4").coefficients["b_N"]
        0.245
    """
    if strategy is None:
        return law if isinstance(law, Law) else law_files.load_law(str(law))
    if isinstance(law, Law):
        raise PlanError("`strategy`: expected a law by name or path, beside which that of a strategy is found.")
    return law_files.load_law_of(str(law), strategy)


def with_shadow(law: LawLike, warnings: list[Caveat]) -> list[Caveat]:
    """An answer's warnings, and whether another law than the built-in one was found by the name that was asked for."""
    return warnings if isinstance(law, Law) else [*shadow_caveats(str(law)), *warnings]


def facts(struct: msgspec.Struct) -> dict[str, Any]:
    """A struct's fields by name, its values as they are."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def profile_of(cost: "CostLike", *, name: str = "cost") -> "Profile | None":
    """The hardware profile that a cost means; None where it means a FLOP count. `name` is the argument's."""
    if not isinstance(cost, str | Path):
        return cost
    if cost in FLOPS_COSTS:
        return None
    from sparseplan.hardware.file import load_profile

    try:
        return load_profile(str(cost))
    except HardwareError as problem:
        raise HardwareError(f"`{name}`: expected sparse, dense or a hardware profile: {problem}") from None


def cost_of(
    cost: "CostLike", profile: "Profile | None", law: Law, pattern: Pattern, overhead: Overhead = PLAIN
) -> Cost:
    """The cost under a law, whose ramp decides what sparse FLOPs save and when 2:4 begins."""
    if profile is None:
        return flops_cost(str(cost), law.schedule, tokens_per_unit=law.tokens_per_unit, overhead=overhead)
    from sparseplan.cost.device import device_cost

    return device_cost(profile, pattern, law.schedule, tokens_per_unit=law.tokens_per_unit, overhead=overhead)
