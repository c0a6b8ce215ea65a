"""Claims about words of a file on their way out: a terminal obeys none, a picture shows them as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparseplan.cli import run
from sparseplan.common.text import shown
from sparseplan.laws.file import law_text, load_law

WORDS = (
    "[/]",
    "[bold red]x[/bold red]",
    "[link=http://evil.example]click[/link]",
    ":smile:",
    r"\e\x1b[31mred",
    r"\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    r"\x9b2J",
    r"\x07\b\r",
    r"\u202Eright to left",
    "$\\\\frac{$",
)


def law_with(folder: Path, word: str) -> Path:
    text = law_text(load_law("frantar2023-t5-c4")).replace("data_unit: token", f'data_unit: "{word}"')
    text += f'provenance: {{source: "{word}"}}\n' if "provenance" not in text else ""
    path = folder / "hostile.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def is_harmless(text: str) -> bool:
    return shown(text, lines=True) == text


@pytest.mark.parametrize("word", WORDS)
def test_no_word_of_a_law_is_obeyed_by_the_terminal(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law = str(law_with(tmp_path, word))
    for command in (
        ["optimal", "--flops", "1e23"],
        ["optimal", "--flops", "1e23", "--json"],
        ["predict", "--params", "1B", "--data", "1B", "--sparsity", "0"],
        ["contour", "--points", "2"],
    ):
        assert run([*command, "--law", law]) == 0
    for command in (["show", law], ["show", law, "--json"], ["check", law], ["diff", law, law]):
        assert run(["laws", *command]) == 0
    printed = capsys.readouterr()
    assert is_harmless(printed.out)
    if word.startswith(("[", ":")):
        assert word in printed.out
    assert printed.err == ""


def test_what_a_file_says_is_harmless_in_errors_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.csv").write_text("a\x1b[31m,[/],\u202eb\n1,2,3\n", encoding="utf-8")
    (tmp_path / "law.yaml").write_text('"k\\e[2J": 1\n', encoding="utf-8")
    (tmp_path / "gpu.yaml").write_text('"\\x9b2J": 1\n', encoding="utf-8")
    for command in (
        ["fit", str(tmp_path / "runs.csv")],
        ["laws", "check", str(tmp_path / "law.yaml")],
        ["optimal", "--flops", "1e20", "--cost", str(tmp_path / "gpu.yaml")],
        ["optimal", "--flops", "\x1b[31m1"],
        ["optimal", "--law", "\x1b]0;title\x07", "--flops", "1"],
        ["optimal", "--law", "a\0b.yaml", "--flops", "1e20"],
    ):
        assert run(command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert is_harmless(printed.err)
    assert r"\x1b[31m" in printed.err


@pytest.mark.parametrize("word", WORDS)
def test_no_word_of_a_law_is_a_formula_in_a_picture(word: str, tmp_path: Path) -> None:
    unit = load_law(str(law_with(tmp_path, word))).data_unit
    runs = tmp_path / "runs.csv"
    rows = [f"0,{N},{D},{1.5 + 3 * N**-0.1 + 5 * D**-0.12}" for N in (1e6, 4e6, 16e6) for D in (1e8, 1e9, 1e10)]
    runs.write_text("sparsity,nonzero_params,data_seen,loss\n" + "\n".join(rows) + "\n")
    page = tmp_path / "page.svg"
    assert run(["fit", str(runs), "--bootstrap", "0", "--data-unit", unit, "--report", str(page)]) == 0
    assert is_harmless(page.read_text(encoding="utf-8"))


def test_a_picture_obeys_no_settings_of_the_folder_and_no_backend(tmp_path: Path) -> None:
    def drawn(name: str, **environment: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "sparseplan", "contour", "--points", "5", "--out", name],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == f"wrote {name}\n"
        return (tmp_path / name).read_bytes()

    plain = drawn("plain.svg")
    (tmp_path / "matplotlibrc").write_text("font.size: 40\nlines.linewidth: 9\nnonsense\n")
    assert drawn("again.svg", MPLBACKEND="nonsense") == plain
    (tmp_path / "matplotlibrc").unlink()
    os.mkfifo(tmp_path / "matplotlibrc")
    assert drawn("third.svg") == plain


def test_a_file_that_cannot_be_written_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sparseplan.fit import fit_table

    monkeypatch.setattr(fit_table, "make_law", lambda *_, **__: pytest.fail("the fit began"))
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "page.png").mkdir()
    (tmp_path / "runs.csv").write_text("sparsity,nonzero_params,data_seen,loss\n0,1e6,1e8,3\n")
    for option, name in (("--out", "folder.yaml"), ("--report", "page.png")):
        assert run(["fit", str(tmp_path / "runs.csv"), option, str(tmp_path / name), "--force"]) == 2
        assert f"{name}: can't write this file: Is a directory." in capsys.readouterr().err
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert run(["fit", str(tmp_path / "runs.csv"), "--out", str(tmp_path / "law.yaml")]) == 2
    assert "law.yaml: can't write this file: No space left on device." in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.yaml", "page.png", "runs.csv"]


def test_the_numbers_are_printed_where_the_disk_fills_up_during_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sparseplan.errors import SparseplanError
    from sparseplan.laws import file

    def full(*_: object) -> None:
        raise SparseplanError("law.yaml: can't write this file: No space left on device.")

    monkeypatch.setattr(file, "write_text", full)
    rows = [f"0,{N},{D},{1.5 + 3 * N**-0.1 + 5 * D**-0.12}" for N in (1e6, 4e6, 16e6) for D in (1e8, 1e9, 1e10)]
    (tmp_path / "runs.csv").write_text("sparsity,nonzero_params,data_seen,loss\n" + "\n".join(rows) + "\n")
    assert run(["fit", str(tmp_path / "runs.csv"), "--bootstrap", "0", "--out", str(tmp_path / "law.yaml")]) == 2
    printed = capsys.readouterr()
    assert "alpha" in printed.out
    assert "written to" not in printed.out
    assert "No space left on device" in printed.err


def test_a_closed_standard_output_is_one_message() -> None:
    command = f"{sys.executable} -m sparseplan optimal --flops 1e23 >&-"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == ("sparseplan: error: standard output is closed: there is nowhere to print the answer to.\n")
