"""A simulated runs table of 60 runs, and the slips that people make with one."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparseplan.laws.forms.frantar2023 import Coefficients, loss
from sparseplan.runs.table import Runs

TRUTH = Coefficients(a_S=10.7, b_S=1.34, c_S=41.6, b_N=0.232, a_D=6.8e8, b_D=0.385, c=0.83)
DENSE_SIZES = (2e7, 6e7, 1.8e8, 5.4e8)
LENGTHS = (2e9, 6e9, 2e10)
SPARSITIES = (0.0, 0.5, 0.75, 0.875, 0.9375)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Dense sizes x lengths x sparsities, measured with normal noise of the log loss."""

    sparsities: tuple[float, ...] = SPARSITIES
    dense_sizes: tuple[float, ...] = DENSE_SIZES
    lengths: tuple[float, ...] = LENGTHS
    noise: float = 0.003
    pattern: str = "unstructured"


def simulated(grid: Grid | None = None) -> Runs:
    grid = grid or Grid()
    M, D, S = (axis.ravel() for axis in np.meshgrid(grid.dense_sizes, grid.lengths, grid.sparsities, indexing="ij"))
    return measured(S, M * (1 - S), D, noise=grid.noise, pattern=grid.pattern)


def measured(
    S: np.ndarray, N: np.ndarray, D: np.ndarray, *, noise: float = 0.003, pattern: str = "unstructured"
) -> Runs:
    """Runs of the true law at given places; `where` is where `write` puts them into runs.csv."""
    error = noise * np.random.default_rng(0).standard_normal(len(S))
    return Runs(
        sparsity=S,
        nonzero_params=N,
        data_seen=D,
        loss=loss(TRUTH, S, N, D) * np.exp(error),
        family=(pattern,) * len(S),
        run_id=tuple(f"r{i}" for i in range(len(S))),
        where=tuple(f"runs.csv:{i + 2}" for i in range(len(S))),
    )


def changed(runs: Runs, row: int, **times: float) -> Runs:
    """The table with one row's columns multiplied."""
    columns = {name: getattr(runs, name).copy() for name in times}
    for name, factor in times.items():
        columns[name][row] *= factor
    return replace(runs, **columns)


def write(runs: Runs, path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["run_id", "sparsity", "nonzero_params", "data_seen", "loss"])
        columns = (runs.sparsity, runs.nonzero_params, runs.data_seen, runs.loss)
        writer.writerows(
            [name, *(f"{value:.12g}" for value in row)] for name, *row in zip(runs.run_id, *columns, strict=True)
        )
    return path
