"""Several plans at once: each is the one of `optimal`, and what can't be asked is one clear error."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.cli.flags import in_flags
from sparseplan.errors import LawError, PlanError, QuantityError, SparseplanError
from tests.helpers.same import assert_same

LAWS = ["frantar2023-t5-c4-refit", "wu2026-llama-c4"]


def test_every_plan_is_the_one_that_optimal_gives_in_the_order_asked_for() -> None:
    found = sp.plans([1e21, "1e22"], law=LAWS, cost="sparse,dense", pattern=["unstructured", "n:4"], params="1B")
    asked = [
        {"flops": C, "law": law, "cost": cost, "pattern": pattern}
        for C in (1e21, 1e22)
        for law in LAWS
        for cost in ("sparse", "dense")
        for pattern in ("unstructured", "n:4")
    ]
    assert len(found) == len(asked) == 16
    for answer, one in zip(found, asked, strict=True):
        alone = sp.optimal(params="1B", **one)  # type: ignore[arg-type]
        assert_same(json.loads(answer.to_json()), json.loads(alone.to_json()))


def test_a_law_that_stands_before_a_built_in_one_is_warned_of_as_when_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wu2026-llama-c4.yaml").write_text(
        (Path(sp.__file__).parent / "builtin" / "laws" / "wu2026-llama-c4.yaml").read_text(encoding="utf-8")
    )
    monkeypatch.setenv("SPARSEPLAN_LAWS", str(tmp_path))
    first, second = sp.plans(1e21, law=LAWS)
    assert "shadowed" not in {one.code for one in first.warnings}
    assert second.warnings == sp.optimal(1e21, law=LAWS[1]).warnings
    assert "shadowed" in {one.code for one in second.warnings}


def test_numbers_lists_text_and_arrays_ask_the_same() -> None:
    wanted = [answer.plan for answer in sp.plans([1e21, 2e21, 5e21, 1e22])]
    for flops in ("1e21..1e22", "1e21,2e21,5e21..1e22", ["1e21", "2e21..1e22"], np.array([1e21, 2e21, 5e21, 1e22])):
        assert [answer.plan for answer in sp.plans(flops)] == wanted
    assert sp.plans(1e21).plans == [sp.optimal(1e21)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--flops", "1e21,"], "expected a value on both sides of every comma, found '1e21,'"),
        (["--flops", "1e21,,1e22"], "on both sides of every comma"),
        (["--flops", "1e24..1e21"], "expected a range from small to large, found '1e24..1e21'"),
        (["--flops", "1e21..1e22..1e23"], "expected a range such as"),
        (["--flops", "1e21,x"], "expected a number such as 7B, 1.5T, 300M or 1e23, found 'x'"),
        (["--flops", "1e21,1e21"], "--flops: expected each value once, found 1e21 twice"),
        (["--flops", "1e21", "--law", LAWS[0], "--law", LAWS[0]], f"--law: expected each value once, found {LAWS[0]}"),
        (["--flops", "1e21", "--law", f"{LAWS[0]},frantar2023-t5"], "no law is called 'frantar2023-t5'"),
        (["--flops", "1e21", "--cost", "sparse,h10"], "did you mean 'h100'"),
        (["--flops", "1e21", "--pattern", "2:4,5:4"], "n counts the weights that are kept"),
        (["--flops", "1e-200..1e200"], "expected at most 1,000 plans at once, found 1,201: 1,201 --flops"),
        (
            ["--flops", "1e-100..1e100", "--cost", "sparse,dense"],
            "found 1,202: 601 --flops x 2 --cost",
        ),
        (
            ["--flops", "1e21,1e22", "--law", f"{LAWS[0]},hoffmann2022-chinchilla", "--pattern", "2:4"],
            "Asked of 1e21 FLOPs, law hoffmann2022-chinchilla.",
        ),
        (["--loss", "0.6", "--law", f"wu2026-llama-c4,{LAWS[0]}"], "the floor of the law wu2026-llama-c4"),
        (["--flops", "1e21,1e22", "--markdown", "--json"], "expected --markdown or --json, found both"),
        (["--flops", "1e21,1e22", "--csv", "nowhere/plans.csv"], "--csv nowhere/plans.csv: there is no folder nowhere"),
    ],
)
def test_what_cannot_be_asked_is_one_message(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["optimal", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"flops": []}, PlanError, "`flops`: expected at least one value, found none"),
        ({"flops": [1e21, "1e22,"]}, QuantityError, "`flops`: expected a value on both sides"),
        ({"flops": [1e21, -1.0]}, QuantityError, "`flops`: expected a number above 0"),
        ({"flops": 1e21, "law": "gone,wu2026-llama-c4"}, LawError, "no law is called 'gone'"),
        ({"flops": [1e21, 1e22], "params": 3}, QuantityError, "`params`: expected at least 100 parameters"),
    ],
)
def test_errors_in_python_name_the_argument(
    arguments: dict[str, object], kind: type[SparseplanError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        sp.plans(**arguments)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_json_holds_the_answers_and_one_question_keeps_its_own_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["optimal", "--flops", "1e21,1e22", "--cost", "sparse", "--cost", "dense", "--json"]) == 0
    several = json.loads(capsys.readouterr().out)
    assert several["format"] == "sparseplan-plans/1"
    assert [one["format"] for one in several["plans"]] == ["sparseplan-plan/1"] * 4
    assert_same(several, json.loads(in_flags(sp.plans("1e21,1e22", cost=["sparse", "dense"]).to_json())))
    assert run(["optimal", "--flops", "1e22", "--cost", "sparse", "--json"]) == 0
    assert_same(json.loads(capsys.readouterr().out), several["plans"][2])


def test_a_comma_between_thousands_and_one_in_the_name_of_a_file_separate_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sp.plans("100,000,000,000,000,000,000").plans == [sp.optimal(1e20)]
    monkeypatch.chdir(tmp_path)
    built_in = Path(sp.__file__).parent / "builtin" / "laws" / "wu2026-llama-c4.yaml"
    Path("team,v2.yaml").write_text(built_in.read_text(encoding="utf-8"), encoding="utf-8")
    assert [answer.law.name for answer in sp.plans(1e21, law="team,v2.yaml")] == ["wu2026-llama-c4"]


def test_the_file_has_a_row_a_plan_with_every_digit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plans.csv"
    words = ["optimal", "--flops", "1e21,1e22", "--law", ",".join(LAWS), "--csv", str(out)]
    assert run(words) == 0
    assert capsys.readouterr().err == f"wrote {out}\n"
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = sp.plans([1e21, 1e22], law=LAWS)
    for row, answer in zip(rows, found, strict=True):
        assert (row["law"], row["cost"], row["pattern"]) == (answer.law.name, "sparse", "unstructured")
        for name in ("sparsity", "nonzero_params", "dense_params", "data_seen", "loss", "train_flops"):
            assert float(row[name]) == getattr(answer.plan, name)
        assert float(row["compute_gain"]) == pytest.approx(1 / answer.comparison.compute_ratio_any_size, rel=1e-12)
        low = "" if answer.intervals is None else repr(answer.intervals.sparsity[0])
        assert row["sparsity_low"] == low
        assert row["loss_asked"] == row["total_flops"] == ""
    assert {row["sparsity_low"] == "" for row in rows} == {True, False}
    assert run(words) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert run(["optimal", "--flops", "1e21", "--csv", str(out), "--force"]) == 0  # one answer is one row
    printed = capsys.readouterr().out
    assert run(["optimal", "--flops", "1e21"]) == 0
    assert capsys.readouterr().out == printed
    assert len(out.read_text(encoding="utf-8").splitlines()) == 2
