"""`python -m sparseplan.train JOB.json [JOB.json ...]`: do the jobs one after the other, one result file each.

Exit status: 0 done (a divergence is a result too), 1 our fault or a broken checkpoint, which was set aside, 2 bad
input, 3 out of memory, 130 asked to stop (by SIGINT or SIGTERM, after saving). A job whose result is there is done.
"""

import gc
import signal
import sys
import threading
from pathlib import Path

import torch

from sparseplan.common.files import write_bytes
from sparseplan.errors import BrokenFileError, SparseplanError
from sparseplan.runs.job import EXIT_OUT_OF_MEMORY, read_job, rolling_checkpoint, to_json
from sparseplan.train.loop import StoppedError, Training

EXIT_OUR_FAULT, EXIT_BAD_INPUT, EXIT_STOPPED = 1, 2, 130


def run_job(path: Path, *, stop: threading.Event) -> None:
    """Do one job.

    Raises:
        SparseplanError: for a bad job, data that don't fit it, or a file that can't be written.
        StoppedError: if asked to stop.
    """
    job = read_job(path)
    result = Path(job.result)
    if not result.exists():
        record = Training(job, stop=stop).train()
        write_bytes(result, to_json(record), durable=True)
    rolling_checkpoint(job.checkpoints, job.segment.id).unlink(missing_ok=True)  # only an unfinished segment needs it


def main(arguments: list[str], *, stop: threading.Event) -> int:
    """Do the jobs named on the command line until asked to stop; returns the exit status."""
    if not arguments:
        print(f"expected one job file or more: {__doc__}", file=sys.stderr)
        return EXIT_BAD_INPUT
    for argument in arguments:
        try:
            run_job(Path(argument), stop=stop)
        except SparseplanError as problem:
            print(problem, file=sys.stderr)
            # a broken file was set aside by now: started again, the segment finds another way
            return EXIT_OUR_FAULT if isinstance(problem, BrokenFileError) else EXIT_BAD_INPUT
        except StoppedError:
            return EXIT_STOPPED
        except (torch.OutOfMemoryError, MemoryError) as problem:
            print(f"{argument}: out of memory: {str(problem).splitlines()[0]}", file=sys.stderr)
            return EXIT_OUT_OF_MEMORY
        except RuntimeError as problem:
            if "can't allocate memory" not in str(problem):  # how torch's CPU allocator fails
                raise
            print(f"{argument}: out of memory: {str(problem).splitlines()[0]}", file=sys.stderr)
            return EXIT_OUT_OF_MEMORY
        gc.collect()
    return 0


if __name__ == "__main__":
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    sys.exit(main(sys.argv[1:], stop=asked_to_stop))
