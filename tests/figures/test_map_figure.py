"""The picture of a map: what it says, that its points are the data, and that nothing runs over an edge."""

import re
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.figures import palette
from sparseplan.figures.base import in_style
from sparseplan.figures.map_figure import draw_sparsity_maps, map_figure
from tests.figures.drawn import colliding, overflowing, words_of

GPT = Path(__file__).parents[2] / "calibration" / "gpt-stdlib-cpu"


def drawn(width: str = "page", **options: Any) -> Figure:
    return in_style(map_figure)(sp.sparsity_map(points=options.pop("points", 25), **options), width)


ODD: list[dict[str, Any]] = [
    {},
    {"cost": ["sparse", "dense", "h100"], "plan_flops": 1e21},
    {"law": "frantar2023-vit-jft", "cost": "dense"},
    {"cost": "dense", "flops": (1e14, 1e16), "params": ("1B", "10B")},  # all dense
    {"flops": (1e22, 1e24), "params": ("1M", "10M")},  # all at the cap
    {"flops": (1e20, 3e20), "params": ("200M", "300M")},  # less than a decade
    {"pattern": "n:4", "plan_flops": 1e20},
    {"law": str(GPT / "law.yaml"), "runs": str(GPT / "runs.csv"), "max_sparsity": 0.99},
]


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("options", ODD)
def test_no_word_runs_over_the_edge_or_another(options: dict[str, Any], width: str) -> None:
    figure = drawn(width, **options)
    assert overflowing(figure) == []
    assert colliding(figure) == []
    assert figure.get_figwidth() == {"page": 6.8, "column": 3.3}[width]


def test_names_as_long_as_may_be_run_over_no_edge() -> None:
    law = sp.load_law("frantar2023-t5-c4")
    endless = msgspec.structs.replace(law, name="n" * 100, description="wide " * 40 + "W" * 300, loss="nats " * 100)
    for width in ("page", "column"):
        assert overflowing(drawn(width, law=endless)) == []


def test_a_map_says_its_system_its_pattern_its_cost_its_loss_and_where_it_is_extrapolated() -> None:
    text = " ".join(words_of(drawn())).replace("\n", " ")
    for said in (
        "Optimal sparsity, unstructured; zeros cost nothing",
        "T5 encoder-decoders on C4, span corruption",
        "by the law frantar2023-t5-c4-refit",
        "Loss: span corruption by an encoder-decoder on C4, nats per target token.",
        "Faded: extrapolated, the plan lies outside the span of the law's runs (1.33M .. 84.9M parameters, "
        "16.4B .. 65.5B tokens, 0% .. 87.5% sparse).",
        "Sparsity stops at 87.5%, the sparsest of the law's runs.",
        "sparsity begins to pay",
        "compute-optimal dense size",
        "inside the span of the law's runs",
        "dense is best",
        "held at 87.5%, the sparsest run",
        *("25%", "50%", "75%", "87.5%"),
    ):
        assert said in text, said


def test_regions_are_named_where_there_is_one_alone() -> None:
    assert "dense is best" in words_of(drawn(**ODD[3]))
    assert any("held at 87.5%" in words for words in words_of(drawn(**ODD[4])))
    assert {"25%", "50%", "75%"} <= set(words_of(drawn(pattern="n:4")))
    assert "2:4 is best" in words_of(drawn(cost="h100"))


def test_a_law_that_does_not_say_its_loss_or_its_range_is_not_made_to() -> None:
    law = sp.load_law("frantar2023-t5-c4")
    silent = msgspec.structs.replace(law, loss="", range=type(law.range)())
    text = " ".join(words_of(drawn(law=silent))).replace("\n", " ")
    assert "Loss: its file doesn't say which." in text
    assert "The law doesn't say what its runs covered." in text
    assert "Faded" not in text


def test_the_runs_are_drawn_where_they_are_coloured_by_their_sparsity() -> None:
    (chart,) = sp.sparsity_map(str(GPT / "law.yaml"), runs=str(GPT / "runs.csv"), points=20)
    assert chart.runs is not None
    figure = in_style(map_figure)([chart], "page")
    drawn_points: list[Any] = list(figure.axes[0].collections)
    (points,) = [one for one in drawn_points if len(one.get_offsets()) == len(chart.runs.sparsity)]
    expected = sorted(zip(chart.runs.nonzero_params, chart.runs.train_flops, chart.runs.sparsity, strict=True))
    colors = [to_hex(color) for color in points.get_facecolor()]
    found = sorted((x, y, color) for (x, y), color in zip(points.get_offsets(), colors, strict=True))
    for (N, C, S), (x, y, color) in zip(expected, found, strict=True):
        assert (x, y) == (pytest.approx(N), pytest.approx(C))
        assert color == palette.sparsity_color(float(S))


def test_runs_are_called_the_law_s_only_where_its_file_says_they_are(tmp_path: Path) -> None:
    own = words_of(drawn(law=str(GPT / "law.yaml"), runs=str(GPT / "runs.csv")))
    other = tmp_path / "mine.csv"
    other.write_text("sparsity,nonzero_params,data_seen,loss\n0,2e4,5e5,2\n", encoding="utf-8")
    others = words_of(drawn(law=str(GPT / "law.yaml"), runs=str(other)))
    assert "the law's runs, coloured by their sparsity" in own
    assert "runs of mine.csv, coloured by their sparsity" in others
    assert not any("(dense)" in words for words in own)


def test_the_star_stands_on_the_plan() -> None:
    figure = drawn(plan_flops=1e23)
    plan = sp.optimal(1e23).plan
    (star,) = [line for line in figure.axes[0].get_lines() if line.get_marker() == "*"]
    assert np.asarray(star.get_xydata())[0] == pytest.approx([plan.nonzero_params, 1e23], rel=1e-9)
    assert "plan for 1e23 FLOPs: 49.4% sparse, 40.9B non-zero (size free)" in words_of(figure)


def test_what_is_extrapolated_is_faded_and_the_rest_is_not() -> None:
    figure = drawn(points=60)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    axes = figure.axes[0]

    def color_at(N: float, C: float) -> str:
        x, y = axes.transData.transform((N, C))
        red, green, blue = (float(one) / 255 for one in pixels[len(pixels) - 1 - round(y), round(x), :3])
        return to_hex((red, green, blue))

    inside, outside = (5e6, 2.2e18), (5e6, 8e19)
    for (N, C), fade in ((inside, False), (outside, True)):
        answer = sp.optimal(C, params=N)
        assert any(one.of == "plan" for one in answer.extrapolation) == fade
        color = palette.sparsity_color(answer.plan.sparsity)
        expected = palette.faded(color) if fade else color
        # Bands of colour are an eighth of a halving wide: a few steps of 256.
        off = np.abs(np.array(palette._rgb(color_at(N, C))) - np.array(palette._rgb(expected)))
        assert off.max() <= 12, (color_at(N, C), expected)


def test_the_palette_darkens_with_sparsity_so_that_it_reads_without_colour() -> None:
    grey = [palette.lightness(palette.sparsity_color(S)) for S in np.linspace(0.01, 0.9375, 50)]
    assert np.all(np.diff(grey) < 0.0)
    faint = [palette.lightness(palette.faded(palette.sparsity_color(S))) for S in np.linspace(0.01, 0.9375, 50)]
    assert np.all(np.diff(faint) < 0.0)
    # Every ink is readable on its cell: the least contrast that WCAG asks for is 4.5.
    for S in np.linspace(0.0, 0.95, 40):
        for color in (palette.sparsity_color(S), palette.faded(palette.sparsity_color(S))):
            light, dark = sorted((palette.lightness(color), palette.lightness(palette.ink_on(color))), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_picture_has_300_dots_per_inch_at_a_journal_s_width(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    assert run(["contour", "--points", "9", "--width", "column", "--out", str(path)]) == 0
    (pixels,) = struct.unpack(">I", path.read_bytes()[16:20])
    assert pixels == round(300 * 3.3)


def test_words_of_a_vector_picture_are_words(tmp_path: Path) -> None:
    draw_sparsity_maps(sp.sparsity_map(points=20, plan_flops=1e20), tmp_path / "map.svg")
    svg = (tmp_path / "map.svg").read_text(encoding="utf-8")
    for words in ("dense is best", "sparsity begins to pay", "training FLOPs C", "75%"):
        assert re.search(rf">{words}<", svg), words
