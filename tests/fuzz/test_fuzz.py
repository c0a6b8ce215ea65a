"""Claims about whatever is read or typed: one clear error or a valid answer, and never anything else.

Exit code 0 or 2, no traceback and no warning, no hang, bounded memory, nothing that a terminal obeys, nothing on
standard output beside an error, no file left over. `SPARSEPLAN_FUZZ` is the share of the whole suite that the slow
tests try: 1 is all of it, 105,000 cases.
"""

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from shutil import rmtree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparseplan.common.text import shown
from tests.fuzz import mutate
from tests.fuzz.cases import KINDS
from tests.fuzz.command_lines import COMMANDS

SHARE = float(os.environ.get("SPARSEPLAN_FUZZ", "0.08"))
PARTS = 4

pytest.importorskip("pyarrow")
pytest.importorskip("filelock")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False))
def test_any_input_ends_in_an_answer_or_one_clear_error(
    kind: str, random: Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    KINDS[kind][0](random, tmp_path_factory.mktemp("case"))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", KINDS)
def test_many_inputs_end_in_an_answer_or_one_clear_error(
    kind: str, part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, whole = KINDS[kind]
    monkeypatch.chdir(tmp_path)
    answered = refused = 0
    for number in range(part, round(SHARE * whole), PARTS):
        folder = tmp_path / "case"
        folder.mkdir()
        try:
            status = case(Random(f"{kind} {number}"), folder)
        except Exception as problem:
            problem.add_note(f"{kind} {number}")
            raise
        answered, refused = answered + (status == 0), refused + (status == 2)
        rmtree(folder)
    if answered + refused > 100:  # the mutations leave enough alone that both ends are tried
        assert answered > 0
        assert refused > 0


@pytest.mark.slow
def test_processes_of_their_own_end_so_too(tmp_path: Path) -> None:
    random = Random(1)
    for _ in range(round(max(10, 400 * SHARE))):
        words = [*random.choice(COMMANDS), random.choice(mutate.WORDS)]
        words = [word.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "0") for word in words]
        done = subprocess.run(
            [sys.executable, "-m", "sparseplan", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 2), (words, done.stderr)
        assert "Traceback" not in done.stderr, (words, done.stderr)
        assert done.returncode == 0 or done.stdout == "", (words, done.stdout)
        assert shown(done.stderr, lines=True) == done.stderr
        assert list(tmp_path.iterdir()) == []
