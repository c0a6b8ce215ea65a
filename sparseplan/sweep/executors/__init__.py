"""Where trainings run: one executor a file, and the registry that recipes and `--executor` choose from.

To add one: a file with a settings struct (its tag is the executor's name in recipes) and a class that meets
`base.Executor`; a line below; the recipe's schema made again; a row in docs/calibration.md; tests.
"""

from sparseplan.sweep.executors.base import Executor, Settings
from sparseplan.sweep.executors.local import LocalExecutor
from sparseplan.sweep.executors.slurm import SlurmExecutor

EXECUTORS: dict[str, type[Executor]] = {
    "local": LocalExecutor,
    "slurm": SlurmExecutor,
}

DEFAULT = "local"

__all__ = ["DEFAULT", "EXECUTORS", "Executor", "Settings"]
