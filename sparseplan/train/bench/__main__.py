"""`python -m sparseplan.train.bench`: a job and cases in, facts and outcomes out, a JSON line each.

Exit status: 0 at the end of the input, 1 our fault, 2 for a device that isn't there.
"""

import gc
import sys

import msgspec
import torch

from sparseplan.errors import HardwareError
from sparseplan.hardware.bench.protocol import Case, Facts, Job, Outcome, to_line
from sparseplan.train.bench.device import describe, find_backend, open_device, training_dtype
from sparseplan.train.bench.work import Bench


def main() -> int:
    """Talk until the input ends; returns the exit status."""
    lines = iter(sys.stdin.buffer.readline, b"")
    job = msgspec.json.decode(next(lines), type=Job)
    try:
        device = open_device(job.device)
    except HardwareError as problem:
        print(problem, file=sys.stderr)
        return 2
    torch.manual_seed(job.seed)
    found = find_backend(device)
    answer(describe(device, found))
    bench = Bench(device=device, dtype=training_dtype(device), found=found, seconds=job.seconds_per_case)
    for line in lines:
        answer(outcome(bench, msgspec.json.decode(line, type=Case)))
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return 0


def outcome(bench: Bench, case: Case) -> Outcome:
    """Time a case, or say why it can't be."""
    try:
        return Outcome(case=case, point=bench.measure(case))
    except torch.OutOfMemoryError:
        return Outcome(case=case, skipped="not enough memory on the device")


def answer(struct: Facts | Outcome) -> None:
    """Write a line at once: whoever drives the process waits for it."""
    sys.stdout.buffer.write(to_line(struct))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
