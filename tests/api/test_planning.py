"""The front door says what the commands say, and names arguments in its errors."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.cli.flags import FLAGS, in_flags
from sparseplan.errors import HardwareError, LawError, PatternError, PlanError, QuantityError
from sparseplan.laws.file import law_text
from tests.helpers.same import assert_same


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["--flops", "1e23"], {"flops": 1e23}),
        (["--flops", "5e19", "--params", "85M"], {"flops": "5e19", "params": "85M"}),
        (
            ["--flops", "1e21", "--pattern", "n:4", "--max-sparsity", "60%", "--cost", "dense"],
            {"flops": 1e21, "pattern": "n:4", "max_sparsity": 0.6, "cost": "dense"},
        ),
        (
            ["--device-hours", "1k", "--cost", "h100", "--devices", "8", "--price", "2"],
            {"device_hours": 1000, "cost": "h100", "devices": 8, "price": 2},
        ),
        (
            ["--flops", "1e20", "--law", "frantar2023-vit-jft-refit"],
            {"flops": 1e20, "law": "frantar2023-vit-jft-refit"},
        ),
        (["--flops", "1e20", "--law", "hoffmann2022-chinchilla"], {"flops": 1e20, "law": "hoffmann2022-chinchilla"}),
    ],
)
def test_optimal_answers_as_the_command_does(
    words: list[str], arguments: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = sp.optimal(**arguments)  # type: ignore[arg-type]
    assert run(["optimal", *words, "--json"]) == 0
    assert_same(json.loads(capsys.readouterr().out), json.loads(in_flags(answer.to_json())))
    assert run(["optimal", *words]) == 0
    printed = capsys.readouterr().out
    # Names of arguments are options on the command line and plain words here; everything else is the same.
    flagless = [line for line in printed.splitlines() if not line.startswith(("!", "  "))]
    assert flagless
    assert set(flagless) <= set(str(answer).splitlines())
    assert "`" not in str(answer)


def test_predict_answers_as_the_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    prediction = sp.predict(params="85M", data="65B", sparsity="75%")
    assert run(["predict", "--params", "85M", "--data", "65B", "--sparsity", "75%", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(prediction.loss, rel=1e-9)
    assert str(prediction).startswith("loss 1.6329 nats (90% of the law's draws: 1.6178 .. 1.6455)")


def test_a_size_before_pruning_and_a_pattern_say_what_predict_needs(capsys: pytest.CaptureFixture[str]) -> None:
    by_pattern = sp.predict(dense_params="2B", data="40B", pattern="2:4")
    assert by_pattern == sp.predict(params="1B", data="40B", pattern="2:4", sparsity=0.5)
    assert run(["predict", "--dense-params", "2B", "--data", "40B", "--pattern", "2:4", "--json"]) == 0
    assert_same(json.loads(capsys.readouterr().out), json.loads(in_flags(by_pattern.to_json())))
    with pytest.raises(PlanError, match="or one `pattern`"):
        sp.predict(params="1B", data="40B", pattern="n:4")
    with pytest.raises(PlanError, match="found both"):
        sp.predict(params="1B", dense_params="2B", data="40B", sparsity=0)
    with pytest.raises(PlanError, match="found neither"):
        sp.predict(data="40B", sparsity=0)


def test_a_law_of_dense_models_needs_no_sparsity_and_speaks_of_none(capsys: pytest.CaptureFixture[str]) -> None:
    law = "besiroglu2024-chinchilla"
    prediction = sp.predict(params="1B", data="20B", law=law)
    assert prediction == sp.predict(params="1B", data="20B", sparsity=0, law=law)
    assert "\n1.00B parameters, 20.0B tokens.\n" in str(prediction)
    assert "\n85.0M parameters, dense, 65.0B tokens.\n" in str(sp.predict(params="85M", data="65B", sparsity=0))
    plan = sp.optimal(flops=1e21, law=law)
    assert {"only-dense", "dense-only"} & {one.code for one in plan.warnings} == {"dense-only"}
    assert "non-zero" not in str(plan)
    assert str(plan).count("parameters  ") == 1


def test_days_are_hours_of_every_device_and_money_may_have_its_sign() -> None:
    days = sp.optimal(days=30, devices="8*8", cost="H100", price="$2.50")
    hours = sp.optimal(device_hours=30 * 24 * 64, devices=64, cost="h100", price=2.5)
    assert_same(json.loads(days.to_json()), json.loads(hours.to_json()))
    assert days.device is not None
    assert days.device.wall_clock_hours == pytest.approx(30 * 24)


def test_a_law_in_the_place_of_a_built_in_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "frantar2023-t5-c4"
    before = sp.optimal(1e21, law=name)
    assert "shadowed" not in {warning.code for warning in before.warnings}
    (tmp_path / "mine.yaml").write_text(law_text(sp.load_law(name)).replace("c: 0.651", "c: 0.1"), encoding="utf-8")
    monkeypatch.setenv("SPARSEPLAN_LAWS", str(tmp_path))
    for found in (sp.optimal(1e21, law=name), sp.predict(params="1B", data="20B", sparsity=0, law=name)):
        first = found.warnings[0]
        assert first.code == "shadowed"
        assert str(tmp_path / "mine.yaml") in first.message
    by_path = sp.optimal(1e21, law=tmp_path / "mine.yaml")  # asked for by its path, it hides nothing
    assert "shadowed" not in {warning.code for warning in by_path.warnings}
    assert run(["laws", "list"]) == 0
    assert f"! {name} is the file {tmp_path / 'mine.yaml'}, in the place of" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_map_is_the_best_sparsity_of_single_answers() -> None:
    (chart,) = sp.sparsity_map(params=("10M", "1B"), flops=("1e20", "1e22"), points=3)
    for i, C in enumerate(chart.train_flops):
        for j, N in enumerate(chart.nonzero_params):
            single = sp.optimal(float(C), params=float(N)).plan.sparsity
            np.testing.assert_allclose(chart.sparsity[i, j], single, atol=1e-9)


def test_a_law_is_taken_by_name_or_as_an_object() -> None:
    law = sp.load_law("frantar2023-vit-jft")
    assert sp.load_law(law) is law
    assert_same(
        json.loads(sp.optimal(1e21, law=law).to_json()),
        json.loads(sp.optimal(1e21, law="frantar2023-vit-jft").to_json()),
    )


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({}, PlanError, "`flops`"),
        ({"flops": 1e20, "device_hours": 5}, PlanError, "found `flops` and `device_hours`"),
        ({"flops": "many"}, QuantityError, "`flops`: expected a number such as 7B"),
        ({"flops": -1}, QuantityError, "`flops`: expected a number above 0"),
        ({"flops": [1e20]}, QuantityError, "`flops`: expected a number, found"),
        ({"flops": 1e20, "max_sparsity": 75}, QuantityError, "`max_sparsity`"),
        ({"flops": 1e20, "pattern": "5:4"}, PatternError, "`pattern`"),
        ({"flops": 1e20, "cost": "h1000"}, HardwareError, "`cost`"),
        ({"flops": 1e20, "price": 2}, PlanError, "`price`: expected a device"),
        ({"flops": 1e20, "params": 7}, QuantityError, "did you mean 7B?"),
        ({"flops": 1e20, "params": 1000, "dense_params": 2000}, PlanError, "`params` or `dense_params`"),
        ({"flops": 1e20, "law": "hoffmann2022-chinchilla", "pattern": "unstructured"}, LawError, "`laws.compose`"),
        ({"flops": 1e20, "law": "hoffmann2022-chinchilla", "max_sparsity": 0.5}, LawError, "dense only"),
    ],
)
def test_a_mistake_names_its_argument(arguments: dict[str, object], error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        sp.optimal(**arguments)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_every_flag_of_the_table_is_a_flag_or_command_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    helps = ""
    for command in ("optimal", "predict", "contour", "fit", "next", "calibrate", "bench", "laws compose", "laws check"):
        assert run([*command.split(), "--help"]) == 0
        helps += capsys.readouterr().out
    for flag in FLAGS.values():
        if flag.startswith("--"):
            assert flag in helps, flag
        else:
            assert run([*flag.split()[1:], "--help"]) == 0
            capsys.readouterr()


def test_an_answer_shows_in_a_notebook_with_its_columns_kept() -> None:
    html = sp.optimal(1e23)._repr_html_()
    assert html.startswith("<pre>")
    assert "sparsity              49.4%    47.4% .. 50.6%          0%" in html


def test_importing_the_package_imports_none_of_its_rooms() -> None:
    code = "import sys, sparseplan; print(sorted(n for n in sys.modules if n[:11] == 'sparseplan.'), dir(sparseplan))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("['sparseplan.version'] ")
    assert "'optimal'" in out
