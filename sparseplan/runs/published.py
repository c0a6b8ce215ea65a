"""The runs that Frantar et al. 2023 (arXiv:2309.08520) published, as runs tables: 48 of T5 on C4, 112 of ViT on JFT.

The files `t5-data.csv` and `vit-data.json` lie beside the authors' fitting notebook in google-research/jaxpruner. They
give the size of the dense model as a multiple of a base model's prunable weights, and don't come with this package.
"""

import csv
import hashlib
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseplan.runs.table import Runs

Array = NDArray[np.float64]

FOLDER_VARIABLE = "SPARSEPLAN_PAPER_RUNS"
"""Environment variable that names the folder in which `frantar2023/` lies."""
T5_FILE, VIT_FILE = "t5-data.csv", "vit-data.json"
_CHECKOUT = Path(__file__).resolve().parents[2]
_T5_BASE = 24 * (12 * 768**2)
"""Prunable weights of T5 at scale 1: 24 blocks of 12 width^2."""
_VIT_BASE = 12 * (12 * 768**2)
_T5_TOKENS_PER_STEP = 128 * 512


def published_folder() -> Path:
    """Where the files are looked for: `$SPARSEPLAN_PAPER_RUNS/frantar2023`, else `shared/data` beside a checkout."""
    return Path(os.environ.get(FOLDER_VARIABLE, _CHECKOUT.parent / "shared" / "data")) / "frantar2023"


def t5_runs(folder: Path | None = None) -> Runs:
    """The 48 T5 runs, D in tokens; the file counts D in optimizer steps of 128 x 512 tokens.

    Raises:
        OSError: if the file isn't there.
    """
    path = (folder or published_folder()) / T5_FILE
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {
        name: np.array([float(row[name]) for row in rows]) for name in ("sparsity", "scale", "val-loss", "steps")
    }
    data = columns["steps"] * _T5_TOKENS_PER_STEP
    return _runs(path, columns["sparsity"], _T5_BASE * columns["scale"], data, columns["val-loss"], "token")


def vit_runs(folder: Path | None = None) -> Runs:
    """The 112 ViT runs, D in images.

    Raises:
        OSError: if the file isn't there.
    """
    path = (folder or published_folder()) / VIT_FILE
    columns = {
        name: np.array(list(cells.values()), dtype=np.float64)
        for name, cells in json.loads(path.read_text(encoding="utf-8")).items()
    }
    dense = _VIT_BASE * columns["scale"]
    return _runs(path, columns["sparsity"], dense, columns["total_examples"], columns["val-loss"], "image")


PUBLISHED = {T5_FILE: t5_runs, VIT_FILE: vit_runs}
"""How each of the authors' files is read, by its name; the argument is its folder."""


def _runs(path: Path, S: Array, dense: Array, D: Array, L: Array, unit: str) -> Runs:
    return Runs(
        sparsity=S,
        nonzero_params=dense * (1.0 - S),
        data_seen=D,
        loss=L,
        family=("unstructured",) * len(S),
        run_id=tuple(f"{path.name}[{i}]" for i in range(len(S))),
        data_unit=unit,
        source=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
