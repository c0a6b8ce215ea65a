"""Pictures of plans: the numbers that they show are those of the answers, and nothing over an edge or on each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.errors import PlanError
from sparseplan.figures.base import in_style
from sparseplan.figures.curve_figure import curve_figure
from sparseplan.figures.plans_figure import plans_figure
from sparseplan.laws.file import load_law
from sparseplan.laws.law import coefficient_draws, coefficients
from tests.figures.drawn import colliding, overflowing, words_of

T5, WU = "frantar2023-t5-c4-refit", "wu2026-llama-c4"


def several(width: str = "page", **asked: Any) -> Figure:
    return in_style(plans_figure)(sp.plans(**asked).plans, width)


def one(width: str = "page", **asked: Any) -> Figure:
    return in_style(curve_figure)(sp.optimal(curve=True, **asked), width)


def test_the_curve_is_the_loss_of_the_best_run_of_each_sparsity_and_the_plan_lies_at_its_lowest() -> None:
    answer = sp.optimal(1e20, params="80M", law=T5, curve=True)
    curve, theta = answer.curve, coefficients(load_law(T5))
    assert curve is not None
    S, losses = np.array(curve.sparsity), np.array(curve.value, dtype=float)
    by_hand = theta.loss(S, 80e6, 1e20 / (6 * 80e6 * (0.625 + 0.375 / (1 - S))))
    np.testing.assert_allclose(losses[1:], by_hand[1:], rtol=1e-12)
    np.testing.assert_allclose(np.array(curve.gap, dtype=float), losses - losses[0], atol=1e-12)
    assert answer.plan.loss <= losses.min()
    assert abs(S[losses.argmin()] - answer.plan.sparsity) < 0.03
    assert losses[0] == pytest.approx(answer.dense.loss)


def test_the_band_is_the_central_90_percent_of_the_draws() -> None:
    answer = sp.optimal(1e20, params="80M", law=T5, pattern="2:4", curve=True)
    draws = coefficient_draws(load_law(T5), "unstructured")
    assert draws is not None
    assert answer.curve is not None
    assert answer.curve.sparsity == [0.0, 0.5]
    losses = np.sort(np.ravel(draws.loss(0.5, 80e6, 1e20 / (6 * 80e6 * 1.375))))
    assert answer.curve.low is not None
    assert answer.curve.high is not None
    assert answer.curve.low[1] == pytest.approx(np.percentile(losses, 5), rel=1e-3)
    assert answer.curve.high[1] == pytest.approx(np.percentile(losses, 95), rel=1e-3)
    assert answer.curve.gap_high is not None
    assert answer.curve.gap_high[0] == pytest.approx(0.0, abs=1e-12)


def test_for_a_loss_the_curve_is_what_it_costs_and_never_below_the_plan() -> None:
    answer = sp.optimal(loss=1.7, params="60M", law=T5, inference_tokens="1T", inference="dense", curve=True)
    assert answer.curve is not None
    assert answer.curve.of == "flops"
    costs = np.array(answer.curve.value, dtype=float)
    assert answer.plan.total_flops is not None
    assert answer.plan.total_flops <= costs.min() * (1 + 1e-12)
    assert answer.plan.total_flops == pytest.approx(costs.min(), rel=1e-3)
    assert answer.curve.gap[0] == pytest.approx(1.0)
    assert sp.optimal(loss=1.7, law=T5).curve is None


@pytest.mark.parametrize(
    ("width", "asked"),
    [
        ("page", {"flops": 1e20}),
        ("column", {"flops": 1e20, "params": "80M", "pattern": "n:4", "cost": "h100"}),
        ("column", {"loss": 1.7, "params": "80M"}),
        pytest.param("column", {"loss": 1.7, "inference_tokens": "1T", "inference": "dense"}, marks=pytest.mark.slow),
        pytest.param("page", {"flops": 1e20, "law": WU, "unique_data": "1.3B"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_picture_of_one_plan_fits_and_says_what_it_shows(width: str, asked: dict[str, Any]) -> None:
    figure = one(width, **asked)
    assert overflowing(figure) == []
    assert colliding(figure) == []
    words = " ".join(" ".join(words_of(figure)).split())
    assert "What every sparsity" in words
    assert load_law(str(asked.get("law", T5))).name in words.replace("- ", "-")


@pytest.mark.parametrize(
    ("width", "asked"),
    [
        ("column", {"flops": "1e19,1e20,1e21", "params": "30M", "cost": ["sparse", "dense"], "law": [T5, WU]}),
        ("column", {"flops": 1e21, "law": [T5, WU], "cost": ["sparse", "dense"], "pattern": ["unstructured", "2:4"]}),
        ("page", {"flops": 1e21, "law": [T5, WU], "cost": ["sparse", "dense"], "pattern": ["unstructured", "2:4"]}),
        ("page", {"loss": 1.8, "cost": ["sparse", "dense"], "law": T5}),
        pytest.param(
            "page",
            {"flops": "1e20,1e21", "law": WU, "unique_data": "1.3B", "cost": ["sparse", "dense"]},
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_a_picture_of_several_plans_fits_and_no_words_cover_each_other(width: str, asked: dict[str, Any]) -> None:
    figure = several(width, **asked)
    assert overflowing(figure) == []
    assert colliding(figure) == []


def test_lines_go_through_the_plans_and_hollow_marks_are_those_outside_the_laws_runs() -> None:
    plans = sp.plans("1e18,1e19,1e20", params="30M", law=T5)
    figure = in_style(plans_figure)(plans.plans, "page")
    above, below = figure.axes
    line = above.lines[0]
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [100 * each.plan.sparsity for each in plans])
    gains = [1 / each.comparison.compute_ratio_any_size for each in plans]
    np.testing.assert_allclose(np.asarray(below.lines[0].get_ydata()), gains)
    outside = [any(far.of == "plan" for far in each.extrapolation) for each in plans]
    assert 0 < sum(outside) < len(outside)
    assert len(np.asarray(above.lines[1].get_xdata())) == sum(outside)
    assert above.get_xlim() == below.get_xlim()


def test_more_lines_than_colours_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    patterns = [f"{n}:16" for n in range(1, 12)]
    plans = sp.plans("1e20,1e21", law=T5, pattern=patterns)
    with pytest.raises(PlanError, match=r"`plot`: expected at most 8 lines in a picture, found 11"):
        plans.plot(tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
    plans = sp.plans(1e20, law=T5, pattern=patterns)  # rows, not lines
    plans.plot(tmp_path / "x.svg")
    assert (tmp_path / "x.svg").exists()


def test_the_command_draws_beside_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["optimal", "--flops", "1e20", "--plot", "one.pdf", "--width", "column"]) == 0
    said = capsys.readouterr()
    assert "wrote one.pdf" in said.err
    assert said.out.startswith("1e20 FLOPs: ")
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")
    for words, message in (
        (["--plot", "one.txt"], "expected a picture ending in"),
        (["--width", "page"], "--width: expected a picture to be that wide, as --plot"),
    ):
        assert run(["optimal", "--flops", "1e20", *words]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(PlanError, match="an answer with its curve"):
        sp.optimal(1e20).plot("x.png")
