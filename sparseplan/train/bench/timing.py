"""Time two pieces of work side by side: repeats alternate, so that a drifting clock speed touches both alike."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from sparseplan.hardware.kernels import Spread

Work = Callable[[], object]
WARM_UP_CALLS = 3
FEWEST, MOST = 5, 200
SAMPLE_SECONDS = 2e-3
"""A repeat lasts at least this long: many calls of short work, so that the clock's grain doesn't matter."""
MOST_CALLS = 2000


class Timing(NamedTuple):
    """Seconds a call of the dense and the 2:4 work, and their ratio: of the medians, with the percentiles of pairs."""

    dense: Spread
    sparse: Spread | None
    speedup: Spread | None


def seconds_of(work: Work, calls: int, device: torch.device) -> float:
    """Seconds a call, over `calls` calls: by CUDA events on a GPU, by the monotonic clock elsewhere."""
    if device.type == "cuda":
        start: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        start.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3 / calls
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls


def compare(dense: Work, sparse: Work | None, *, seconds: float, device: torch.device) -> Timing:
    """Warm up, then alternate repeats of both for about `seconds`, at least `FEWEST` each."""
    works = [dense] if sparse is None else [dense, sparse]
    calls = []
    for work in works:
        seconds_of(work, WARM_UP_CALLS, device)
        once = seconds_of(work, 1, device)
        calls.append(int(np.clip(np.ceil(SAMPLE_SECONDS / max(once, 1e-7)), 1, MOST_CALLS)))
    repeats: list[list[float]] = []
    began = time.perf_counter()
    while len(repeats) < FEWEST or (len(repeats) < MOST and time.perf_counter() - began < seconds):
        repeats.append([seconds_of(work, count, device) for work, count in zip(works, calls, strict=True)])
    table = np.array(repeats)
    if sparse is None:
        return Timing(spread(table[:, 0]), None, None)
    first, second = spread(table[:, 0]), spread(table[:, 1])
    ratio = first.median / second.median
    pairs_low, pairs_high = spread(table[:, 0] / table[:, 1]).ends
    return Timing(first, second, Spread(median=ratio, low=min(ratio, pairs_low), high=max(ratio, pairs_high)))


def spread(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Spread:
    """Median and percentiles 10 and 90."""
    low, median, high = (float(value) for value in np.quantile(values, [0.1, 0.5, 0.9]))
    return Spread(median=median, low=low, high=high)
