"""Every example runs, every cell of the notebook, and every Python block of README and docs."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SAYS = {
    "compare_laws": ["frantar2023-t5-c4-refit       49.4%", "besiroglu2024-chinchilla       0.0%"],
    "draw_a_map": ["wrote map.png"],
    "fit_a_dataframe": ["typical error", "90% interval", "law mine"],
    "plan": ["sparsity              67.6%      62% .. 71.8%", "sparse cost: 67.6% sparse", " dense cost: 53.0% sparse"],
}
LEAVES = {"compare_laws": [], "draw_a_map": ["map.png"], "fit_a_dataframe": ["mine.yaml"], "plan": []}


def blocks(page: Path) -> list[str]:
    return _PYTHON.findall(page.read_text(encoding="utf-8"))


def test_every_example_is_known_here() -> None:
    assert {script.stem for script in SCRIPTS} == set(SAYS) == set(LEAVES)
    assert len(NOTEBOOKS) == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_runs_says_its_answer_and_leaves_what_it_promises(script: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in SAYS[script.stem]:
        assert words in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == LEAVES[script.stem]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_every_cell_of_the_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 5
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code"), "outputs would age"
    names: dict[str, Any] = {}
    for number, cell in enumerate(code):
        exec(compile(cell, f"{notebook.name}, code cell {number + 1}", "exec"), names)
    assert names["fitted"].answer.status == "converged"
    assert names["fitted"].answer.objective < 1e-12
    assert names["chart"]._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = Path("calibration", "gpt-stdlib-cpu", "runs.csv")  # pages may read what a clone has
    table.parent.mkdir(parents=True)
    table.write_bytes((ROOT / table).read_bytes())
    found = blocks(ROOT / page)
    assert found
    for number, block in enumerate(found):
        names: dict[str, Any] = {}
        exec(compile(block, f"{page}, block {number + 1}", "exec"), names)
        assert names["fitted"].answer.status == "converged"
