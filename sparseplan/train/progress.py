"""Progress as JSON lines, for whoever drives the process."""

import sys
import time
from pathlib import Path
from typing import Literal

import msgspec

from sparseplan.runs.job import Progress, Segment


class Reporter:
    """Appends lines of `Progress` to a file, or to standard output; a line is written whole."""

    def __init__(self, path: str | None, segment: Segment, *, every_seconds: float) -> None:
        self._path, self._segment, self._every = Path(path) if path else None, segment, every_seconds
        self._last_time, self._last_step = time.perf_counter(), 0

    def start(self, step: int) -> None:
        """Say where training goes on."""
        self._last_time, self._last_step = time.perf_counter(), step
        self.say("start", step)

    def due(self) -> bool:
        """Whether it is time to say how training goes."""
        return time.perf_counter() - self._last_time >= self._every

    def step(self, step: int, loss: float) -> None:
        """Say how training goes."""
        now = time.perf_counter()
        rate = (step - self._last_step) * self._segment.run.tokens_per_step / (now - self._last_time)
        self.say("step", step, loss=loss, tokens_per_second=rate)
        self._last_time, self._last_step = now, step

    def say(
        self,
        event: Literal["start", "step", "checkpoint", "note", "done"],
        step: int,
        *,
        loss: float | None = None,
        tokens_per_second: float | None = None,
        seconds: float | None = None,
        note: str | None = None,
    ) -> None:
        """Write one line."""
        line = msgspec.json.encode(
            Progress(
                event=event,
                segment=self._segment.id,
                step=step,
                steps=self._segment.to_step,
                loss=loss,
                tokens_per_second=tokens_per_second,
                seconds=seconds,
                note=note,
            )
        )
        if self._path is None:
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.flush()
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(line + b"\n")
