"""Peak memory, as the kernel counts it for the program that runs.

`ru_maxrss` won't do: a child inherits the peak of the process that started it, here of the whole suite.
"""

import inspect
from pathlib import Path


def megabytes(kind: str) -> int:
    """`VmHWM`: the most this process held since the last `forget_peak`; `VmRSS`: what it holds now."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{kind}:")) // 1024


def forget_peak() -> None:
    """Start this process's peak again from what it holds now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


# For programs that tests start, which may not find this package.
MEGABYTES = "from pathlib import Path\n" + inspect.getsource(megabytes)
