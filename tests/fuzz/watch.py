"""Run one command through the error boundary that users see, and hold it against what is claimed of every input."""

import io
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from sparseplan.cli import run
from sparseplan.common.text import shown
from tests.helpers.memory import forget_peak, megabytes

MOST_SECONDS = 5.0
MOST_MEGABYTES = 1000


def check(arguments: list[str], folder: Path, *, written: Path | None = None) -> int:
    """Run a command and check every claim; returns the exit code, 0 or 2."""
    return check_call(lambda: run(arguments), arguments, folder, written=written)


def check_call(call: Callable[[], int], what: object, folder: Path, *, written: Path | None = None) -> int:
    """As `check`, for anything that returns an exit code: `what` names it where a claim fails."""
    before = {path for path in folder.rglob("*") if path != written}
    out, err = io.StringIO(), io.StringIO()
    held = megabytes("VmRSS")  # by the tests before
    forget_peak()
    started = time.process_time()
    with _no_longer_than(60), warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("error")  # a warning would be noise on standard error
        status = call()
    seconds = time.process_time() - started
    said = f"{what}\n{out.getvalue()[:2000]}\n{err.getvalue()[:2000]}"
    assert status in (0, 2), said
    assert seconds < MOST_SECONDS, f"{seconds:.1f} s: {said}"
    for text in (out.getvalue(), err.getvalue()):
        assert shown(text, lines=True) == text, f"reaches the terminal: {said}"
        assert "Traceback" not in text, said
    if status == 2 and "Usage: sparseplan" not in out.getvalue():  # without a command, its help
        assert out.getvalue() == "", said
        assert err.getvalue().strip(), said
    after = {path for path in folder.rglob("*") if path != written}
    assert after == before, f"left over: {sorted(map(str, after ^ before))}: {said}"
    more = megabytes("VmHWM") - held
    assert more < MOST_MEGABYTES, f"{more} MB: {said}"
    return status


@contextmanager
def _no_longer_than(seconds: int) -> Iterator[None]:
    """End what would never end; a busy machine takes longer than `MOST_SECONDS`, which counts its own time only."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
