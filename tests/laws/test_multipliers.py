"""Claims about size multipliers side by side: who counts as a setup, and when setups are said to differ."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sparseplan.cli import run
from sparseplan.errors import LawError
from sparseplan.laws.compose import compose
from sparseplan.laws.file import load_law
from sparseplan.laws.identity import same_runs
from sparseplan.laws.law import Law
from sparseplan.laws.multipliers import _agreement, compare_laws

ROOT = Path(__file__).parents[2]


def as_setup(law: Law, runs: str, **coefficients: float) -> Law:
    """The law as if fitted to other runs, with some coefficients of its sparsity set changed, draws along."""
    assert law.draws is not None
    sparsity = {"unstructured": law.sparsity["unstructured"] | coefficients}
    table, columns = law.draws.table().copy(), list(law.draws.columns)
    for name, value in coefficients.items():
        table[:, columns.index(f"unstructured.{name}")] *= value / law.sparsity["unstructured"][name]
    draws = law.draws.pack(columns, table, method="synthetic, for tests")
    return msgspec.structs.replace(law, sparsity=sparsity, draws=draws, provenance={"runs_sha256": runs})


def test_spread_and_chance_are_those_of_normal_errors_by_hand() -> None:
    """Means 0, 0.1, 0.2, each with standard deviation 0.05: Q = 0.02 / 0.0025 = 8; (8 - 2) / (3 w - w) with w = 400."""
    noise = np.random.default_rng(1).standard_normal(200_000)
    noise = (noise - noise.mean()) / noise.std()
    found = _agreement(0.5, [1.0], [mean + 0.05 * noise for mean in (0.0, 0.1, 0.2)])
    assert found.setups == 3
    assert found.spread == pytest.approx(math.sqrt(6 / 800), rel=1e-6)
    assert found.chance == pytest.approx(math.exp(-8 / 2), abs=0.003)  # chi-squared with 2 degrees of freedom


def test_the_same_law_from_other_runs_agrees_and_one_worth_far_more_does_not(t5_with_draws: Law) -> None:
    same = as_setup(t5_with_draws, "a"), as_setup(t5_with_draws, "b"), as_setup(t5_with_draws, "c")
    alike = compare_laws(same)
    assert [row.setup for row in alike.laws] == [0, 1, 2]
    assert all(one.chance is not None and one.chance > 0.5 and one.spread == 0 for one in alike.agreement)
    worth_more = as_setup(t5_with_draws, "d", c_S=20.0)
    apart = compare_laws([*same, worth_more])
    assert all(one.chance is not None and one.chance < 0.01 and one.spread for one in apart.agreement)
    for index, one in enumerate(apart.agreement):
        assert one.span == (
            min(row.multipliers[index].value for row in apart.laws),
            max(row.multipliers[index].value for row in apart.laws),
        )


def test_fits_of_the_same_runs_and_borrowed_effects_are_no_further_setups() -> None:
    published, refit = load_law("frantar2023-t5-c4"), load_law("frantar2023-t5-c4-refit")
    found = compare_laws([published, refit, load_law("frantar2023-t5-c4-coupled")])
    assert [row.setup for row in found.laws] == [0, 0, 0]
    assert {one.setups for one in found.agreement} == {1}
    assert found.laws[0].multipliers[0].value == pytest.approx(1.59, abs=0.005)  # the paper's table
    mixed = compose(load_law("besiroglu2024-chinchilla"), refit, name="mixed").law
    found = compare_laws([refit, mixed])
    assert [row.borrowed for row in found.laws] == [False, True]
    assert {one.setups for one in found.agreement} == {1}


def test_calibrations_over_the_same_grid_are_setups_of_their_own() -> None:
    gpt, bert = (load_law(str(ROOT / f"calibration/{name}-stdlib-cpu/law.yaml")) for name in ("gpt", "bert"))
    assert gpt.range == bert.range
    assert not same_runs(gpt, bert)


def test_one_law_or_a_dense_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LawError, match="two or more laws"):
        compare_laws([load_law("frantar2023-t5-c4")])
    assert run(["laws", "compare", "frantar2023-t5-c4", "hoffmann2022-chinchilla"]) == 2
    assert "dense only" in capsys.readouterr().err
