"""Every console example in README and docs prints what it shows, and every link points at something."""

import re
import shlex
import subprocess
import tomllib
from itertools import repeat
from pathlib import Path
from typing import get_args

import pytest

from sparseplan.cli import run
from sparseplan.fit.status import Status
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.forms import FORMS
from sparseplan.shapes.real.registry import READERS

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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_console_example_prints_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tolerance, made = 0.0, list[str]()
    for command, expected in examples(page):
        words = shlex.split(command)
        if words[0] != "sparseplan":  # a shell command that makes a file of one, the first from the repository
            at_root = re.sub(r"\bcalibration/", f"{ROOT}/calibration/", command)
            subprocess.run(at_root, shell=True, check=True)
            continue
        assert run(words[1:]) == 0, command
        if words[1] == "fit":  # another BLAS ends a fit at other last digits, and so do plans with its law
            tolerance = 0.02
        made += [Path(word).stem for word in words if word.endswith(".yaml")]
        printed = capsys.readouterr().out
        assert_shown(without_hashes(printed, made), without_hashes(expected, made), command, tolerance)


def without_hashes(printed: str, laws: list[str]) -> str:
    """Output without the hashes of laws that the page made itself: their last digits differ between processors."""
    for law in laws:
        printed = re.sub(rf"(?<=\b{re.escape(law)} )[0-9a-f]{{8}}\b", "~", printed)
    return printed


def assert_shown(printed: str, expected: str, command: str, tolerance: float) -> None:
    """What is printed is what is expected; a line of three dots stands for any lines, in order."""
    lines = printed.rstrip().splitlines()
    parts = [part.splitlines() for part in re.split(r"^\.\.\.$\n?", expected.rstrip(), flags=re.MULTILINE)]
    for index, wanted in enumerate(parts):
        rest = len(lines) - len(wanted)
        starts = [0] if index == 0 else [rest] if index == len(parts) - 1 else list(range(rest + 1))
        for start in starts:
            found = lines[start : start + len(wanted)]
            if start >= 0 and len(found) == len(wanted) and all(map(same, found, wanted, repeat(tolerance))):
                lines = lines[start + len(wanted) :]
                break
        else:
            raise AssertionError(f"{command}\nshown:\n{wanted}\nprinted:\n{printed}")
    assert not lines, f"{command}\nnot shown:\n{lines}"


def same(line: str, wanted: str, tolerance: float) -> bool:
    """Whether two lines are equal but for the last digits of their numbers."""
    if tolerance == 0:
        return line.rstrip() == wanted.rstrip()
    numbers = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
    pairs = zip(numbers.findall(line), numbers.findall(wanted), strict=False)
    near = all(float(a) == pytest.approx(float(b), rel=tolerance) for a, b in pairs)
    return near and numbers.sub("#", line).split() == numbers.sub("#", wanted).split()


@pytest.mark.parametrize(
    ("expected", "tolerance", "good"),
    [
        ("a 1.00\nb\nc 3", 0.0, True),
        ("a 1.00\n...\nc 3", 0.0, True),
        ("a 1.00\n...", 0.0, True),
        ("...\nb\nc 3", 0.0, True),
        ("a 1.00\nb", 0.0, False),
        ("a 1.00\n...\nb", 0.0, False),
        ("a 1.01\n...", 0.0, False),
        ("a 1.01\n...", 0.02, True),
        ("a 1.03\n...", 0.02, False),
        ("...\nd", 0.0, False),
    ],
)
def test_a_page_that_shows_something_else_fails(expected: str, tolerance: float, good: bool) -> None:
    if good:
        assert_shown("a 1.00\nb\nc 3\n", expected, "a command", tolerance)
    else:
        with pytest.raises(AssertionError):
            assert_shown("a 1.00\nb\nc 3\n", expected, "a command", tolerance)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_points_at_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_navigation_of_the_site_and_in_the_index() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert f": {page.name}\n" in navigation, page.name
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


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


def test_the_page_on_models_names_every_kind_that_is_read() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert {kind for kind in READERS if f"`{kind}`" not in page} == set()


def test_the_glossary_has_every_coefficient_and_every_status() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    names = {one.name for form in FORMS.values() for one in form.coefficients} | set(get_args(Status))
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_on_a_package_index_the_readme_links_to_nothing_that_is_not_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = whole = (ROOT / "README.md").read_text(encoding="utf-8")
    for one in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links == [link for link in re.findall(r"\]\(([^)]*)\)", whole) if link.startswith("https://")]
    assert "docs/planning.md: the mathematics of a plan" in text
