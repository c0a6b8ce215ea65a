"""What runs sparse models faster today: a dated list of engines, patterns and figures, with where each is printed.

The list is data, `builtin/engines.yaml`. It tells a planner which speed-up can be had; no cost is computed from it. A
figure that is to count goes into a profile, as a row of its `kernels`.
"""

from functools import cache
from typing import Annotated, Literal, cast

from msgspec import Meta, Struct

from sparseplan.common import lookup, yaml_struct
from sparseplan.errors import HardwareError

State = Literal["supported", "prototype", "research", "removed", "end of life", "none"]
Month = Annotated[str, Meta(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")]


class Engine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one engine makes of one pattern.

    Attributes:
        engine: Its name.
        device: What it runs on.
        pattern: unstructured, an n:m, or any.
        work: training, inference, or which kind of it: decoding or prefill.
        state: Whether it can be used: supported, prototype (may change), research (code of a paper), removed, end of
            life, or none (never was).
        date: Month in which the state began or the figure was printed.
        source: Where that is printed.
        how: What of it does the work, or turns it on.
        version: The version that was looked at, or the first one without it.
        batch: How much at once the figure was measured on.
        speedup: Time of dense weights over that of sparse ones, as the source has it; empty where it has none.
        evidence: measured where the source prints hardware and figures, claimed where it states a figure without them.
    """

    engine: Annotated[str, Meta(min_length=1)]
    device: Annotated[str, Meta(min_length=1)]
    pattern: Annotated[str, Meta(min_length=1)]
    work: Annotated[str, Meta(min_length=1)]
    state: State
    date: Month
    source: Annotated[str, Meta(min_length=1)]
    how: str = ""
    version: str = ""
    batch: str = ""
    speedup: str = ""
    evidence: Literal["measured", "claimed"] | None = None

    def __post_init__(self) -> None:
        if bool(self.speedup) != (self.evidence is not None):
            raise ValueError("expected a speedup and its evidence together, found one of them; add the other")


class Engines(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The list, and the month in which all of it was looked up."""

    format: Literal["sparseplan-engines/1"]
    looked_up: Month
    engines: Annotated[list[Engine], Meta(min_length=1)]


@cache
def engines() -> Engines:
    """The list that ships with the package."""
    document = yaml_struct.read_document(lookup.BUILTIN / "engines.yaml", kind="list of engines", error=HardwareError)
    return cast(Engines, yaml_struct.convert(document, Engines, error=HardwareError))
