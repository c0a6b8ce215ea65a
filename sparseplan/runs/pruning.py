"""What a run is pruned to and how, without training it: what FLOPs, trunks and laws ask of its strategy.

Steps are counted from 0; "at step k" means after k optimizer updates.
"""

import math
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from sparseplan.runs.strategies import DEFAULT_STRATEGY, GradualMagnitude, Strategy, strategy_name
from sparseplan.runs.strategies.base import Ramp
from sparseplan.sparsity.pattern import Pattern, parse_pattern

DENSE = "dense"
"""What the table calls the strategy of a run that prunes nothing."""
_UNSAID = {"scope": "matrix", "distribution": "uniform"}
"""Settings that strategies had before there was a choice, and that name no run."""


class Pruning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run is pruned to, and how."""

    sparsity: Annotated[float, Meta(ge=0, lt=1, description="Final share of prunable weights that are zero.")] = 0.0
    pattern: Annotated[str, Meta(description="unstructured, or n:m along the input dimension.")] = "unstructured"
    strategy: Strategy = GradualMagnitude()

    def __post_init__(self) -> None:
        made = self.parsed.sparsity
        if self.parsed.group is not None and (made is None or not math.isclose(made, self.sparsity, abs_tol=1e-12)):
            raise ValueError(
                f"expected the sparsity that the pattern {self.pattern} makes"
                f"{'' if made is None else f', {made:g}'}, found {self.sparsity:g}"
            )
        if self.sparsity and self.strategy.needs_groups and self.parsed.group is None:
            raise ValueError(
                f"expected a pattern n:m, such as 2:4, as the strategy {strategy_name(self.strategy)} needs, "
                f"found {self.pattern} sparsity {self.sparsity:g}"
            )
        if self.sparsity and self.parsed.group is not None and (free := _free_of_groups(self.strategy)):
            raise ValueError(f"expected a number, unstructured sparsity, as {free} needs, found {self.pattern}")

    @property
    def parsed(self) -> Pattern:
        """The pattern, read."""
        return parse_pattern(self.pattern)

    @property
    def strategy_name(self) -> str:
        """The strategy's tag; `dense` where nothing is pruned."""
        return strategy_name(self.strategy) if self.sparsity else DENSE

    def ramp(self, steps: int) -> Ramp:
        """The sparsity in force from which step of a run of `steps` on; () for dense."""
        return self.strategy.ramp(self.sparsity, steps) if self.sparsity else ()

    def total_updates(self, steps: int) -> int:
        """Updates of the whole training of a run whose final model has made `steps` of them."""
        return self.strategy.total_updates(self.sparsity, steps) if self.sparsity else steps

    def place(self, update: int, steps: int) -> int:
        """How many updates a run's model has behind it after `update` updates of its training."""
        return self.strategy.place(update, self.sparsity, steps) if self.sparsity else update

    def sparsity_at(self, step: int, steps: int) -> float:
        """The sparsity in force for the update from `step` on."""
        return max((sparsity for at, sparsity in self.ramp(steps) if at <= step), default=0.0)

    @property
    def from_start(self) -> bool:
        """Whether a run is pruned from its first step on, so that it shares no trunk with dense ones."""
        return self.sparsity > 0 and self.strategy.schedule.end == 0

    def shared_until(self, steps: int) -> int:
        """The step until which a run is pruned as others of its trunk are: with dense ones not at all, until the ramp
        begins; one that is pruned `from_start` as other lengths of it, as its strategy says.
        """
        if self.from_start:
            return self.strategy.alike_until(steps)
        return round(self.strategy.schedule.start * steps) if self.sparsity else steps

    def dense_until(self, steps: int) -> int:
        """The step of the first cut, until which every weight lives; `steps` for dense."""
        return min((at for at, _ in self.ramp(steps)), default=steps)

    def settled_from(self, steps: int) -> int:
        """The step from which the final sparsity and pattern hold; `steps` for dense."""
        return max((at for at, _ in self.ramp(steps)), default=steps)

    def phases(self, steps: int) -> tuple[tuple[int, int, float], ...]:
        """A run of `steps` as (from step, to step, sparsity in force), without gaps.

        >>> Pruning(sparsity=0.5, strategy=GradualMagnitude(updates=2)).phases(100)
        ((0, 50, 0.0), (50, 75, 0.4375), (75, 100, 0.5))
        """
        moments = ((0, 0.0), *self.ramp(steps), (self.total_updates(steps), self.sparsity))
        return tuple((at, until, sparsity) for (at, sparsity), (until, _) in pairwise(moments) if at < until)

    def determinants(self) -> dict[str, Any] | None:
        """What of this determines a run's numbers, as plain data: part of its identity, so never rearranged.

        None for dense; the default strategy bears no tag, as it bore none before there was a second.
        """
        if self.sparsity == 0:
            return None
        facts: dict[str, Any] = {
            "sparsity": self.sparsity,
            "pattern": self.pattern,
            **msgspec.to_builtins(self.strategy),
        }
        if facts["strategy"] == DEFAULT_STRATEGY:
            del facts["strategy"]
        return {key: value for key, value in facts.items() if _UNSAID.get(key) != value}


def _free_of_groups(strategy: Strategy) -> str | None:
    """What of a strategy can't keep to groups; None where all can."""
    name = strategy_name(strategy)
    if not strategy.allows_groups:
        return f"the strategy {name}"
    if getattr(strategy, "scope", "") == "global":
        return f"the scope global of {name}"
    return f"the distribution erdos-renyi of {name}" if getattr(strategy, "distribution", "") == "erdos-renyi" else None
