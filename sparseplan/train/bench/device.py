"""The device: which one, what its driver calls it, and whether anything on it multiplies 2:4 weights faster."""

import platform
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparseplan.errors import HardwareError
from sparseplan.hardware.bench.protocol import Facts
from sparseplan.hardware.profile import Hardware, TwoToFour
from sparseplan.train.device import cpu_name
from sparseplan.train.semi_structured import Backend, CuSparseLt, numeric_mismatch, why_unsupported

_TRIAL_SIDE = 256


class Cutlass:
    """torch's semi-structured tensors on CUTLASS, for compute capability 8.x."""

    def compress(self, weight: Tensor) -> Any:
        """Compress a bfloat16 CUDA weight."""
        from torch.sparse import SparseSemiStructuredTensorCUTLASS  # noqa: PLC0415  absent in CPU-only builds

        return SparseSemiStructuredTensorCUTLASS.from_dense(weight)

    def linear(self, x: Tensor, compressed: Any) -> Tensor:
        """Multiply on sparse tensor cores."""
        return torch.nn.functional.linear(x, compressed)


BACKENDS: dict[str, Callable[[], Backend]] = {"cusparselt": CuSparseLt, "cutlass": Cutlass}


class BackendChoice(NamedTuple):
    """The backend for 2:4 products, or the reason that there is none."""

    name: str | None
    backend: Backend | None
    reason: str


def open_device(name: str | None) -> torch.device:
    """The device of that name, or the first GPU, or the CPU.

    Raises:
        HardwareError: if it isn't there.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and re.fullmatch(r"cuda(:\d+)?", name) is None:
        raise HardwareError(f"`device`: expected cpu, cuda or cuda:1, found {name!r}.")
    device = torch.device(name)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise HardwareError("`device`: no CUDA device can be reached from here; `device` cpu measures the CPU.")
        if (device.index or 0) >= torch.cuda.device_count():
            raise HardwareError(f"`device`: expected one of {torch.cuda.device_count()} CUDA devices, found {name}.")
        device = torch.device("cuda", device.index or 0)
        torch.cuda.set_device(device)
    return device


def training_dtype(device: torch.device) -> torch.dtype:
    """What activations are in: bfloat16 on a GPU, float32 on a CPU."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def two_of_four(weight: Tensor) -> Tensor:
    """A random mask of a weight's shape that keeps two of every four consecutive inputs."""
    patterns = [[i in pair for i in range(4)] for pair in combinations(range(4), 2)]
    table = torch.tensor(patterns, device=weight.device)
    return table[torch.randint(len(patterns), (weight.numel() // 4,), device=weight.device)].view(weight.shape)


def find_backend(device: torch.device) -> BackendChoice:
    """The first backend whose product of a small weight is right on this device."""
    weight = torch.randn(_TRIAL_SIDE, _TRIAL_SIDE, device=device)
    mask = two_of_four(weight)
    fault = why_unsupported([mask], device=device, dtype=training_dtype(device))
    if fault is not None:
        return BackendChoice(None, None, fault)
    reasons = []
    for name, make in BACKENDS.items():
        backend = make()
        try:
            fault = numeric_mismatch(backend, [weight * mask], rows=_TRIAL_SIDE, dtype=training_dtype(device))
        except (RuntimeError, NotImplementedError, ImportError, ValueError) as problem:
            fault = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        if fault is None:
            return BackendChoice(name, backend, "")
        reasons.append(f"{name}: {fault}")
    return BackendChoice(None, None, "; ".join(reasons))


def describe(device: torch.device, found: BackendChoice) -> Facts:
    """The facts of a device."""
    versions = {"torch": str(torch.__version__), "python": platform.python_version()}
    two_to_four = TwoToFour(backend=found.name, reason=found.reason)
    dtype = str(training_dtype(device)).removeprefix("torch.")
    if device.type == "cpu":
        versions["threads"] = str(torch.get_num_threads())
        hardware = Hardware(device=cpu_name(), accelerator="cpu")
        return Facts(hardware=hardware, dtype=dtype, two_to_four=two_to_four, driver="", versions=versions)
    properties = torch.cuda.get_device_properties(device)
    versions["cuda"] = str(torch.version.cuda)
    if torch.backends.cusparselt.is_available():
        versions["cusparselt"] = str(torch.backends.cusparselt.version())
    hardware = Hardware(
        device=properties.name,
        accelerator="cuda",
        capability=f"{properties.major}.{properties.minor}",
        memory_bytes=float(properties.total_memory),
    )
    return Facts(hardware=hardware, dtype=dtype, two_to_four=two_to_four, driver=driver_version(), versions=versions)


def driver_version() -> str:
    """The NVIDIA driver's version, empty where the system doesn't tell."""
    path = Path("/proc/driver/nvidia/version")
    match = re.search(r"\b\d{3}\.\d+(?:\.\d+)?\b", path.read_text(encoding="utf-8")) if path.exists() else None
    return match[0] if match else ""
