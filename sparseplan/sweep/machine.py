"""What a worker finds on this machine: asked of a process of its own, since nothing here imports torch."""

import subprocess
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from sparseplan.common.child import python
from sparseplan.errors import NoTorchError, SweepError

_QUESTION = """
import json, os, sys
try:
    import torch
except ImportError as problem:
    print(json.dumps({"missing": str(problem)}))
    sys.exit()
cuda = torch.cuda.is_available()
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else []
print(json.dumps({"torch": torch.__version__, "cores": cores, "gpus": gpus}))
"""


class Machine(Struct, frozen=True, kw_only=True):
    """Torch's version, CPU cores that may be used, and names of the GPUs."""

    torch: str
    cores: int
    gpus: tuple[str, ...]

    def devices(self, wanted: str, workers: int | None) -> tuple[str, ...]:
        """The device of each worker: by default one worker per GPU, or else one per CPU core.

        Raises:
            SweepError: if a GPU is wanted and there is none.
        """
        if wanted == "auto":
            wanted = "cuda" if self.gpus else "cpu"
        if wanted.startswith("cuda") and not self.gpus:
            raise SweepError(f"expected the device {wanted}, found no CUDA GPU; choose `device` cpu.")
        if wanted == "cuda":
            count = workers or len(self.gpus)
            return tuple(f"cuda:{index % len(self.gpus)}" for index in range(count))
        return (wanted,) * (workers or (self.cores if wanted == "cpu" else 1))


@cache
def probe_machine() -> Machine:
    """Ask what a worker finds here; asked once, since importing torch takes seconds.

    Raises:
        NoTorchError: if torch is not installed or doesn't start.
    """
    answer = subprocess.run(python("-c", _QUESTION), capture_output=True, text=True, check=False)
    try:
        facts: dict[str, Any] = msgspec.json.decode(answer.stdout.strip().rpartition("\n")[2])
    except msgspec.DecodeError:
        tail = answer.stderr.strip().splitlines()[-1:] or [f"exit status {answer.returncode}"]
        raise NoTorchError(f"calibrating needs a torch that starts, found: {tail[0]}") from None
    if "missing" in facts:
        raise NoTorchError(
            f"calibrating needs torch, found: {facts['missing']}. Install it: pip install 'sparseplan[calibrate]'"
        )
    return msgspec.convert(facts, Machine)
