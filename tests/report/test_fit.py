"""What people read at the end of `sparseplan fit`: a verdict that its runs bear out, and a command that answers."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.calibration.write_up import Conclusion
from sparseplan.cli import run
from sparseplan.common.console import open_console
from sparseplan.fit.fit_table import FitJob, FitResult, fit_runs
from sparseplan.laws.forms.frantar2023 import loss
from sparseplan.report.calibration import print_conclusion
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.tables import TRUTH, Grid, changed, simulated, write


def fitted(runs: Runs) -> FitResult:
    return fit_runs(runs, FitJob(draws=0, starts=16, schedule=Schedule()))


def fit_command(runs: Runs, folder: Path, *options: str) -> list[str]:
    table = write(runs, folder / "runs.csv")
    return ["fit", str(table), "--bootstrap", "0", "--schedule", "cubic:25%..75%", *options]


def test_a_good_fit_says_how_good_and_the_command_that_it_names_plans_with_the_law(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(fit_command(simulated(), tmp_path, "--out", "my team.yaml", "--name", "team")) == 0
    verdict, following = capsys.readouterr().out.splitlines()[-2:]
    found = re.fullmatch(r"Good fit: typical error (0\.\d+)%, 60 runs\. Written to my team\.yaml\.", verdict)
    assert found is not None, verdict
    # Half of normal errors lie within 0.67 standard deviations: 0.2 % of the 0.3 % that the table was made with.
    assert float(found[1]) == pytest.approx(100 * 0.6745 * 0.003, rel=0.4)
    command = shlex.split(following.removeprefix("Next: "))
    assert command[:4] == ["sparseplan", "optimal", "--law", "my team.yaml"]
    # The dearest run: 5.4e8 dense parameters on 2e10 tokens at S = 0, and less where zeros are free.
    assert float(command[5]) == pytest.approx(6 * 5.4e8 * 2e10, rel=0.01)
    assert run(command[1:]) == 0
    assert "(law team" in " ".join(capsys.readouterr().out.split())


def test_where_a_law_has_no_size_for_the_budget_the_next_command_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = simulated()
    tiny = Runs(
        sparsity=runs.sparsity,
        nonzero_params=runs.nonzero_params,
        data_seen=runs.data_seen / 1e16,  # budgets for which the law wants less than one parameter
        loss=runs.loss,
        family=runs.family,
        run_id=runs.run_id,
    )
    assert run(fit_command(tiny, tmp_path, "--out", "tiny.yaml")) == 0
    following = capsys.readouterr().out.splitlines()[-1]
    assert "--params" in following
    assert run(["predict", "--law", "tiny.yaml", "--params", "1M", "--data", "1", "--sparsity", "0"]) == 0


@pytest.mark.parametrize(
    "runs",
    [
        changed(simulated(), 7, loss=1.5),  # one slip
        simulated(Grid(noise=0.03)),
    ],
    ids=["outlier", "noise"],
)
def test_a_fit_with_something_against_it_is_not_called_good(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fit_command(runs, tmp_path)) == 0
    out = capsys.readouterr().out
    assert "Good fit" not in out
    assert re.search(r"^Converged: typical error \d", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("grid", "more", "says"),
    [
        (
            Grid(lengths=(6e9,)),
            Grid(),
            "the runs all have the same length. Train two more lengths, and a_D, b_D, c can be fitted",
        ),
        (
            Grid(sparsities=(0.0, 0.5)),
            Grid(sparsities=(0.0, 0.5, 0.75)),
            "the runs have only two sparsities. Train one more sparsity, and a_S, b_S, c_S can be fitted",
        ),
    ],
    ids=["one length", "two sparsities"],
)
def test_what_a_table_lacks_is_named_by_what_to_train_and_training_it_helps(
    grid: Grid, more: Grid, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fit_command(simulated(grid), tmp_path, "--out", str(tmp_path / "law.yaml"))) == 0
    out = capsys.readouterr().out
    end = " ".join(out[out.index("No law to plan with") :].split())
    assert end.startswith(f"No law to plan with (too few levels): {says}")
    assert end.endswith("plans with it give numbers and no verdict.")
    assert "Next:" not in out
    assert out.count("too few levels") == 1
    assert fitted(simulated(more)).answer.status == "converged"


def test_whether_the_exponents_hold_is_a_question_with_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    plain: dict[str, Any] = {"form": "frantar2023", "schedule": "cubic:25%..75%"}
    out = " ".join(str(sp.fit(_columns(simulated()), draws=20, starts=8, **plain)).split())
    assert re.search(r"Same size exponent \(b_N\) at all sparsities\? Yes, as far as these runs can tell \(p = 0", out)
    straight = simulated()
    S, N = straight.sparsity, straight.nonzero_params
    size_term = loss(TRUTH, S, N, straight.data_seen) - loss(TRUTH, S, 1e30, straight.data_seen)
    bent = straight.loss + size_term * ((N / 1e8) ** (-0.03 * np.log1p(-S)) - 1)  # sparser: size helps less
    out = " ".join(str(sp.fit(_columns(straight) | {"loss": bent}, draws=40, starts=8, **plain)).split())
    assert re.search(r"Same size exponent \(b_N\) at all sparsities\? No \(p = 0\.0", out)


def test_a_calibration_that_did_not_converge_names_no_plan(capsys: pytest.CaptureFixture[str]) -> None:
    poor = fitted(simulated().take(np.array([0, 7, 14, 23, 31, 42, 58])))
    print_conclusion(open_console(), Conclusion(result=poor, limits=[], next_command=None, written=True), Path("c"))
    out = " ".join(capsys.readouterr().out.split())
    assert "7 runs, too few levels: there are 7 runs for 7 coefficients" in out
    assert out.endswith("No law to plan with (too few levels): plans with it give numbers and no verdict.")
    assert "Next:" not in out


def _columns(runs: Runs) -> dict[str, np.ndarray]:
    return {
        "sparsity": runs.sparsity,
        "nonzero_params": runs.nonzero_params,
        "data_seen": runs.data_seen,
        "loss": runs.loss,
    }
