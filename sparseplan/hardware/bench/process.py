"""The measuring process, seen from outside: started, asked case by case, restarted where a case kills it."""

import importlib.util
import subprocess
import tempfile
from types import TracebackType
from typing import IO, Self, TypeVar

import msgspec

from sparseplan.common.child import python
from sparseplan.errors import HardwareError
from sparseplan.hardware.bench.protocol import Case, Facts, Job, Outcome, to_line

MODULE = "sparseplan.train.bench"
_BAD_INPUT = 2
T = TypeVar("T", Facts, Outcome)


class Measurer:
    """A conversation with the process; use as a context manager, which ends the process."""

    def __init__(self, job: Job, *, module: str = MODULE) -> None:
        if importlib.util.find_spec("torch") is None:
            raise HardwareError(
                "measuring needs torch: install sparseplan[calibrate], or torch in your build for the GPU."
            )
        self._job, self._module = job, module
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        try:
            self.facts = self._start()
        except BaseException:
            self._complaints.close()
            raise

    def _start(self) -> Facts:
        # A session of its own: Ctrl-C reaches us alone, and we end the process.
        self._process = subprocess.Popen(
            python("-m", self._module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            start_new_session=True,
        )
        facts = self._ask(self._job, Facts)
        if facts is None:
            status = self._end()
            what = self._last_words() or f"exit status {status}"
            if status == _BAD_INPUT:
                raise HardwareError(what)
            raise HardwareError(f"the measuring process ended before it began: {what}")
        return facts

    def measure(self, case: Case) -> Outcome:
        """Time one case; a case that kills the process is skipped, and the process started again for the next."""
        outcome = self._ask(case, Outcome)
        if outcome is not None:
            return outcome
        status = self._end()
        why = f"the measuring process ended (exit status {status})"
        words = self._last_words()
        facts = self._start()
        if facts != self.facts:
            raise HardwareError("the device changed while it was measured; start again.")
        return Outcome(case=case, skipped=f"{why}: {words}" if words else why)

    def _ask(self, question: Job | Case, answer: type[T]) -> T | None:
        """Send a line and wait for the answer; None if the process ends instead."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(to_line(question))
            process.stdin.flush()
        except BrokenPipeError:
            return None
        line = process.stdout.readline()
        return msgspec.json.decode(line, type=answer) if line.endswith(b"\n") else None

    def _end(self) -> int:
        process = self._process
        assert process is not None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what it didn't read any more is lost with it
        try:
            return process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and kind is not None:
            self._process.kill()
        if self._process is not None:
            self._end()
        self._complaints.close()
