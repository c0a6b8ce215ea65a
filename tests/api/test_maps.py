"""A map shows as a figure in a notebook, leaves matplotlib's settings alone, and says what is missing without it."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.errors import PlanError


@pytest.fixture(scope="module")
def chart() -> sp.SparsityMap:
    (one,) = sp.sparsity_map(points=8)
    return one


def test_a_map_shows_as_a_png_and_is_saved_by_suffix(chart: sp.SparsityMap, tmp_path: Path) -> None:
    assert chart._repr_png_().startswith(b"\x89PNG\r\n")
    for suffix, first in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        chart.save(tmp_path / f"map{suffix}")
        assert (tmp_path / f"map{suffix}").read_bytes().startswith(first)
    with pytest.raises(PlanError, match="expected a picture ending in"):
        chart.save(tmp_path / "map.txt")


def test_a_saved_map_is_the_picture_of_the_command(tmp_path: Path) -> None:
    (one,) = sp.sparsity_map(points=20)
    one.save(tmp_path / "ours.svg")
    assert run(["contour", "--points", "20", "--out", str(tmp_path / "theirs.svg")]) == 0
    ours, theirs = ((tmp_path / name).read_text(encoding="utf-8") for name in ("ours.svg", "theirs.svg"))
    number = r"-?\d+\.\d+"
    assert re.sub(number, "x", IDENTITY.sub("", ours)) == re.sub(number, "x", IDENTITY.sub("", theirs))
    here, there = ([float(at) for at in re.findall(number, IDENTITY.sub("", svg))] for svg in (ours, theirs))
    np.testing.assert_allclose(here, there, atol=0.01)


IDENTITY = re.compile(r"\b[a-z][0-9a-f]{10}\b|<dc:date>.*</dc:date>")
"""What matplotlib makes anew for each picture, or from its last digits."""


def test_drawing_leaves_the_settings_of_matplotlib_as_they_were(chart: sp.SparsityMap) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    chart._repr_png_()
    assert dict(mpl.rcParams) == before


def test_without_matplotlib_arrays_are_there_and_drawing_says_what_to_install(
    chart: sp.SparsityMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert np.all(np.isfinite(sp.sparsity_map(points=3)[0].sparsity))
    with pytest.raises(PlanError, match=r"needs matplotlib, found none\. Install it: pip install 'matplotlib"):
        chart._repr_png_()
    assert run(["contour", "--out", str(tmp_path / "map.png")]) == 2
    assert "pip install 'matplotlib" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_map_is_named_by_its_ends(chart: sp.SparsityMap) -> None:
    assert repr(chart).startswith("<SparsityMap of frantar2023-t5-c4-refit, sparse cost: 664k .. 8.49B non-zero")


def test_ends_in_the_wrong_order_name_their_argument() -> None:
    with pytest.raises(PlanError, match="`params`: expected a range from small to large"):
        sp.sparsity_map(params=("1B", "1M"), points=3)
