"""sparseplan: the compute planner for sparse pretraining. The commands as functions:

    import sparseplan as sp

    answer = sp.optimal(flops=1e23, params="7B", law="frantar2023-t5-c4-refit")
    print(answer)                                # as the terminal does
    answer.plan.sparsity, answer.intervals.sparsity

    runs = sp.fit(dataframe, columns={"nonzero_params": "N"})
    sp.optimal(flops=1e23, law=runs.law)

`optimal`, `predict`, `fit` and `explore` are the commands of these names, `sparsity_map` is `contour`, `next_runs` is
`next`; `plans` is `optimal` with several budgets, laws, costs or patterns, `describe_model` is `models show`. See
docs/python.md.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sparseplan.version import __version__

if TYPE_CHECKING:
    from sparseplan.api.explore import ExplorePage, explore
    from sparseplan.api.fitting import Fit, fit
    from sparseplan.api.from_dense import FromDense, from_dense
    from sparseplan.api.maps import SparsityMap, sparsity_map
    from sparseplan.api.models import Model, describe_model, load_model
    from sparseplan.api.named import load_law
    from sparseplan.api.next_runs import NextRuns, next_runs
    from sparseplan.api.planning import Answer, optimal
    from sparseplan.api.plans import Plans, plans
    from sparseplan.api.predicting import Prediction, predict

__all__ = [
    "Answer",
    "ExplorePage",
    "Fit",
    "FromDense",
    "Model",
    "NextRuns",
    "Plans",
    "Prediction",
    "SparsityMap",
    "__version__",
    "describe_model",
    "explore",
    "fit",
    "from_dense",
    "load_law",
    "load_model",
    "next_runs",
    "optimal",
    "plans",
    "predict",
    "sparsity_map",
]

_HOMES = {
    "explore": ("ExplorePage", "explore"),
    "fitting": ("Fit", "fit"),
    "from_dense": ("FromDense", "from_dense"),
    "maps": ("SparsityMap", "sparsity_map"),
    "models": ("Model", "describe_model", "load_model"),
    "next_runs": ("NextRuns", "next_runs"),
    "named": ("load_law",),
    "planning": ("Answer", "optimal"),
    "predicting": ("Prediction", "predict"),
    "plans": ("Plans", "plans"),
}


class _FrontDoor(ModuleType):
    """This package: `sp.fit` stays the function where importing the room `sparseplan.fit` would put the room."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: importing the package stays as light as an empty module."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"sparseplan.api.{home}"), name)
    raise AttributeError(f"module 'sparseplan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
