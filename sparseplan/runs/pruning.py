"""How a run is pruned, without training it: a struct for each strategy, and what FLOPs, trunks and laws ask of it.

Every strategy answers:

    ramp(sparsity, steps)   the sparsity in force from which step on; () never happens, a dense run isn't asked.
    schedule                the same as the law's c_mul counts it, as fractions of training.
    needs_groups            whether it works on n:m patterns only.
    describe()              itself in a few words.

How one trains is in `sparseplan.train.pruning`, a file for each. Steps are counted from 0; "at step k" means after k
optimizer updates.
"""

import math
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Struct

from sparseplan.sparsity.pattern import Pattern, parse_pattern
from sparseplan.sparsity.schedule import Schedule

DEFAULT_STRATEGY = "gradual-magnitude"
"""The strategy of recipes that name none, as all did before there was a second."""
DENSE = "dense"
"""What the table calls the strategy of a run that prunes nothing."""

Ramp = tuple[tuple[int, float], ...]
"""At each step the sparsity that holds from there on, ascending in both."""


class GradualMagnitude(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="strategy", tag=DEFAULT_STRATEGY
):
    """Gradual magnitude pruning, every matrix alike, along a ramp of `updates` equal pieces; a zero stays zero.

    Source: Zhu & Gupta 2017, arXiv:1710.01878; Frantar et al. 2023, arXiv:2309.08520.
    """

    needs_groups: ClassVar[bool] = False

    schedule: Schedule = Schedule()
    updates: Annotated[int, Meta(ge=1, description="How often the masks shrink on the ramp.")] = 64

    def __post_init__(self) -> None:
        if self.schedule.kind == "straight-through":
            raise ValueError("expected a cubic, linear or geometric schedule, found straight-through")

    def ramp(self, sparsity: float, steps: int) -> Ramp:
        """Piece k of K ends at S(k / K), and the masks that it ends with come in force at its end.

        >>> GradualMagnitude(updates=2).ramp(0.5, 100)
        ((50, 0.4375), (75, 0.5))
        """
        first, last = round(self.schedule.start * steps), round(self.schedule.end * steps)
        if first == last:
            return ((last, sparsity),)
        pieces = min(self.updates, last - first)
        width = self.schedule.end - self.schedule.start
        return tuple(
            (
                first + round((last - first) * k / pieces),
                sparsity
                if k == pieces
                else float(self.schedule.sparsity(sparsity, self.schedule.start + width * k / pieces)),
            )
            for k in range(1, pieces + 1)
        )

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"{self.schedule.describe()}, {self.updates} updates"


class Static(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="strategy", tag="static"):
    """A random mask from step 0 on, uniform over each matrix or, with a pattern, over each group; the seed draws it.

    It is sparse at every step, so c_mul = 1 under sparse FLOPs: a sparse training costs what a dense one of the same
    non-zero size does. Source: Thangarasa et al. 2023, arXiv:2303.10464 (SPDF's sparse pre-training).
    """

    needs_groups: ClassVar[bool] = False

    @property
    def schedule(self) -> Schedule:
        """One cut at the very start."""
        return Schedule(start=0.0, end=0.0)

    def ramp(self, sparsity: float, steps: int) -> Ramp:  # noqa: ARG002 - the same for every length
        """The final sparsity from the first step on."""
        return ((0, sparsity),)

    def describe(self) -> str:
        """The strategy in a few words."""
        return "a random mask, fixed from the start"


class SrSte(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="strategy", tag="sr-ste"):
    """N:m masks of the n largest of each group, chosen at every step, over weights that stay dense and may come back.

    Forward and backward pass use the masked weights; their gradient goes straight through to all weights, and what the
    mask leaves out is pulled towards zero by `decay` times itself, added to the gradient. The weights are masked for
    good after the last step. Source: Zhou et al. 2021, arXiv:2102.04010.
    """

    needs_groups: ClassVar[bool] = True

    decay: Annotated[float, Meta(ge=0, description="lambda_W of the paper; 0 is the plain straight-through mask.")] = (
        2e-4
    )

    @property
    def schedule(self) -> Schedule:
        """Masked from the start, with the gradient of all weights."""
        return Schedule(kind="straight-through", start=0.0, end=0.0)

    def ramp(self, sparsity: float, steps: int) -> Ramp:  # noqa: ARG002 - the same for every length
        """The final sparsity from the first step on."""
        return ((0, sparsity),)

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"the n largest of each group at every step, dense weights behind, decay {self.decay:g} of the others"


Strategy = GradualMagnitude | Static | SrSte
"""The strategies, told apart by the key `strategy`."""


def strategy_name(strategy: Strategy) -> str:
    """The tag of a strategy."""
    return str(type(strategy).__struct_config__.tag)


def describe_strategy(strategy: Strategy) -> str:
    """A strategy by name and in a few words.

    >>> describe_strategy(Static())
    'static: a random mask, fixed from the start'
    """
    return f"{strategy_name(strategy)}: {strategy.describe()}"


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

    def sparsity_at(self, step: int, steps: int) -> float:
        """The sparsity in force for the update from `step` on."""
        return max((sparsity for at, sparsity in self.ramp(steps) if at <= step), default=0.0)

    @property
    def constant(self) -> bool:
        """Whether a run is pruned alike at all its steps, whatever its length."""
        return self.sparsity > 0 and self.strategy.schedule.end == 0

    def shared_until(self, steps: int) -> int:
        """The step until which a run is pruned as others of its trunk are: with dense ones not at all, until the ramp
        begins; a `constant` one alike in every length, so to the end.
        """
        return round(self.strategy.schedule.start * steps) if self.sparsity and not self.constant else steps

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
        moments = ((0, 0.0), *self.ramp(steps), (steps, self.sparsity))
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
        return facts
