"""What a user sees of tables that are not made for us: dense ones, a tracker's, histories; in fit, next and check."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.laws.file import read_law

HEADER = "run,step,params,tokens,val_loss,optimizer"


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """A history: four sizes, four lengths, each with an earlier row; and one run with another optimizer."""
    rng, lines = np.random.default_rng(0), [HEADER]
    for N in (1e7, 3e7, 1e8, 3e8):
        for D in (1e9, 3e9, 1e10, 3e10):
            loss = (1.7 + 400 / N**0.34 + 2000 / D**0.37) * np.exp(0.002 * rng.standard_normal())
            name = f"r{len(lines)}"
            lines += [f"{name},1,{N:g},{D / 2:g},{loss + 0.3:.5f},adamw", f"{name},2,{N:g},{D:g},{loss:.5f},adamw"]
    lines.append("x,2,1e7,1e9,9.0,sgd")
    path = tmp_path / "ladder.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


READ = [
    *("--column", "nonzero_params=params", "--column", "data_seen=tokens", "--column", "loss=val_loss"),
    *("--last-per", "run", "--where", "optimizer=adamw"),
]


def test_a_dense_history_is_fitted_as_it_is_and_the_report_reads_back_what_was_made_of_it(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law = tmp_path / "dense.yaml"
    assert run(["fit", str(dense), "--form", "chinchilla", *READ, "--bootstrap", "50", "--out", str(law)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Rows: 16 runs of 33 rows; 1 left out: not optimizer=adamw; 16 left out: not the last of its run" in said
    assert "(by tokens, then step)" in said
    assert "nonzero_params is params, data_seen is tokens, loss is val_loss; sparsity = 0 for all runs." in said
    assert read_law(law).form == "chinchilla"
    assert run(["laws", "check", str(law), "--runs", str(dense), *READ]) == 0
    checked = " ".join(capsys.readouterr().out.split())
    assert "match: the table that the law was fitted to" in checked
    assert "Rows: 16 runs of 33 rows" in checked
    assert run(["predict", "--law", str(law), "--params", "100M", "--data", "10B"]) == 0  # no sparsity is asked for
    assert capsys.readouterr().out.startswith("loss 2.8")


def test_set_and_form_give_the_same_law_and_json_says_how_the_table_was_read(
    dense: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = []
    for option in (["--set", "sparsity=0", "--form", "frantar2023"], ["--form", "chinchilla"]):
        assert run(["fit", str(dense), *option, *READ, "--bootstrap", "0", "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    read = answers[0]["read"]
    assert (read["rows"], answers[0]["n_runs"]) == (33, 16)
    assert [(one["rule"], one["rows"]) for one in read["dropped"]] == [
        ("not optimizer=adamw", 1),
        ("not the last of its run (by tokens, then step)", 16),
    ]
    assert read["columns"] == {"nonzero_params": "params", "data_seen": "tokens", "loss": "val_loss"}
    assert read["constants"] == {"sparsity": "0"}


@pytest.mark.parametrize(
    "command",
    [["fit", "{}", "--form", "coupled"], ["fit", "{}"], ["next", "--flops", "1e21", "--runs", "{}"]],
    ids=["sparse form", "no form", "next"],
)
def test_a_table_without_sparsity_and_a_sparse_form_is_one_error_that_says_what_to_do(
    command: list[str], dense: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([word.format(dense) for word in command] + READ) == 2
    error = capsys.readouterr().err
    assert "the column sparsity is missing" in error
    assert error.endswith("If every run is dense: --set sparsity=0, or --form chinchilla.\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "sparsity"], "'--set': expected a column and what all runs have there, as in sparsity=0"),
        (["--where", "finished"], "--where: expected a column, one of = != < > <= >=, and a value"),
        (["--where", "optimizer=lion"], "--where optimizer=lion holds for no row; optimizer has adamw (32), sgd (1)"),
        (["--last-per", "seed"], "--last-per seed: there is no such column"),
        (["--preset", "comet"], "'wandb', 'mlflow', 'olmo'"),
    ],
)
def test_a_wrong_option_is_one_error_in_the_words_of_the_command_line(
    words: list[str], message: str, dense: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fit", str(dense), "--form", "chinchilla", *READ[:6], *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("command", [["next", "--flops", "1e21"], ["laws", "check", "frantar2023-t5-c4"]])
def test_options_of_a_table_need_a_table(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--where", "a=b"]) == 2
    assert "--where says how" in capsys.readouterr().err


def test_python_takes_the_same_of_a_dataframe_with_dictionaries() -> None:
    rows = [(N, D) for N in (1e7, 3e7, 1e8) for D in (1e9, 3e9, 1e10)]
    table = {
        "config": [{"n": N, "kind": "a"} for N, _ in rows] + [{"n": 1, "kind": "b"}],
        "data_seen": [D for _, D in rows] + [1],
        "loss": [1.7 + 400 / N**0.34 + 2000 / D**0.37 for N, D in rows] + [9.0],
    }
    fitted = sp.fit(
        table, columns={"nonzero_params": "config.n"}, where="config.kind=a", constants={"sparsity": 0}, draws=0
    )
    assert fitted.answer.n_runs == 9
    assert fitted.law.coefficients["alpha"] == pytest.approx(0.34, rel=1e-4)
