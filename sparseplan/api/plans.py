"""Several plans at once: every combination of budgets, laws, costs and patterns, as one table."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import Struct, structs

from sparseplan.api import arguments
from sparseplan.api.arguments import Number, PatternLike
from sparseplan.api.named import CostLike, LawLike, load_law, profile_of
from sparseplan.api.planning import Answer, optimal
from sparseplan.common.json_struct import to_json
from sparseplan.common.several import parse_budgets, split
from sparseplan.common.units import format_scientific
from sparseplan.errors import PlanError, QuantityError, SparseplanError
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.law import Law
from sparseplan.plan.caveats import shadow_caveats
from sparseplan.sparsity.pattern import BEST

if TYPE_CHECKING:
    from sparseplan.hardware.profile import Profile
    from sparseplan.sparsity.pattern import Pattern

MOST = 1000
"""A plan takes about 10 ms, and nobody reads more rows."""
T = TypeVar("T")


class Plans(Struct, frozen=True, kw_only=True):
    """The answers of `plans`, budgets slowest, then laws, costs and patterns, each as `optimal` gives it.

    It prints as the table of the terminal.
    """

    format: Literal["sparseplan-plans/1"] = "sparseplan-plans/1"
    plans: list[Answer]

    def __len__(self) -> int:
        return len(self.plans)

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.plans)

    def __getitem__(self, index: int) -> Answer:
        return self.plans[index]

    def __str__(self) -> str:
        from sparseplan.api.rendering import printed
        from sparseplan.report.plans import print_plans

        return printed(lambda console: print_plans(console, self.plans))

    def _repr_html_(self) -> str:
        from sparseplan.api.rendering import preformatted

        return preformatted(str(self))

    def to_json(self) -> str:
        """As `sparseplan optimal --json` prints several answers."""
        return to_json(self)

    def to_markdown(self) -> str:
        """As `sparseplan optimal --markdown` prints them."""
        from sparseplan.report.plans import markdown

        return markdown(self.plans)

    def plot(self, path: str | Path, *, width: str = "page") -> None:
        """Draw best sparsity and gain, as `sparseplan optimal --plot` does.

        Args:
            path: .png, .svg or .pdf.
            width: A journal's "page" or "column".

        Raises:
            PlanError: for more plans than a picture holds.
        """
        from sparseplan.api.plotting import plot

        plot(self.plans, Path(path), width)

    def save(self, path: str | Path) -> None:
        """Write them as CSV, a row a plan, as `sparseplan optimal --csv` does."""
        from sparseplan.report.plans import write_csv

        write_csv(self.plans, Path(path))


def plans(
    flops: Number | Iterable[Number] | None = None,
    *,
    law: LawLike | Sequence[LawLike] = DEFAULT_LAW,
    strategy: str | Sequence[str] | None = None,
    cost: "CostLike | Sequence[CostLike]" = "sparse",
    pattern: PatternLike | Sequence[PatternLike] | None = None,
    curve: bool = False,
    **asked: Any,
) -> Plans:
    """The answers of `optimal` to every combination of budgets, laws, strategies, costs and patterns.

    Args:
        flops: Training FLOPs: numbers, or text such as "1e21,1e22" or "1e21..1e24", which is 1, 2 and 5 of each power
            of ten between the ends.
        law: Laws, or their names as in "frantar2023-t5-c4,wu2026-llama-c4".
        strategy: Strategies of each law's calibration, likewise; by default the law's own.
        cost: Costs, likewise.
        pattern: Patterns, likewise; by default unstructured.
        curve: Whether a single plan is to have the best run of every sparsity.
        asked: Everything else as `optimal` takes it, the same for all.

    Raises:
        SparseplanError: as `optimal` does, for the first combination without an answer, which it names; and for values
            that are given twice, or more than 1,000 combinations.

    Examples:
        >>> [round(answer.plan.sparsity, 2) for answer in plans("1e21,1e23", cost=["sparse", "dense"])]
        [0.49, 0.15, 0.49, 0.15]
    """
    budgets = [None] if flops is None else _read("flops", flops, parse_budgets, _budget)
    laws = _read("law", law, split, lambda one: one)
    strategies = [None] if strategy is None else _read("strategy", strategy, split, str)
    costs = _read("cost", cost, split, lambda one: one)
    patterns = [None] if pattern is None else _read("pattern", pattern, split, _pattern)
    counts = {
        "flops": len(budgets),
        "law": len(laws) * len(strategies),  # a strategy's law has a name of its own
        "cost": len(costs),
        "pattern": len(patterns),
    }
    count = prod(counts.values())
    if count > MOST:
        factors = " x ".join(f"{number:,} `{name}`" for name, number in counts.items() if number > 1)
        raise PlanError(f"expected at most {MOST:,} plans at once, found {count:,}: {factors}.")
    loaded = [
        (load_law(one, strategy=pruned), [] if isinstance(one, Law) else shadow_caveats(str(one)))
        for one, pruned in product(laws, strategies)
    ]
    priced: list[CostLike] = [profile_of(one) or one for one in costs]
    found = []
    for C, (chosen, shadows), price, made in product(budgets, loaded, priced, patterns):
        try:
            answer = optimal(C, law=chosen, cost=price, pattern=made, curve=curve and count == 1, **asked)
        except SparseplanError as problem:
            if count == 1:
                raise
            raise type(problem)(f"{problem} Asked of {_which(counts, C, chosen, price, made)}.") from None
        found.append(structs.replace(answer, warnings=[*shadows, *answer.warnings]))
    return Plans(plans=found)


def _read(name: str, given: Any, parse: Callable[[str], Sequence[Any]], read: Callable[[Any], T]) -> list[T]:
    """One value, several of them, or text with several in it.

    Raises:
        SparseplanError: naming the argument, for none, an empty one, and one that is given twice.
    """
    several = [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
    try:
        values = [value for one in several for value in (parse(one) if isinstance(one, str) else [one])]
    except QuantityError as problem:
        raise QuantityError(f"`{name}`: {problem}") from None
    found: list[T] = []
    for one in map(read, values):
        if one in found:
            raise PlanError(f"`{name}`: expected each value once, found {_word(one)} twice.")
        found.append(one)
    if not found:
        raise PlanError(f"`{name}`: expected at least one value, found none.")
    return found


def _budget(value: Number) -> float:
    return arguments.needed("flops", value)


def _pattern(value: PatternLike) -> "Pattern | str":
    return BEST if value == BEST else arguments.pattern("pattern", value)


def _which(counts: dict[str, int], C: float | None, law: Law, cost: "CostLike | Profile", pattern: Any) -> str:
    """The combination, as far as there are several."""
    words = {
        "flops": "" if C is None else f"{_word(C)} FLOPs",
        "law": f"law {_word(law)}",
        "cost": f"cost {_word(cost)}",
        "pattern": f"pattern {pattern}",
    }
    return ", ".join(words[name] for name, number in counts.items() if number > 1)


def _word(value: Any) -> str:
    """A value of an argument: a budget, a name, or what has one."""
    return format_scientific(value, digits=6) if isinstance(value, float) else str(getattr(value, "name", value))
