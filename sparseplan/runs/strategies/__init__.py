"""The strategies by which a run is pruned, without training it: a struct of settings for each, told apart by its tag.

How one trains is in `sparseplan.train.pruning`, a file for each. Steps are counted from 0; "at step k" means after k
optimizer updates.
"""

from typing import get_args

from sparseplan.runs.strategies.calibrated import SparseGpt, Wanda
from sparseplan.runs.strategies.magnitude import DEFAULT_STRATEGY, GradualMagnitude, OneShot
from sparseplan.runs.strategies.random_masks import RigL, SparseEvolution, Static
from sparseplan.runs.strategies.rewinding import Rewinding
from sparseplan.runs.strategies.straight_through import SrSte, SSte, Ste
from sparseplan.runs.strategies.structured import Structured
from sparseplan.sparsity.schedule import Schedule

__all__ = [
    "DEFAULT_STRATEGY",
    "STRATEGIES",
    "GradualMagnitude",
    "OneShot",
    "Rewinding",
    "RigL",
    "SSte",
    "SparseEvolution",
    "SparseGpt",
    "SrSte",
    "Static",
    "Ste",
    "Strategy",
    "Structured",
    "Wanda",
    "describe_strategy",
    "schedule_of",
    "strategy_name",
]

_OneCut = OneShot | Wanda | SparseGpt
_FromStart = Static | SparseEvolution | RigL | Ste | SrSte | SSte
Strategy = GradualMagnitude | Structured | Rewinding | _OneCut | _FromStart
"""The strategies, told apart by the key `strategy`."""


def strategy_name(strategy: Strategy) -> str:
    """The tag of a strategy."""
    return str(type(strategy).__struct_config__.tag)


STRATEGIES: dict[str, type[Strategy]] = {strategy_name(one()): one for one in get_args(Strategy)}
"""The strategies by tag."""


def describe_strategy(strategy: Strategy) -> str:
    """A strategy by name and in a few words.

    >>> describe_strategy(Static())
    'static: a random mask, fixed from the start'
    """
    return f"{strategy_name(strategy)}: {strategy.describe()}"


def schedule_of(name: str) -> Schedule | None:
    """The schedule of a strategy whose settings do not move it; None where they do, or for none of ours.

    RigL's says how rarely it rewires; by how much that changes what a run costs is below a percent.

    Raises:
        ValueError: for a strategy that cuts at a moment of its own choosing, which its name does not tell.

    >>> schedule_of("static").describe(), schedule_of("gradual-magnitude")
    ('sparse from the first step', None)
    """
    if name not in STRATEGIES or name == DEFAULT_STRATEGY:
        return None
    found = STRATEGIES[name]()
    if found.schedule.end > 0:
        raise ValueError(f"the strategy {name} prunes when its settings say, and the table does not tell")
    schedule: Schedule = found.schedule
    return schedule
