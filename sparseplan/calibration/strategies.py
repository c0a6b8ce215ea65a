"""The ways to prune that a recipe names: what is wrong with their names, and which run is of which."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from sparseplan.runs.pruning import DENSE, Pruning
from sparseplan.runs.strategies import STRATEGIES, Strategy, strategy_name

StrategyName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=40)]


def misnamed(strategies: Mapping[str, Strategy]) -> tuple[str, str] | None:
    """The first name that would mislead, and why; None where all are fine."""
    names: dict[Strategy, str] = {}
    for name, strategy in strategies.items():
        own = strategy_name(strategy)
        if name in STRATEGIES and name != own:
            return name, f"expected the strategy {name} under its name, found {own}; choose another name"
        if name == DENSE:
            return name, f"expected another name than {DENSE}, which runs have that prune nothing; choose one"
        if strategy in names:
            return name, f"expected each strategy once, found that of {names[strategy]} again; remove one"
        names[strategy] = name
    return None


def name_of(strategies: Mapping[str, Strategy], pruning: Pruning) -> str:
    """What a recipe calls the strategy of a run; `dense` where the run prunes nothing."""
    if not pruning.sparsity:
        return DENSE
    return next(name for name, strategy in strategies.items() if strategy == pruning.strategy)


def describe_named(name: str, strategy: Strategy) -> str:
    """A strategy by the name that a recipe gives it, in a few words."""
    own = strategy_name(strategy)
    return f"{name}: {'' if name == own else f'{own}, '}{strategy.describe()}"
