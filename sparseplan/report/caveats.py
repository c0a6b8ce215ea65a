"""Caveats for people: the gravest first."""

from rich.console import Console

from sparseplan.common.caveat import Caveat
from sparseplan.common.console import say, say_wrapped

GRAVEST = (
    "status",
    "shadowed",
    "poor-fit",
    "trend",
    "misfit",
    "units",
    "dense-counts",
    "repetition-disagreement",
    "start-assumed",
    "start-extrapolation",
    "held-out-error",
    "transferred",
    "pattern-borrowed",
    "sparsity-capped",
    "extrapolation",
    "sparsity-gap",
    "hardware-datasheet",
)
"""Codes of warnings that come first, in this order."""


def print_caveats(console: Console, caveats: list[Caveat], *, most: int | None = None) -> None:
    """Print caveats as a list, the gravest first: `most` of them, and how many are left."""
    listed = sorted((one for one in caveats if one.code != "dense-only"), key=gravity)
    shown = listed if most is None or len(listed) <= most else listed[:most]
    for caveat in shown:
        say_wrapped(console, f"! {caveat.message}", style="yellow", indent="  ")
    if len(shown) < len(listed):
        say(console, f"  {len(listed) - len(shown)} more with `explain`")


def gravity(caveat: Caveat) -> int:
    """Where a warning stands in a list: the gravest are 0."""
    return GRAVEST.index(caveat.code) if caveat.code in GRAVEST else len(GRAVEST)
