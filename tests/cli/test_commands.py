"""What a person at a terminal sees: answers, errors, exit codes, files."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sparseplan as sparseplan_package
from sparseplan.cli import run
from sparseplan.laws.file import law_text, load_law
from sparseplan.laws.identity import law_hash
from sparseplan.version import __version__
from tests.helpers.commands import on_a_terminal, plain, sparseplan
from tests.helpers.schemas import needs_whole_schemas

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("optimal", ["optimal", "--flops", "1e23"]),
        ("optimal-size", ["optimal", "--flops", "1e20", "--params", "100M", "--pattern", "n:4"]),
        ("optimal-dense", ["optimal", "--flops", "1e19", "--dense-params", "300M", "--law", "frantar2023-vit-jft"]),
        ("predict", ["predict", "--params", "85M", "--data", "65B", "--sparsity", "75%"]),
        ("contour", ["contour", "--points", "4"]),
        (
            "optimal-device",
            [
                "optimal",
                "--device-hours",
                "20k",
                "--cost",
                "h100",
                "--params",
                "1B",
                "--devices",
                "256",
                "--price",
                "2.5",
            ],
        ),
        ("laws-show", ["laws", "show", "frantar2023-vit-jft"]),
        ("laws-diff", ["laws", "diff", "frantar2023-t5-c4", "frantar2023-vit-jft"]),
    ],
)
def test_piped_output_is_the_golden_text(
    name: str, arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 0
    printed = capsys.readouterr().out
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("SPARSEPLAN_WRITE_GOLDEN"):
        golden.write_text(printed, encoding="utf-8")
    assert printed == golden.read_text(encoding="utf-8")
    assert "\x1b" not in printed
    assert all(frame not in printed for frame in "│╭─")


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", ["optimal", "laws-show", "contour"])
def test_a_terminal_shows_every_figure_whole_at_any_width(name: str, width: int) -> None:
    commands = {
        "optimal": ["optimal", "--flops", "1e23"],
        "laws-show": ["laws", "show", "frantar2023-vit-jft"],
        "contour": ["contour", "--points", "4"],
    }
    printed = on_a_terminal(width, *commands[name])
    golden = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert "\x1b[" in printed
    assert "─" in printed or width < 80  # rules go where they take the room of figures
    if name != "contour":
        lines = (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in printed.splitlines())
        assert max(len(line.rstrip()) for line in lines) <= max(width, 72)  # a formula is not broken
    # Paragraphs break where the terminal ends; every word and figure is there, none of them cut.
    found, wanted = (" ".join(plain(text)).split() for text in (printed, golden))
    if name == "laws-show" and width < 80:  # the table stands in parts, which repeat its names
        assert set(found) == set(wanted)
    else:
        assert found == wanted


def test_a_terminal_without_unicode_is_served(tmp_path: Path) -> None:
    law = tmp_path / "law.yaml"
    text = law_text(load_law("frantar2023-t5-c4")).replace("T5 encoder", "für \\e[31mT5 encoder")
    law.write_text(text, encoding="utf-8")
    assert "T5 encoder" in on_a_terminal(80, "laws", "show", str(law), encoding="ascii")


def test_a_full_disk_behind_the_output_is_one_message() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = subprocess.run(
            [sys.executable, "-m", "sparseplan", "optimal", "--flops", "1e23"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert process.returncode == 2
    assert process.stderr.decode() == "sparseplan: error: standard output: No space left on device.\n"


def test_extreme_but_valid_laws_are_answered_or_refused_without_noise(tmp_path: Path) -> None:
    published = law_text(load_law("frantar2023-t5-c4"))
    for index, (old, new) in enumerate(
        [("b_N: 0.245", "b_N: 50"), ("b_D: 0.203", "b_D: 1e-5"), ("c_S: 45.0", "c_S: 0"), ("b_S: 0.722", "b_S: 300")]
    ):
        law = tmp_path / f"law{index}.yaml"
        law.write_text(published.replace(old, new), encoding="utf-8")
        for command in (
            ["optimal", "--flops", "1e23"],
            ["optimal", "--flops", "1e23", "--params", "1B", "--cost", "dense"],
            ["predict", "--params", "1B", "--data", "1T", "--sparsity", "0.5"],
            ["contour", "--points", "5"],
        ):
            process = sparseplan(*command, "--law", str(law))
            assert process.returncode in (0, 2), (new, command, process.stderr)
            assert "Warning" not in process.stderr
            assert "Traceback" not in process.stderr
            assert (process.stdout == "") == (process.returncode == 2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["optimal"], "expected one budget, --flops, or --device-hours"),
        (["optimal", "--loss", "1.5", "--loss", "1.6"], "--loss: expected once, found 2 times"),
        (["contour", "--law", "a", "--law", "b"], "--law: expected once"),
        (["laws", "compose", "--dense", "a", "--dense", "b"], "--dense: expected once"),
        (["optimal", "--flops", "1x"], "'--flops': expected a number such as 7B"),
        (["optimal", "--flops", "nan"], "expected a number such as 7B"),
        (["optimal", "--flops", "1e999"], "too large to represent"),
        (["optimal", "--flops", "-1e20"], "expected a number above 0"),
        (["optimal", "--flops", "0"], "expected a number above 0"),
        (["optimal", "--flops", "1e20", "--params", "1B", "--dense-params", "2B"], "--params or --dense-params"),
        (["optimal", "--flops", "1e20", "--pattern", "5:4"], "n counts the weights that are kept"),
        (["optimal", "--flops", "1e20", "--pattern", "dense"], "expected unstructured, a pattern such as 2:4"),
        (["optimal", "--flops", "1e20", "--cost", "free"], "expected sparse, dense or a hardware profile"),
        (["optimal", "--flops", "1e20", "--law", "frantar2023-t5"], "did you mean 'frantar2023-t5-c4'?"),
        (["optimal", "--flops", "1e20", "--law", "missing.yaml"], "missing.yaml: can't read this law file"),
        (["optimal", "--flops", "1e20", "--law", "hoffmann2022-chinchilla", "--pattern", "2:4"], "dense only"),
        (["optimal", "--flops", "1e20", "--max-sparsity", "1"], "expected a sparsity in [0, 1)"),
        (["optimal", "--flops", "1e-300", "--params", "1e300"], "which is not a possible run"),
        (["optimal", "--flps", "1e20"], "--flops"),
        (["optmal"], "optimal"),
        (["predict", "--params", "1B", "--data", "1B", "--sparsity", "75"], "write 75%"),
        (["predict", "--params", "1B", "--data", "1B", "--sparsity", "0.6", "--pattern", "2:4"], "what the pattern"),
        (["optimal", "--flops", "1e22", "--device-hours", "1"], "expected one budget"),
        (["optimal", "--device-hours", "1"], "expected a device"),
        (["optimal", "--flops", "1e22", "--price", "2"], "expected a device"),
        (["optimal", "--days", "3"], "--days: expected a device"),
        (["predict", "--data", "1B", "--sparsity", "0"], "expected one size, --params or --dense-params"),
        (["predict", "--params", "1B", "--data", "1B"], "or one --pattern such as 2:4"),
        (["optimal", "--device-hours", "1", "--peak", "989T"], "expected --utilization beside it"),
        (["optimal", "--device-hours", "1", "--peak", "989T", "--utilization", "140%"], "at most 1"),
        (["optimal", "--flops", "1e22", "--cost", "h10"], "did you mean 'h100'"),
        (["optimal", "--flops", "1e22", "--cost", "gone.yaml"], "gone.yaml: can't read this hardware profile"),
        (["contour", "--flops", "1e20"], "expected a range such as"),
        (["contour", "--params", "7B..1B"], "from small to large"),
        (["contour", "--out", "map.gif"], "expected a picture ending in .png, .svg, .pdf"),
        (["contour", "--out", "map.csv", "--width", "page"], "--width: expected a picture"),
        (["contour", "--width", "page"], "--width: expected a picture"),
        (["contour", "--out", "map.png", "--width", "poster"], "'column', 'page'"),
        (["contour", "--column", "loss=L"], "--column: expected the table whose columns these are, as --runs"),
        (["contour", "--plan-params", "1B"], "--plan-params: expected the plan's budget too, as --plan-flops"),
        (["contour", "--plan-flops", "1e20", "--flops", "1e21..1e22"], "--flops: the plan, at 1e20, lies outside"),
        (["contour", "--pattern", "2:4"], "--pattern: expected several sparsities to choose from"),
        (["contour", "--runs", "nowhere.csv"], "nowhere.csv"),
        (["laws", "show", "nobody"], "no law is called 'nobody'"),
        (["laws", "check", "/nonexistent/law.yaml"], "can't read this law file"),
        (
            [
                "laws",
                "compose",
                "--dense",
                "hoffmann2022-chinchilla",
                "--sparsity",
                "hoffmann2022-chinchilla",
                "--out",
                "x.yaml",
            ],
            "dense only",
        ),
        (
            [
                "laws",
                "compose",
                "--dense",
                "hoffmann2022-chinchilla",
                "--sparsity",
                "frantar2023-t5-c4",
                "--out",
                "x.json",
            ],
            ".yaml",
        ),
    ],
)
def test_a_mistake_is_one_message_on_stderr_and_exit_code_2(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("sparseplan: error: ")
    assert expected in printed.err
    assert "Traceback" not in printed.err
    assert list(tmp_path.iterdir()) == []


@needs_whole_schemas
@pytest.mark.parametrize(
    ("command", "shipped"),
    [(["laws", "schema"], "law"), (["hardware", "schema"], "hardware"), (["calibrate", "--schema"], "recipe")],
)
def test_a_schema_is_printed_word_for_word_as_it_ships(
    command: list[str], shipped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command) == 0
    path = Path(sparseplan_package.__file__).parent / "builtin" / "schemas" / f"{shipped}.schema.json"
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text(encoding="utf-8"))


def test_on_a_terminal_an_error_breaks_at_words_and_elsewhere_it_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["optimal", "--flops", "1e23", "--law", "frantar2023-t5"]
    assert run(command) == 2
    whole = capsys.readouterr().err
    assert whole.count("\n") == 1
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert run(command) == 2
    broken = capsys.readouterr().err
    assert max(map(len, broken.splitlines())) <= 60
    assert broken.split() == whole.split()


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["optimal"],
        ["predict"],
        ["contour"],
        ["laws"],
        ["laws", "list"],
        ["laws", "show"],
        ["laws", "check"],
        ["laws", "compare"],
        ["laws", "diff"],
        ["laws", "compose"],
        ["laws", "schema"],
    ],
)
def test_every_command_explains_itself_with_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "Usage: sparseplan" in printed
    if command and command != ["laws"]:
        assert "Examples:" in printed


def test_json_is_one_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ["optimal", "--flops", "1e23", "--json"],
        [
            "predict",
            "--params",
            "1B",
            "--data",
            "20B",
            "--sparsity",
            "0",
            "--law",
            "besiroglu2024-chinchilla",
            "--json",
        ],
        ["laws", "show", "frantar2023-t5-c4", "--json"],
        ["laws", "compare", "frantar2023-t5-c4-refit", "wu2026-llama-c4", "--json"],
        ["laws", "check", "frantar2023-t5-c4", "--json"],
        ["laws", "diff", "frantar2023-t5-c4", "frantar2023-vit-jft", "--json"],
        ["laws", "schema"],
    ):
        assert run(command) == 0
        printed = capsys.readouterr()
        assert isinstance(json.loads(printed.out), dict)
        assert printed.err == ""


def test_doubtful_laws_pass_unless_strict(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["laws", "check", "frantar2023-t5-c4", "--strict"]) == 0
    doubtful = tmp_path / "law.yaml"
    text = law_text(load_law("frantar2023-t5-c4")).replace("b_N: 0.245", "b_N: 4.5")
    doubtful.write_text(text, encoding="utf-8")
    assert run(["laws", "check", str(doubtful)]) == 0
    assert run(["laws", "check", str(doubtful), "--strict"]) == 2
    assert "coefficients.b_N" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "sparseplan", "optimal", "--flops", "1e23"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert process.returncode == 0
    assert process.stderr == b""


def test_an_interrupt_ends_with_130_and_writes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "grid.csv"
    law = "frantar2023-t5-c4"  # without draws: its map is soon computed, and long in writing
    process = subprocess.Popen(
        [sys.executable, "-m", "sparseplan", "contour", "--law", law, "--points", "1200", "--out", str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert any(tmp_path.iterdir())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_planning_imports_neither_torch_nor_scipy_nor_matplotlib() -> None:
    code = (
        "import sys; from sparseplan.cli import run; "
        "assert run(['optimal', '--flops', '1e23']) == 0; assert run(['laws', 'list']) == 0; "
        "unwanted = {'torch', 'scipy', 'matplotlib', 'pyarrow', 'pydantic', 'sparseplan.hardware.profile', "
        "'sparseplan.shapes.gpt', 'sparseplan.shapes.real'}; "
        "print(sorted(unwanted & set(sys.modules)), file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stderr.strip() == "[]"


def test_the_version_is_printed() -> None:
    assert sparseplan("--version").stdout.strip() == f"sparseplan {__version__}"


@pytest.mark.parametrize("width", [40, 80])
def test_the_list_of_laws_shows_hash_date_status_and_source_at_any_width(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line.rstrip() for line in on_a_terminal(width, "laws", "list").splitlines()]
    assert max(map(len, lines)) <= width
    assert run(["laws", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    refit = next(row for row in rows if row["name"] == "frantar2023-t5-c4-refit")
    assert refit["hash"] == law_hash(load_law("frantar2023-t5-c4-refit"))
    words = " ".join(lines).replace(",", " ").split()
    for row in rows:
        facts = f"{row['name']} {row['hash']} {row['date'] or 'undated'} {row['source'] or ''}".replace(",", " ")
        assert set(facts.split()) <= set(words)  # every word whole, none cut at the edge
    first = next(line for line in lines if line.startswith("frantar2023-t5-c4-refit"))
    assert ("converged" in first) == (width == 80)
    assert words.count("converged") == sum(row["status"] == "converged" for row in rows)
