"""Claims about profiles that can't be right: what is flagged, what isn't, and what people are told to do."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from sparseplan.cli import run
from sparseplan.hardware.doubts import doubts
from sparseplan.hardware.file import load_profile, write_profile
from sparseplan.hardware.kernels import Spread
from sparseplan.hardware.profile import Hardware, MeasuredProfile, Phase, Point, TwoToFour
from sparseplan.report.hardware import print_profile


def block(width: int, seconds: float, *, phase: Phase = "training", low: float = 0.95, high: float = 1.05) -> Point:
    spread = Spread(median=seconds, low=low * seconds, high=high * seconds)
    return Point(part="block", phase=phase, width=width, tokens=512, context=512, dense=spread)


def profile(*points: Point, accelerator: str = "cpu") -> MeasuredProfile:
    return MeasuredProfile(
        format="sparseplan-hardware/1",
        name="mine",
        description="",
        hardware=Hardware(device="a CPU", accelerator=accelerator),  # type: ignore[arg-type]
        two_to_four=TwoToFour(reason="no 2:4 products on cpu"),
        points=list(points),
    )


def seconds_at(rate: float, width: int) -> float:
    """Seconds in which a block on 512 tokens reaches a rate: 6 FLOPs per weight, 12 w^2 of them, and attention's."""
    return 6 * (12 * width**2 + 512 * width) * 512 / rate


def test_speeds_that_fall_with_width_are_named_with_both_numbers_and_what_to_do() -> None:
    """As a busy two-core machine measured it: 9.15B, 839M and 3.45B FLOP/s at growing width."""
    measured = profile(*(block(w, seconds_at(r, w)) for w, r in ((64, 9.15e9), (128, 8.39e8), (256, 3.45e9))))
    fall, advice = doubts(measured)
    assert fall == ("Block training on 512 tokens at width 128 reached 839M FLOP/s, less than the 9.15B at width 64.")
    assert advice == (
        "Don't plan with these times: measure again while nothing else runs and with one thread (OMP_NUM_THREADS=1), "
        "with `force`."
    )
    on_gpu = profile(*measured.points, accelerator="cuda")
    assert "thread" not in doubts(on_gpu)[-1]


def test_times_that_scatter_by_more_than_two_are_counted_and_the_worst_is_named() -> None:
    measured = profile(block(64, 0.01), block(128, 0.0165, low=1.0, high=0.743 / 0.0165), block(256, 0.03, high=1.9))
    found = doubts(measured)
    assert found[0] == (
        "Repeats of the same work differ by more than 2x in 1 of 3 times, most in block training on 512 tokens at "
        "width 128: 45x."
    )
    assert len(found) == 2


@pytest.mark.parametrize("rates", [(1e9, 3e9, 9e9), (3e9, 5e9, 4.5e9), (3e9, 3e9, 2.5e9)])
def test_speeds_that_level_off_are_not_doubted(rates: tuple[float, ...]) -> None:
    assert doubts(profile(*(block(w, seconds_at(r, w)) for w, r in zip((64, 128, 256), rates, strict=True)))) == []


def test_inference_and_datasheets_are_not_judged_by_width() -> None:
    few = [block(w, seconds_at(r, w), phase="inference") for w, r in ((64, 9e9), (128, 1e9))]
    assert doubts(profile(*few)) == []
    assert doubts(load_profile("h100")) == []


def test_doubts_are_printed_under_the_table_in_80_columns_and_beside_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = profile(block(64, seconds_at(9e9, 64)), block(128, seconds_at(8e8, 128), low=0.2))
    written = StringIO()
    print_profile(Console(file=written, width=10_000), measured)
    assert max(map(len, written.getvalue().splitlines())) <= 80
    path = tmp_path / "mine.yaml"
    write_profile(measured, path)
    assert run(["hardware", "show", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "! Don't plan with these times" in said
    assert "with --force." in said
    assert run(["hardware", "show", str(path), "--json"]) == 0
    both = capsys.readouterr()
    assert "Don't plan with these times" in both.err
    assert "Don't plan" not in both.out
