"""`python -m sparseplan.sweep.worker TRAINER JOB.json ...`: a training process that doesn't outlive its driver.

The driver holds the other end of this process's standard input and never writes to it. When that end closes, the
driver is gone, however it went: the training is asked to save itself and stop, as by SIGTERM.
"""

import os
import runpy
import signal
import sys
import threading


def _stop_with_the_driver() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_the_driver, daemon=True).start()
    trainer = sys.argv.pop(1)
    runpy.run_module(trainer, run_name="__main__", alter_sys=True)
