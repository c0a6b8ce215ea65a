"""Every console example in README and docs prints what it shows, and every link points at something."""

import re
import shlex
from pathlib import Path

import pytest

from sparseplan.cli import run
from sparseplan.laws import DEFAULT_LAW

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "ARCHITECTURE.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def examples(page: Path) -> list[tuple[str, str]]:
    """Commands and the output shown below each, in order."""
    found: list[tuple[str, str]] = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_console_example_prints_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command, expected in examples(page):
        words = shlex.split(command)
        assert words[0] == "sparseplan", command
        assert run(words[1:]) == 0, command
        printed = capsys.readouterr().out
        assert _steady(printed) == _steady(expected), command


def _steady(printed: str) -> str:
    """Output without the hashes of laws that the page made itself: their last digits differ between processors."""
    return re.sub(r"(?<=^Law: mixed )[0-9a-f]{8}", "~", printed.rstrip(), flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_points_at_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_has_exactly_two_set_up_commands() -> None:
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("<!-- set-up: ") == 2


def test_every_test_that_the_reliability_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"))
    assert len(named) > 25
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_the_page_on_laws_lists_every_built_in_law() -> None:
    page = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
    table = page[page.index("## Built-in laws") :]
    names = {path.stem for path in (ROOT / "sparseplan" / "builtin" / "laws").glob("*.yaml")}
    assert {name for name in names if f"`{name}`" not in table} == set()
    assert f"`{DEFAULT_LAW}` (default)" in table
