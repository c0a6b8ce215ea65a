"""The page of a fit: its verdict, every family's points beside its own curves, and nothing over an edge."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from sparseplan.figures.base import in_style
from sparseplan.figures.fit_page import fit_page
from sparseplan.fit.fit_table import FitJob, FitResult, fit_runs
from sparseplan.fit.levels import MOST_LEVELS
from sparseplan.runs.table import Runs
from tests.figures.drawn import overflowing, words_of

Grid = list[tuple[str, float, float, float]]
FAMILIES = {"unstructured": 1.0, "n:4": 1.05}
"""How much worse than unstructured runs those of a family are."""


def runs_of(rows: Grid, *, noise: float = 0.003) -> Runs:
    """Runs with the losses of a known law, a little off."""
    family, S, N, D = (np.array(column) for column in zip(*rows, strict=True))
    worse = np.where(S > 0, [FAMILIES[one] for one in family], 1.0)
    loss = (10 * (1 - S) ** 1.2 + 40) * worse * N**-0.24 + (6e8 / D) ** 0.35 + 1.6
    loss = loss * np.exp(np.random.default_rng(0).normal(0.0, noise, len(rows)))
    return Runs(
        sparsity=S,
        nonzero_params=N,
        data_seen=D,
        loss=loss,
        family=tuple(family.tolist()),
        run_id=tuple(str(i) for i in range(len(rows))),
        source="runs.csv",
    )


def grid_over_dense_sizes() -> Runs:
    """Two families over dense sizes, so that hardly two runs share their non-zero size."""
    kinds = [("unstructured", 0.0), *((f, S) for f in FAMILIES for S in (0.25, 0.5, 0.75))]
    return over_sizes(kinds)


def over_sizes(kinds: list[tuple[str, float]]) -> Runs:
    return runs_of([(f, S, M * (1 - S), D) for f, S in kinds for M in (2e6, 1.3e7, 9e7) for D in (1e9, 4e9, 16e9)])


def scattered(count: int = 60) -> Runs:
    rng = np.random.default_rng(1)
    S = np.where(rng.random(count) < 0.3, 0.0, rng.uniform(0.2, 0.9, count))
    N, D = 10 ** rng.uniform(6, 8.5, count), 10 ** rng.uniform(9, 11, count)
    return runs_of([("unstructured", float(s), float(n), float(d)) for s, n, d in zip(S, N, D, strict=True)])


def fitted(runs: Runs, **options: Any) -> FitResult:
    return fit_runs(runs, FitJob(starts=8, draws=options.pop("draws", 0), **options))


def page(result: FitResult) -> Figure:
    return in_style(fit_page)(result)


def test_every_family_s_points_stand_beside_its_own_curves() -> None:
    result = fitted(grid_over_dense_sizes())
    curves = [axes for axes in page(result).axes if axes.get_title().startswith("dense size = ")]
    assert [axes.get_title() for axes in curves] == [f"dense size = {size}" for size in ("2.00M", "13.0M", "90.0M")]
    for axes, M in zip(curves, (2e6, 1.3e7, 9e7), strict=True):
        lines = [line for line in axes.get_lines() if line.get_marker() == "None"]
        points = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
        assert len(lines) == len(points) == 7  # dense, and three sparsities of each family
        D = np.asarray(lines[0].get_xdata(), dtype=float)
        families = [("unstructured", 0.0), *((f, S) for f in FAMILIES for S in (0.25, 0.5, 0.75))]
        expected = [result.fit.coefficients(family).loss(S, M * (1 - S), D) for family, S in families]
        for curve, line in zip(expected, lines, strict=True):
            np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), curve, rtol=1e-9)
        # All runs of this size are there, and stand at their own losses since none of them is off the curves' sizes.
        runs = result.fit.runs
        here = np.isclose(runs.nonzero_params / (1 - runs.sparsity), M)
        drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in points])
        # The law has one dense model: n:4's own f(0) lies a little off it.
        np.testing.assert_allclose(np.sort(drawn), np.sort(runs.loss[here]), rtol=1e-5)


def test_the_page_says_whether_it_is_a_law_to_plan_with() -> None:
    good = fitted(over_sizes([("unstructured", S) for S in (0.0, 0.25, 0.5, 0.75, 0.875)]))
    assert any(words.startswith("Good fit: typical error 0.") for words in words_of(page(good)))
    one_length = fitted(runs_of([("unstructured", S, N, 1e9) for S in (0.0, 0.5, 0.75) for N in (1e6, 1e7, 1e8)]))
    assert any(words.startswith("No law to plan with (too few levels)") for words in words_of(page(one_length)))


def test_scattered_runs_are_shown_in_bins() -> None:
    result = fitted(scattered())
    figure = page(result)
    panels = [axes for axes in figure.axes if " around " in axes.get_title()]
    assert 2 <= len(panels) <= 4
    for axes in panels:
        assert len([line for line in axes.get_lines() if line.get_marker() == "None"]) <= MOST_LEVELS
    for axis in "SND":
        assert len([row for row in result.answer.errors if row.axis == axis]) <= MOST_LEVELS
    assert any("the runs stand where their losses would be" in words.replace("\n", " ") for words in words_of(figure))


def test_the_bars_are_the_errors_by_level_of_the_answer() -> None:
    result = fitted(grid_over_dense_sizes())
    (axes,) = [one for one in page(result).axes if one.get_xlabel() == "sparsity S (%)"]
    (bars,) = axes.containers
    means = [100 * row.mean for row in result.answer.errors if row.axis == "S"]
    np.testing.assert_allclose(np.asarray(bars[0].get_ydata(), dtype=float), means)


@pytest.mark.parametrize("name", ["grid", "scattered", "dense", "endless"])
def test_no_word_of_the_page_runs_over_an_edge(name: str) -> None:
    runs = grid_over_dense_sizes() if name != "scattered" else scattered()
    if name == "dense":
        runs = runs.take(runs.sparsity == 0.0)
    options = {"description": "wide " * 40 + "W" * 300, "name": "n" * 100} if name == "endless" else {}
    assert overflowing(page(fitted(runs, **options))) == []
