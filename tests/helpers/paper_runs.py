"""The authors' runs of arXiv:2309.08520, from beside the project; tests that need them skip where they are missing."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from sparseplan.runs.table import Runs


def script(path: str) -> ModuleType:
    """A script of the project, as a module."""
    file = Path(__file__).parents[2] / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


refit_builtin_laws = script("scripts/refit_builtin_laws.py")
FOLDER: Path = refit_builtin_laws.default_folder()
needs_paper_runs = pytest.mark.skipif(
    not (FOLDER / "t5-data.csv").exists(),
    reason=f"the authors' runs aren't at {FOLDER}; set SPARSEPLAN_PAPER_RUNS to the folder that holds frantar2023/",
)


def t5_runs() -> Runs:
    """The 48 T5 runs."""
    runs: Runs = refit_builtin_laws.t5_runs(FOLDER)
    return runs


def vit_runs() -> Runs:
    """The 112 ViT runs."""
    runs: Runs = refit_builtin_laws.vit_runs(FOLDER)
    return runs
