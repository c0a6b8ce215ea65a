"""The table of several plans, as a person reads it."""

from pathlib import Path

import pytest

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.common.units import format_loss, format_ratio, format_sparsity
from sparseplan.laws.file import law_text, load_law

LAWS = "frantar2023-t5-c4-refit,frantar2023-vit-jft-coupled,wu2026-llama-c4"


def printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert run(["optimal", *words]) == 0
    return capsys.readouterr().out.splitlines()


def cells(lines: list[str], start: str) -> list[list[str]]:
    return [line.split() for line in lines if line.startswith(start) and line[0] != "!"]


@pytest.mark.parametrize(
    "words",
    [
        ["--flops", "1e18..1e24"],
        ["--flops", "1e22", "--law", LAWS],
        ["--flops", "1e22,1e24", "--law", LAWS, "--cost", "sparse,dense,h100", "--pattern", "unstructured,2:4"],
        ["--loss", "2.6", "--law", "wu2026-llama-c4,hoffmann2022-chinchilla", "--explain"],
        ["--flops", "1e22", "--law", LAWS, "--objective", "point", "--params", "7B", "--max-data", "1T", "--explain"],
    ],
)
def test_the_table_fits_80_columns(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, printed(words, capsys))) <= 80


def test_a_row_shows_what_the_answer_says(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(["--flops", "4e19,1e21", "--cost", "sparse,dense", "--params", "80M"], capsys)
    header = cells(lines, "budget")[0]
    assert header == ["budget", "cost", "S", "90%", "interval", "N", "D", "loss", "gain"]
    rows = [line.split() for line in lines if line.startswith(("4e19 ", "1e21 "))]
    for row, answer in zip(rows, sp.plans("4e19,1e21", cost="sparse,dense", params="80M"), strict=True):
        assert row[2].lstrip("~") == format_sparsity(answer.plan.sparsity)
        assert row[-2] == format_loss(answer.plan.loss)
        # Dense compute for the same loss over the plan's.
        comparison = answer.comparison
        assert row[-1] == format_ratio(comparison.dense_flops_any_size / answer.plan.train_flops)
        assert row[2].startswith("~") == any(one.of == "plan" for one in answer.extrapolation)
    assert {row[2][0] == "~" for row in rows} == {True, False}
    text = " ".join(lines)
    assert "~: the plan lies outside what the law's runs covered." in text
    assert "size 80.0M" not in text
    assert "80.0M non-zero" in text


def test_only_what_varies_has_a_column_and_the_rest_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(["--flops", "1e22", "--law", LAWS], capsys)
    assert cells(lines, "law ")[0][:2] == ["law", "S"]  # three laws in one table
    assert [line.split()[0] for line in lines if line.startswith(tuple(LAWS.split(",")))] == LAWS.split(",")
    assert lines[0].startswith("3 plans: 1e22 FLOPs, if zeros cost nothing, unstructured")
    text = " ".join(lines)
    assert "The laws predict different losses: compare sparsities and gains between laws, not losses." in text
    one_law = " ".join(printed(["--flops", "1e21,1e22"], capsys))
    assert "law frantar2023-t5-c4-refit, if zeros cost nothing" in one_law
    assert "different losses" not in one_law


def test_what_has_no_room_in_a_column_is_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(["--flops", "1e21,1e22", "--law", LAWS, "--cost", "sparse,dense"], capsys)
    assert [line for line in lines if line.startswith("law ")] == [f"law {name}" for name in LAWS.split(",")]
    assert len(cells(lines, "1e2")) == 12


def test_laws_of_one_name_are_told_apart_by_their_hashes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    law = load_law("frantar2023-t5-c4")
    (tmp_path / "a.yaml").write_text(law_text(law), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(law_text(law).replace("0.651", "0.652"), encoding="utf-8")
    lines = printed(["--flops", "1e20", "--law", f"{tmp_path}/a.yaml,{tmp_path}/b.yaml"], capsys)
    rows = cells(lines, "frantar2023-t5-c4 ")
    assert len({tuple(row[:2]) for row in rows}) == len(rows) == 2


def test_a_loss_to_reach_shows_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(["--loss", "1.7", "--cost", "sparse,dense"], capsys)
    assert cells(lines, "cost")[0] == ["cost", "S", "90%", "interval", "N", "D", "FLOPs", "gain"]
    assert lines[0].startswith("2 plans: loss 1.7, law")


def test_every_kind_of_warning_is_counted_and_explain_shows_each(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--flops", "1e18..1e22", "--params", "80M"]
    short, long = printed(words, capsys), printed([*words, "--explain"], capsys)
    found = sp.plans("1e18..1e22", params="80M")
    warned = [[one.message for one in answer.warnings] for answer in found]
    assert sum(line.startswith("! ") for line in short) == 2
    assert sum(line.startswith("! ") for line in long) == len({message for some in warned for message in some})
    assert "more with --explain" in " ".join(short)
    assert "more with" not in " ".join(long)
    beyond = sum(
        any(one.code == "extrapolation" for one in answer.warnings) for answer in sp.plans("1e18..1e22", params="80M")
    )
    assert 0 < beyond < len(warned)
    assert f"of this kind: {beyond} of {len(warned)} plans" in " ".join(line.strip() for line in short)


def test_markdown_has_every_column_and_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(["--flops", "1e21,1e22", "--markdown"], capsys)
    head, rule, *rows = [line for line in lines if line.startswith("|")]
    assert head == "| budget | law | cost | pattern | S | 90% interval | N | D | loss | gain |"
    assert set(rule) == set("| -")
    assert [row.count("|") for row in rows] == [11, 11]
    assert rows[0].startswith("| 1e21 | frantar2023-t5-c4-refit | sparse | unstructured | ~49.4% |")
    assert "gain: compute that the best dense model" in lines[-1]
    one = printed(["--flops", "1e21", "--markdown"], capsys)
    assert [line for line in one if line.startswith("|")] == [head, rule, rows[0]]
