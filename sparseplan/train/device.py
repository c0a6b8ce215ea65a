"""The device of a training: opened, and described for its record."""

import platform
import re
from pathlib import Path

import numpy as np
import torch

from sparseplan.errors import SparseplanError
from sparseplan.version import __version__


def open_device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        SparseplanError: if it isn't there.
    """
    if not name.startswith("cuda"):
        return torch.device(name)
    if not torch.cuda.is_available():
        raise SparseplanError(
            f"expected the device {name}, found no CUDA; choose the device cpu, or install CUDA torch."
        )
    index = torch.device(name).index or 0
    if index >= torch.cuda.device_count():
        raise SparseplanError(f"expected one of {torch.cuda.device_count()} CUDA devices, found {name}.")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """What its maker calls it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def cpu_name() -> str:
    """The processor's model name, from Linux's list where there is one."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        match = re.search(r"^model name\s*:\s*(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine() or "CPU"


def versions(device: torch.device) -> dict[str, str]:
    """Versions of what a training's numbers rest on."""
    found = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "sparseplan": __version__,
    }
    if device.type == "cuda" and torch.version.cuda is not None:
        found["cuda"] = torch.version.cuda
    return found
