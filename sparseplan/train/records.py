"""What a segment reports once it has ended."""

import msgspec
import torch

from sparseplan.runs.job import RunRecord, Segment, TrunkRecord
from sparseplan.train.device import device_name, versions
from sparseplan.train.runner import Execution
from sparseplan.train.semi_structured import Choice


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How a segment's training went.

    Attributes:
        step: The step that it came to.
        reason: Why it diverged; None where it didn't.
        seconds: Wall time of all attempts.
        tokens_per_second: Of the updates of this attempt; None where it had none.
        execution: How updates were run.
        semi_structured: What became of 2:4 products; None where the pattern has none.
    """

    step: int
    reason: str | None
    seconds: float
    tokens_per_second: float | None
    execution: Execution
    semi_structured: Choice | None


def trunk_record(segment: Segment, course: Course, device: torch.device) -> TrunkRecord:
    """The record of a trunk."""
    return TrunkRecord(
        trunk_id=segment.id,
        step=course.step,
        diverged=course.reason is not None,
        reason=course.reason,
        segment_seconds=course.seconds,
        tokens_per_second=course.tokens_per_second,
        device=device_name(device),
        execution=course.execution,
        versions=versions(device),
    )


def run_record(
    segment: Segment,
    course: Course,
    device: torch.device,
    *,
    loss: float | None,
    bits_per_byte: float | None,
    accuracy: float | None,
    zeros: int | None,
) -> RunRecord:
    """The record of a run.

    Args:
        segment: The segment that ended it.
        course: How it went.
        device: Where.
        loss: Validation loss; None where it diverged.
        bits_per_byte: The same per byte of text, where it has such a meaning.
        accuracy: Share of right answers, where the task counts them.
        zeros: Pruned weights, as counted; None to take what the specification asks for.
    """
    run, choice = segment.run, course.semi_structured
    facts = run.facts()
    if zeros is not None:
        facts = msgspec.structs.replace(facts, nonzero_params=facts.dense_params - zeros)
    return RunRecord(
        **msgspec.structs.asdict(facts),
        loss=loss,
        bits_per_byte=bits_per_byte,
        accuracy=accuracy,
        diverged=course.reason is not None,
        reason=None if course.reason is None else f"{course.reason}, at step {course.step}",
        trunk=segment.parent,
        trunk_step=segment.from_step,
        segment_seconds=course.seconds,
        tokens_per_second=course.tokens_per_second,
        device=device_name(device),
        execution=course.execution,
        semi_structured=choice is not None and choice.use,
        semi_structured_reason=None if choice is None else choice.reason,
        versions=versions(device),
    )
