"""The committed versions and what pyproject.toml allows are one."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: [Requirement(text) for text in texts] for name, texts in PROJECT["optional-dependencies"].items()}
DEPENDENCIES = [Requirement(text) for text in PROJECT["dependencies"]]
TORCH_FREE = [*DEPENDENCIES, *EXTRAS["parquet"], *EXTRAS["bpe"], *EXTRAS["test"]]


def pins(name: str) -> dict[str, Version]:
    """Exact versions of a constraints file."""
    lines = [re.split(r"\s*[;#]", line)[0] for line in (ROOT / "constraints" / name).read_text("utf-8").splitlines()]
    split = [line.strip().split("==") for line in lines if line.strip()]
    return {canonicalize_name(package): Version(version) for package, version in split}


def test_the_lowest_versions_are_those_that_the_project_allows() -> None:
    found = pins("lowest.txt")
    for requirement in TORCH_FREE:
        if requirement.name == PROJECT["name"]:  # the project's own extras
            continue
        (lowest,) = (part.version for part in requirement.specifier if part.operator == ">=")
        assert found[canonicalize_name(requirement.name)] == Version(lowest), requirement


def test_the_versions_of_development_are_allowed_and_complete() -> None:
    found = pins("dev.txt")
    for requirement in [*DEPENDENCIES, *(each for extra in EXTRAS.values() for each in extra)]:
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(found[canonicalize_name(requirement.name)]), requirement
    assert all(version.local is None for version in found.values())  # torch 2.13.0+cpu is of one registry only


def test_whoever_installs_the_package_gets_what_it_imports_and_nothing_else() -> None:
    called = {"pyyaml": "yaml"}
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "sparseplan").rglob("*.py")]

    def imported(module: str) -> bool:
        return any(re.search(rf"^\s*(from|import) {module}\b", text, re.MULTILINE) for text in sources)

    for requirement in DEPENDENCIES:
        assert imported(called.get(requirement.name, requirement.name)), requirement
    assert not imported("scipy")  # which only tests and benchmarks hold the fit against


def test_the_citation_names_the_version() -> None:
    from sparseplan.version import __version__

    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_test_is_collected_without_torch() -> None:
    """Tests of training skip there; whatever else pytest imports, helpers among it, must not need torch."""
    code = "import sys; sys.modules['torch'] = None; import pytest; sys.exit(pytest.main(['--collect-only']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
