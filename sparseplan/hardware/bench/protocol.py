"""The contract between `sparseplan bench` and the process that measures, `python -m sparseplan.train.bench`.

The process reads JSON lines from its standard input and answers in JSON lines on its standard output: a `Job` first,
answered by the `Facts` of the device, then any number of `Case`, each answered by its `Outcome`.
"""

import msgspec
from msgspec import Struct

from sparseplan.hardware.profile import Hardware, Part, Phase, Point, TwoToFour

BLOCK_CONTEXT = 2048
"""Tokens of a sequence in a block; a block of fewer tokens is one sequence."""


class Job(Struct, frozen=True, kw_only=True):
    """Where to measure and how long.

    Attributes:
        device: cpu, cuda or cuda:1; None takes the first GPU, else the CPU.
        seconds_per_case: Time for the repeats of one case, dense and 2:4 together, warm-up not counted.
        seed: Of the random weights and inputs.
    """

    device: str | None
    seconds_per_case: float
    seed: int = 0


class Facts(Struct, frozen=True, kw_only=True):
    """What the process found: two runs with the same facts may be put together."""

    hardware: Hardware
    dtype: str
    two_to_four: TwoToFour
    driver: str
    versions: dict[str, str]


class Case(Struct, frozen=True, kw_only=True):
    """One piece of work to time; the words are those of `hardware.Point`."""

    part: Part
    phase: Phase
    width: int
    tokens: int


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a case: a point, or the reason that there is none."""

    case: Case
    point: Point | None = None
    skipped: str = ""


def to_line(struct: Job | Facts | Case | Outcome) -> bytes:
    """One line of the conversation."""
    return msgspec.json.encode(struct) + b"\n"
