"""Seconds of a segment and of a whole sweep, from tokens per second of each shape."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparseplan.runs.job import Segment
from sparseplan.shapes.families import Shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """How fast this device trains.

    Attributes:
        tokens_per_second: Of each shape, one worker among as many as will be at work; empty where it is not known.
        startup_seconds: What a worker takes before it trains.
    """

    tokens_per_second: Mapping[Shape, float]
    startup_seconds: float = 0.0

    @property
    def known(self) -> bool:
        """Whether anything was measured."""
        return bool(self.tokens_per_second)

    def seconds(self, segment: Segment) -> float:
        """Time of a segment, its evaluation included: a token that is only read costs a third of one trained on."""
        rate = self._rate(segment.run.shape)
        return 0.0 if rate is None else work_of(segment) / rate

    def learned(self, samples: Mapping[Shape, tuple[float, float]]) -> "Speed":
        """The speed that finished segments showed; shapes of which none has finished follow in proportion.

        Args:
            samples: For each shape the `work_of` its finished segments, and the seconds that they took.
        """
        shown = {shape: work / seconds for shape, (work, seconds) in samples.items()}
        expected = sum(work / rate for shape, (work, _) in samples.items() if (rate := self._rate(shape)))
        taken = sum(seconds for _, seconds in samples.values())
        slower = taken / expected if expected else 1.0
        probed = {shape: rate / slower for shape, rate in self.tokens_per_second.items()}
        return Speed(tokens_per_second=probed | shown, startup_seconds=self.startup_seconds)

    def _rate(self, shape: Shape) -> float | None:
        """Tokens per second; a shape that wasn't measured trains at the speed of the nearest, by its FLOPs."""
        rate = self.tokens_per_second.get(shape)
        if rate is None:
            if not self.tokens_per_second:
                return None
            nearest = min(
                self.tokens_per_second,
                key=lambda known: abs(known.machine_flops_per_token() - shape.machine_flops_per_token()),
            )
            ratio = nearest.machine_flops_per_token() / shape.machine_flops_per_token()
            rate = self.tokens_per_second[nearest] * ratio
        return rate


def work_of(segment: Segment) -> float:
    """Tokens of a segment, as many as are trained on in the time that it takes, evaluation included."""
    run, shape = segment.run, segment.run.shape
    at_hand = run.data.valid.tokens / shape.entries_per_sequence
    read = min(run.evaluation_sequences, at_hand) if segment.finish else 0
    return segment.tokens + read * shape.tokens_per_sequence / 3


def priorities(segments: Sequence[Segment], speed: Speed) -> dict[str, float]:
    """The seconds that must at least pass from a segment's start to the end of all that waits for it; parents come
    before their children.
    """
    by_id = {segment.id: segment for segment in segments}
    urgency: dict[str, float] = {}
    for segment in reversed(segments):  # children first
        own = urgency[segment.id] = max(speed.seconds(segment), urgency.get(segment.id, 0.0))
        if segment.needs is not None and segment.needs.segment in by_id:
            before = by_id[segment.needs.segment]
            # a child starts at its branch step, maybe long before the trunk ends
            reached = speed.seconds(before) * _share_until(segment.needs.step, before)
            urgency[before.id] = max(urgency.get(before.id, 0.0), reached + own)
    return urgency


def _share_until(step: int, segment: Segment) -> float:
    """The share of a segment that is trained when it comes to a step."""
    return (step - segment.from_step) / max(1, segment.to_step - segment.from_step)


def expected_seconds(segments: Sequence[Segment], speed: Speed, *, workers: int) -> float:
    """How long `workers` take for some segments, each worker always taking the most urgent one that can start."""
    urgency = priorities(segments, speed)
    waiting: list[tuple[float, float, str]] = []
    by_id = {segment.id: segment for segment in segments}
    children: dict[str, list[Segment]] = {}
    for segment in segments:
        if segment.needs is not None and segment.needs.segment in by_id:
            children.setdefault(segment.needs.segment, []).append(segment)
        else:
            waiting.append((0.0, -urgency[segment.id], segment.id))
    free = [speed.startup_seconds] * workers
    end = 0.0
    while waiting:
        now = max(heapq.heappop(free), min(waiting)[0])
        chosen = min((entry for entry in waiting if entry[0] <= now), key=lambda entry: entry[1])
        waiting.remove(chosen)
        segment = by_id[chosen[2]]
        seconds = speed.seconds(segment)
        heapq.heappush(free, now + seconds)
        end = max(end, now + seconds)
        for child in children.get(segment.id, ()):
            step = child.needs.step if child.needs is not None else segment.to_step
            waiting.append((now + seconds * _share_until(step, segment), -urgency[child.id], child.id))
    return end
