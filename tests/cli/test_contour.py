"""Claims about maps at the command line: pictures, tables, marks, colours."""

import csv
import json
import re
from pathlib import Path

import pytest

from sparseplan.cli import run
from tests.helpers.commands import on_a_terminal, sparseplan


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_contour_writes_each_kind_of_picture(suffix: str, start: bytes, tmp_path: Path) -> None:
    target = tmp_path / f"map.{suffix}"
    assert run(["contour", "--points", "30", "--out", str(target)]) == 0
    assert target.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [target]


def test_contour_writes_the_grid_as_csv(tmp_path: Path) -> None:
    target = tmp_path / "grid.csv"
    assert run(["contour", "--points", "3", "--flops", "1e18..1e22", "--out", str(target)]) == 0
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert sorted({float(row["train_flops"]) for row in rows}) == pytest.approx([1e18, 1e20, 1e22])
    assert all(0 <= float(row["sparsity"]) < 1 for row in rows)


def test_contour_marks_what_is_extrapolated_and_what_is_held_at_the_cap_in_csv_json_and_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["contour", "--points", "5", "--flops", "1e17..1e21", "--params", "2M..200M"]
    assert run([*command, "--out", str(tmp_path / "grid.csv")]) == 0
    with (tmp_path / "grid.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert run([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    (found,) = answer["maps"]
    assert (answer["format"], answer["max_sparsity"], answer["pattern"]) == ("sparseplan-map/1", 0.875, "unstructured")
    assert run(command) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split()[1:] for line in reversed(lines[3:8])]
    for i, C in enumerate(answer["train_flops"]):
        for j, N in enumerate(answer["nonzero_params"]):
            row = rows[5 * i + j]
            assert (float(row["train_flops"]), float(row["nonzero_params"])) == (C, N)
            assert float(row["sparsity"]) == found["sparsity"][i][j]
            assert row["extrapolated"] == json.dumps(found["extrapolated"][i][j])
            assert row["held_at_cap"] == json.dumps(found["held_at_cap"][i][j])
            assert cells[i][j].startswith("~") == found["extrapolated"][i][j]
            planned = json.loads(sparseplan("optimal", "--flops", str(C), "--params", str(N), "--json").stdout)
            assert found["sparsity"][i][j] == pytest.approx(planned["plan"]["sparsity"], abs=1e-9)
            assert found["extrapolated"][i][j] == any(one["of"] == "plan" for one in planned["extrapolation"])
    marks = {mark for row in found["extrapolated"] for mark in row} | {
        mark for row in found["held_at_cap"] for mark in row
    }
    assert marks == {True, False}


def test_a_map_on_a_terminal_has_coloured_cells_and_none_where_piped(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["contour", "--points", "4", "--plan-flops", "1e20"]) == 0
    piped = capsys.readouterr().out
    printed = on_a_terminal(80, "contour", "--points", "4", "--plan-flops", "1e20")
    assert "\x1b" not in piped
    # Background colours of 256 or of all.
    assert len(set(re.findall(r"48;(?:2;\d+;\d+;\d+|5;\d+)", printed))) >= 4
    assert "Plan for 1e20 FLOPs: 49.4% sparse, 549M non-zero (size free)." in piped
    assert all(len(line) <= 80 for line in piped.splitlines())
