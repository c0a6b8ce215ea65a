"""sparseplan: the compute planner for sparse pretraining. The commands as functions:

    import sparseplan as sp

    answer = sp.optimal(flops=1e23, params="7B", law="frantar2023-t5-c4-refit")
    print(answer)                                # as the terminal does
    answer.plan.sparsity, answer.intervals.sparsity

`optimal`, `predict`, `sparsity_map` and `load_law` are the commands of these names; see `sparseplan.api`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sparseplan.version import __version__

if TYPE_CHECKING:
    from sparseplan.api.planning import Answer, Prediction, load_law, optimal, predict, sparsity_map

__all__ = ["Answer", "Prediction", "__version__", "load_law", "optimal", "predict", "sparsity_map"]

_HOMES = {
    "fitting": ("fit"),
    "planning": ("Answer", "Prediction", "load_law", "optimal", "predict", "sparsity_map"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: importing the package stays as light as an empty module."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"sparseplan.api.{home}"), name)
    raise AttributeError(f"module 'sparseplan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
