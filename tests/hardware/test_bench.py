"""Claims about `sparseplan bench`, measured on the CPU; 2:4 there is a plain compressed implementation."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

import msgspec
import torch
from torch import Tensor

from sparseplan.cli import run
from sparseplan.errors import HardwareError
from sparseplan.figures.speedups import draw_speedups
from sparseplan.hardware.bench.grid import cases
from sparseplan.hardware.bench.measure import BenchRequest, Measurement, assemble, measure, slug
from sparseplan.hardware.bench.partial import Header, Partial, partial_path
from sparseplan.hardware.bench.process import Measurer
from sparseplan.hardware.bench.protocol import BLOCK_CONTEXT, Case, Facts, Job, Outcome
from sparseplan.hardware.file import load_profile, read_profile
from sparseplan.hardware.kernels import Spread
from sparseplan.hardware.profile import Hardware, Point, TwoToFour, speedup, training_rate
from sparseplan.train.bench.device import BackendChoice, find_backend, two_of_four
from sparseplan.train.bench.timing import compare, seconds_of
from sparseplan.train.bench.work import Bench, block_fault, layer_fault
from sparseplan.train.semi_structured import SparseForward
from tests.helpers.references import Reference

CPU = torch.device("cpu")
FACTS = Facts(
    hardware=Hardware(device="NVIDIA H100 80GB HBM3", accelerator="cuda"),
    dtype="bfloat16",
    two_to_four=TwoToFour(backend="cusparselt"),
    driver="1.2.3",
    versions={"torch": "2"},
)


class Wrong(Reference):
    """A backend that loses a little of every product."""

    def linear(self, x: Tensor, compressed: Any) -> Tensor:
        return 0.99 * super().linear(x, compressed)


class Failing(Reference):
    """A backend that doesn't take the shape."""

    def compress(self, weight: Tensor) -> Any:
        raise RuntimeError(f"unsupported {weight.ndim}-d shape\nand details")


def bench_with(backend: Reference, dtype: torch.dtype = torch.float32) -> Bench:
    return Bench(device=CPU, dtype=dtype, found=BackendChoice("reference", backend, ""), seconds=0.01)


def case(part: Any = "linear", phase: Any = "training", *, width: int = 64, tokens: int = 32) -> Case:
    return Case(part=part, phase=phase, width=width, tokens=tokens)


def outcome(of: Case, *, faster: float | None = 2.0, seconds: float = 1e-3) -> Outcome:
    sparse = None if faster is None else Spread(median=seconds / faster)
    gain = None if faster is None else Spread(median=faster, low=0.9 * faster, high=1.1 * faster)
    point = Point(
        part=of.part,
        phase=of.phase,
        width=of.width,
        tokens=of.tokens,
        dense=Spread(median=seconds),
        sparse=sparse,
        speedup=gain,
    )
    return Outcome(case=of, point=point)


@pytest.mark.parametrize("part", ["linear", "block"])
@pytest.mark.parametrize("phase", ["forward", "training", "inference"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_kind_of_work_is_timed_dense_and_2to4_with_their_ratio(part: str, phase: str, dtype: torch.dtype) -> None:
    backend = Reference()
    point = bench_with(backend, dtype).measure(case(part, phase))
    assert point.sparse is not None
    assert point.speedup is not None
    low, high = point.speedup.ends
    assert low <= point.speedup.median == point.dense.median / point.sparse.median <= high
    assert backend.products > 0
    assert (point.context == 32) == (part == "block")


def test_inference_compresses_its_weights_once_and_training_each_time() -> None:
    made: dict[str, tuple[int, int]] = {}
    for phase in ("inference", "training"):
        backend = Reference()
        compressed: list[int] = []
        compress = backend.compress
        backend.compress = lambda weight: compressed.append(1) or compress(weight)  # type: ignore[func-returns-value,method-assign]  # noqa: B023
        bench_with(backend).measure(case("linear", phase))
        made[phase] = len(compressed), backend.products
    compressions, products = made["inference"]
    assert compressions <= 2 < products  # for the check, and for all that is timed
    assert made["training"][0] == made["training"][1]


@pytest.mark.parametrize("part", ["linear", "block"])
def test_a_backend_that_is_wrong_is_never_timed(part: str) -> None:
    point = bench_with(Wrong()).measure(case(part))
    assert point.sparse is None
    assert "wrong: off by" in point.note
    assert point.dense.median > 0


def test_a_shape_that_the_backend_refuses_is_noted_in_one_line() -> None:
    point = bench_with(Failing()).measure(case())
    assert point.note == "2:4 products fail: unsupported 2-d shape"
    assert bench_with(Reference()).measure(case(width=72)).note == "2:4 products need widths in multiples of 64"


def test_the_check_compares_gradients_too(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(256, 64)
    weight *= two_of_four(weight)
    assert layer_fault(weight, Reference(), dtype=torch.float32) == ""
    assert "product is wrong" in layer_fault(torch.randn(256, 64), Reference(), dtype=torch.float32)  # not 2:4
    backward = SparseForward.backward
    monkeypatch.setattr(SparseForward, "backward", lambda ctx, dy: (backward(ctx, dy)[0], *backward(ctx, 0.9 * dy)[1:]))
    assert "weight gradient is wrong" in layer_fault(weight, Reference(), dtype=torch.float32)


def test_masks_keep_two_of_every_four_inputs_and_use_all_six_ways() -> None:
    mask = two_of_four(torch.ones(64, 32))
    groups = mask.view(-1, 4)
    assert set(groups.sum(dim=1).tolist()) == {2}
    assert len({tuple(row) for row in groups.tolist()}) == 6


def test_a_block_agrees_with_itself_on_a_right_backend() -> None:
    block = bench_with(Reference())._fresh_block(64, sparse=True)
    assert block_fault(block, Reference(), dtype=torch.float32) == ""
    assert "block with 2:4 products is wrong" in block_fault(block, Wrong(), dtype=torch.float32)


def test_on_a_cpu_nothing_accelerates_2to4_and_the_reason_is_told() -> None:
    assert find_backend(CPU) == BackendChoice(None, None, "no 2:4 products on cpu")


def test_a_clock_tells_the_slower_of_two_pieces_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]  # a clock that only work moves on

    def work(seconds: float) -> Callable[[], None]:
        def done() -> None:
            now[0] += seconds

        return done

    monkeypatch.setattr("sparseplan.train.bench.timing.time", SimpleNamespace(perf_counter=lambda: now[0]))
    timing = compare(work(4e-3), work(2e-3), seconds=0.1, device=CPU)
    assert timing.sparse is not None
    assert timing.speedup is not None
    assert timing.dense.median == pytest.approx(4e-3)
    assert timing.speedup.median == pytest.approx(2.0)
    assert timing.speedup.ends == pytest.approx((2.0, 2.0))
    assert seconds_of(work(1e-3), 3, CPU) == pytest.approx(1e-3)


def test_the_default_grid_covers_small_and_large_models_layers_blocks_and_batches() -> None:
    full, quick = cases(gpu=True, quick=False), cases(gpu=True, quick=True)
    assert {c.width for c in full} >= {512, 1024, 4096, 8192}
    assert {(c.part, c.phase) for c in quick} == {
        ("linear", "forward"),
        ("linear", "training"),
        ("linear", "inference"),
        ("block", "training"),
        ("block", "inference"),
    }
    assert len(set(full)) == len(full) > 3 * len(quick)
    assert all(c.tokens % BLOCK_CONTEXT == 0 for c in full if c.part == "block")
    assert {c.width for c in cases(gpu=True, quick=True, widths=(640, 128, 640))} == {128, 640}


def test_a_profile_of_outcomes_takes_the_peak_of_its_datasheet() -> None:
    done = [outcome(case("block", tokens=8192), seconds=0.1), Outcome(case=case("linear"), skipped="no memory")]
    profile = assemble(FACTS, done, name="x", peak_flops=None, seconds=1.0)
    assert profile.peak_flops == 9.895e14
    rate, gain = training_rate(profile), speedup(profile, "training")
    assert rate is not None
    assert gain is not None
    assert rate.at(64.0) == pytest.approx(6 * 12 * 64**2 * 8192 / 0.1)
    assert gain.at(64.0) == pytest.approx(2.0)


def test_nothing_measured_is_an_error_that_says_why() -> None:
    with pytest.raises(HardwareError, match="no memory"):
        assemble(FACTS, [Outcome(case=case(), skipped="no memory")], name="x", peak_flops=None, seconds=1.0)


def request(path: Path) -> BenchRequest:
    return BenchRequest(out=path, device="cpu", widths=(8, 16), quick=True, seconds_per_case=0.005)


def measure_quietly(wanted: BenchRequest) -> Measurement:
    return measure(wanted, progress=lambda *_: None)


def test_bench_measures_the_cpu_and_its_profile_is_a_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cpu.yaml"
    result = measure_quietly(request(path))
    assert read_profile(path).hardware.accelerator == "cpu"
    assert result.skipped == []
    assert result.profile.two_to_four.backend is None
    assert not partial_path(path).exists()
    assert run(["optimal", "--device-hours", "1", "--params", "1M", "--cost", str(path), "--explain"]) == 0
    printed = capsys.readouterr().out
    assert "does not accelerate 2:4 in training (no 2:4 products on cpu)" in " ".join(printed.split())
    assert "Does sparsity pay on cpu" in printed


def test_a_profile_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "cpu.yaml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(HardwareError, match="`force`"):
        measure_quietly(request(path))
    assert path.read_text(encoding="utf-8") == "mine"


def test_an_interrupted_bench_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "cpu.yaml"

    def interrupt(done: int, total: int, now: Case | None) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(request(path), progress=interrupt)
    assert not path.exists()
    kept = partial_path(path).read_bytes()
    assert kept.count(b"\n") == 1 + 4
    partial_path(path).write_bytes(kept + b'{"case":{"part":"lin')  # as a crash in the middle of a line leaves it
    result = measure_quietly(request(path))
    for line, point in zip(kept.splitlines()[1:], result.profile.points[:4], strict=True):
        kept_point = msgspec.json.decode(line, type=Outcome).point
        assert kept_point is not None
        assert kept_point.dense.median == pytest.approx(point.dense.median, rel=1e-12)


def test_outcomes_of_another_device_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.partial.jsonl"
    Partial(path, Header(facts=FACTS, seconds_per_case=1.0)).add(outcome(case()))
    other = Facts(hardware=Hardware(device="another"), dtype="float32", two_to_four=TwoToFour(), driver="", versions={})
    with pytest.raises(HardwareError, match="of NVIDIA H100 80GB HBM3, this is another"):
        Partial(path, Header(facts=other, seconds_per_case=1.0))
    with pytest.raises(HardwareError, match="other versions or settings"):
        Partial(path, Header(facts=FACTS, seconds_per_case=2.0))
    path.write_bytes(b"nonsense\n")
    with pytest.raises(HardwareError, match="something else"):
        Partial(path, Header(facts=FACTS, seconds_per_case=1.0))


def test_a_case_that_kills_the_process_is_skipped_and_the_next_one_measured() -> None:
    with Measurer(Job(device="cpu", seconds_per_case=0.005)) as measurer:
        killed = measurer.measure(Case(part="block", phase="training", width=3, tokens=8))  # no shape has this width
        assert killed.point is None
        assert "the measuring process ended" in killed.skipped
        assert measurer.measure(case(width=8, tokens=8)).point is not None


def test_a_device_that_is_not_there_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--device", "tpu"]) == 2
    assert "expected cpu, cuda or cuda:1, found 'tpu'" in capsys.readouterr().err
    assert run(["bench", "--widths", "100,12"]) == 2
    assert run(["bench", "--figure", "x.gif"]) == 2


def test_control_c_ends_bench_with_130_and_keeps_what_was_measured(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "sparseplan",
        "bench",
        "--device",
        "cpu",
        "--widths",
        "8,16,24",
        "--out",
        "cpu.yaml",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    partial = tmp_path / "cpu.partial.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (partial.exists() and partial.read_bytes().count(b"\n") >= 2):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert partial.exists()


def test_the_picture_of_speedups_is_drawn_and_refused_where_there_is_nothing_to_draw(tmp_path: Path) -> None:
    kinds = (("linear", "forward"), ("linear", "training"), ("block", "inference"))
    done = [
        outcome(case(part, phase, width=width, tokens=4096), faster=width / 1024)
        for part, phase in kinds
        for width in (512, 1024, 4096)
    ]
    draw_speedups(assemble(FACTS, done, name="x", peak_flops=None, seconds=1.0), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    draw_speedups(assemble(FACTS, done, name="x", peak_flops=None, seconds=1.0), tmp_path / "x.svg")
    drawn = (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert all(f">{series}<" in drawn for series in ("forward pass", "forward and backward", "inference, prefill"))
    dense = assemble(FACTS, [outcome(case(), faster=None)], name="x", peak_flops=None, seconds=1.0)
    for profile in (dense, load_profile("h100")):
        with pytest.raises(HardwareError, match="expected times of 2:4 to draw"):
            draw_speedups(profile, tmp_path / "y.png")


def test_hardware_list_and_show_say_what_is_datasheet_and_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["hardware", "show", "a100"]) == 0
    assert "Datasheet, nothing measured" in capsys.readouterr().out
    (tmp_path / "calibration" / "hardware").mkdir(parents=True)
    (tmp_path / "calibration" / "hardware" / "mine.yaml").write_text("kind: measured", encoding="utf-8")
    assert run(["hardware", "list"]) == 0
    printed = capsys.readouterr().out
    assert "broken" in printed
    assert printed.count("datasheet") >= 5
    assert slug("Some (R) Thing!") == "some-thing"
