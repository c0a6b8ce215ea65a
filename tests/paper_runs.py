"""The authors' runs of arXiv:2309.08520, from beside the project; tests that need them skip where they are missing."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from sparseplan.runs import Runs

FOLDER = Path(os.environ.get("SPARSEPLAN_PAPER_RUNS", Path(__file__).parents[2] / "shared" / "data")) / "frantar2023"
needs_paper_runs = pytest.mark.skipif(
    not (FOLDER / "t5-data.csv").exists(),
    reason=f"the authors' runs aren't at {FOLDER}; set SPARSEPLAN_PAPER_RUNS to the folder that holds frantar2023/",
)


def t5_runs() -> Runs:
    """48 runs; the file gives the dense scale and optimizer steps of 128 x 512 tokens."""
    with (FOLDER / "t5-data.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    S, scale, L, steps = (
        np.array([float(row[name]) for row in rows]) for name in ("sparsity", "scale", "val-loss", "steps")
    )
    return _runs(S, 24 * 12 * 768**2 * scale * (1 - S), steps * 65_536, L, "token")


def vit_runs() -> Runs:
    """112 runs; the file gives the dense scale and examples."""
    columns = json.loads((FOLDER / "vit-data.json").read_text(encoding="utf-8"))
    S, scale, L, examples = (
        np.array(list(columns[name].values()), dtype=float)
        for name in ("sparsity", "scale", "val-loss", "total_examples")
    )
    return _runs(S, 12 * 12 * 768**2 * scale * (1 - S), examples, L, "image")


def _runs(S, N, D, L, unit) -> Runs:  # type: ignore[no-untyped-def]
    return Runs(
        sparsity=S,
        nonzero_params=N,
        data_seen=D,
        loss=L,
        family=("unstructured",) * len(S),
        run_id=tuple(str(i) for i in range(len(S))),
        data_unit=unit,
    )
