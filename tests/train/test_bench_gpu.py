"""Claims about 2:4 on a real device; they need a CUDA device with sparse tensor cores."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from sparseplan.hardware.bench.measure import BenchRequest, measure
from sparseplan.hardware.bench.protocol import Case
from sparseplan.hardware.profile import Phase, speedup, training_rate
from sparseplan.train.bench.device import BackendChoice, find_backend, two_of_four
from sparseplan.train.bench.work import Bench, block_fault, layer_fault

pytestmark = pytest.mark.gpu
WIDTHS = (512, 1024, 4096, 8192)


@pytest.fixture(scope="module")
def device() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device can be reached from here")
    return torch.device("cuda", 0)


@pytest.fixture(scope="module")
def found(device: torch.device) -> BackendChoice:
    found = find_backend(device)
    if found.backend is None:
        pytest.skip(f"no 2:4 products on this device: {found.reason}")
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_2to4_forward_and_backward_agree_with_masked_dense_in_bfloat16_against_float64(
    width: int, device: torch.device, found: BackendChoice
) -> None:
    assert found.backend is not None
    for outputs, inputs in ((width, width), (4 * width, width), (width, 4 * width)):
        weight = torch.randn(outputs, inputs, device=device) / inputs**0.5
        weight *= two_of_four(weight)
        assert layer_fault(weight, found.backend, dtype=torch.bfloat16) == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_a_block_with_2to4_products_agrees_with_the_dense_one(
    width: int, device: torch.device, found: BackendChoice
) -> None:
    assert found.backend is not None
    block = Bench(device=device, dtype=torch.bfloat16, found=found, seconds=0.1)._fresh_block(width, sparse=True)
    assert block_fault(block, found.backend, dtype=torch.bfloat16) == ""


def test_the_check_finds_a_weight_that_is_not_2to4(device: torch.device, found: BackendChoice) -> None:
    assert found.backend is not None
    assert layer_fault(torch.randn(1024, 1024, device=device), found.backend, dtype=torch.bfloat16) != ""


@pytest.mark.parametrize("phase", ["forward", "training", "inference"])
def test_every_phase_is_timed_by_events_dense_and_2to4(
    phase: Phase, device: torch.device, found: BackendChoice
) -> None:
    point = Bench(device=device, dtype=torch.bfloat16, found=found, seconds=0.2).measure(
        Case(part="linear", phase=phase, width=2048, tokens=4096)
    )
    assert point.speedup is not None
    # 4096 x 2048 x 8192 multiply-adds take longer than a microsecond on any device, and less than a second.
    assert 1e-6 < point.dense.median < 1.0


def test_bench_writes_a_profile_of_the_device_with_2to4_times(
    device: torch.device, found: BackendChoice, tmp_path: Path
) -> None:
    wish = BenchRequest(out=tmp_path / "gpu.yaml", device="cuda:0", widths=(1024, 2048), quick=True)
    profile = measure(wish, progress=lambda *_: None).profile
    assert profile.two_to_four.backend == found.name
    assert speedup(profile, "training", part="block") is not None
    rate = training_rate(profile)
    assert rate is not None
    if profile.peak_flops is not None:
        assert 0 < rate.at(2048.0) < profile.peak_flops
