"""Claims about bytes that aren't JSON, aren't UTF-8 or nest too deep: one kind of error, wherever they lie."""

from pathlib import Path

import msgspec
import pytest

from sparseplan.calibration.recipe import load_recipe
from sparseplan.common.json_struct import decode
from sparseplan.errors import HardwareError, RecipeError
from sparseplan.hardware.bench.partial import Header, Partial
from sparseplan.hardware.bench.protocol import Facts
from sparseplan.hardware.profile import Hardware, TwoToFour
from sparseplan.runs.job import Progress
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.progress import ProgressReader

BROKEN = (b"", b"\xff\xfe", b'{"event": "note", "note": "\xff"}', b"[" * 100_000, b"{", b"null")


@pytest.mark.parametrize("raw", BROKEN)
def test_broken_bytes_are_one_kind_of_error(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(raw, Progress)


@pytest.mark.parametrize("raw", [line for line in BROKEN if line])
def test_a_broken_line_of_progress_is_passed_over_and_the_next_one_is_read(tmp_path: Path, raw: bytes) -> None:
    folder = Folder(tmp_path)
    folder.prepare()
    reader = ProgressReader(folder)
    reader.begin("run")
    line = msgspec.json.encode(Progress(event="step", segment="run", step=3, steps=9))
    folder.progress("run").write_bytes(raw + b"\n" + line + b"\n")
    assert reader.read() == []
    assert reader.latest["run"].step == 3


@pytest.mark.parametrize("raw", [line for line in BROKEN if line])
def test_a_broken_file_of_an_interrupted_bench_is_one_clear_error(tmp_path: Path, raw: bytes) -> None:
    hardware = Hardware(device="test", accelerator="cpu")
    facts = Facts(
        hardware=hardware,
        dtype="float32",
        two_to_four=TwoToFour(reason="none"),
        driver="",
        versions={},
    )
    path = tmp_path / "x.partial.jsonl"
    path.write_bytes(raw + b"\n")
    with pytest.raises(
        HardwareError, match=r"expected what an interrupted bench left, found something else .*remove it"
    ):
        Partial(path, Header(facts=facts, seconds_per_case=1.0))
    assert path.read_bytes() == raw + b"\n"


def test_a_recipe_that_is_not_utf8_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_bytes(b"format: sparseplan-recipe/1\nname: caf\xe9\n")
    with pytest.raises(RecipeError, match=r"team\.yaml: expected a recipe in UTF-8 text"):
        load_recipe(str(tmp_path / "team.yaml"))
