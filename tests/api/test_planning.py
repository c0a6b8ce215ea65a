"""The front door says what the commands say, and names arguments in its errors."""

import json
import subprocess
import sys

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.cli.flags import FLAGS, in_flags
from sparseplan.errors import HardwareError, LawError, PatternError, PlanError, QuantityError
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
    assert str(prediction).startswith("loss 1.6329 nats (90% interval 1.6178 .. 1.6455)")


def test_a_map_is_the_best_sparsity_of_single_answers() -> None:
    (chart,) = sp.sparsity_map(params=("10M", "1B"), flops=("1e20", "1e22"), points=3)
    for i, C in enumerate(chart.train_flops):
        for j, N in enumerate(chart.nonzero_params):
            single = sp.optimal(float(C), params=float(N)).comparison.uncapped_sparsity
            assert single is not None
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
        ({"flops": 1e20, "device_hours": 5}, PlanError, "found both"),
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
