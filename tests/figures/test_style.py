"""Pictures look the same wherever they are drawn, and print names as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sparseplan.cli import run
from sparseplan.figures.base import in_style, new_figure, save_figure

ROOT = Path(__file__).parents[2]


@in_style
def draw_text(text: str, path: Path) -> None:
    figure = new_figure(3.0, 2.0)
    figure.subplots().set_title(text)
    save_figure(figure, path)


def in_folder(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Draw a map in a process of its own, whose first import of matplotlib is in the folder."""
    command = [sys.executable, "-m", "sparseplan", "contour", "--points", "9", "--out", str(folder / "map.svg")]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", [r"$\frac{$", r"a $\alpha$ b", r"C:\new\table", "100 % & <b>"])
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_text_is_drawn_as_it_is_written_never_as_mathematics(name: str, suffix: str, tmp_path: Path) -> None:
    draw_text(name, tmp_path / f"x.{suffix}")
    if suffix == "svg":
        drawn = (tmp_path / "x.svg").read_text(encoding="utf-8")
        assert name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in drawn


def test_a_map_labels_its_decades_without_mathematics(tmp_path: Path) -> None:
    assert run(["contour", "--points", "9", "--out", str(tmp_path / "map.svg")]) == 0
    drawn = (tmp_path / "map.svg").read_text(encoding="utf-8")
    assert "mathdefault" not in drawn
    assert re.search(r">10¹⁸<", drawn)


@pytest.mark.parametrize(
    "rc", [b"figure.facecolor: red\nfont.size: 40\ntext.usetex: True\n", b"\xff\xfe nonsense", b"axes.grid: perhaps\n"]
)
def test_a_matplotlibrc_in_the_working_folder_changes_nothing(rc: bytes, tmp_path: Path) -> None:
    clean, marked = tmp_path / "clean", tmp_path / "marked"
    for folder in (clean, marked):
        folder.mkdir()
    (marked / "matplotlibrc").write_bytes(rc)
    done = in_folder(marked)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"wrote {marked / 'map.svg'}\n"
    assert in_folder(clean).returncode == 0
    assert (marked / "map.svg").read_bytes() == (clean / "map.svg").read_bytes()


def test_in_a_program_of_somebody_s_own_a_backend_that_there_is_not_is_one_clear_error(tmp_path: Path) -> None:
    program = "import sparseplan as sp; sp.sparsity_map(points=9)[0].save('map.svg')"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "no such thing"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "PlanError: drawing a picture: matplotlib refuses what MPLBACKEND" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_command_needs_no_backend_whatever_the_environment_says(tmp_path: Path) -> None:
    done = in_folder(tmp_path, MPLBACKEND="no such thing")
    assert done.returncode == 0, done.stderr
