"""What software makes of sparsity on a device, as a profile lists it: a row for each sparsity and kind of work."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sparseplan.errors import SparseplanError
from sparseplan.sparsity.pattern import parse_pattern

Positive = Annotated[float, Meta(gt=0)]
Serves = Literal["decoding", "prefill"]
Work = Literal["training", "decoding", "prefill"]


class Spread(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A median, and the percentiles 10 and 90 of what was measured around it; None where nothing was repeated."""

    median: Positive
    low: Positive | None = None
    high: Positive | None = None

    def __post_init__(self) -> None:
        if (self.low is not None and self.low > self.median) or (self.high is not None and self.high < self.median):
            raise ValueError(f"expected low <= median <= high, found {self.low}, {self.median:g}, {self.high}")

    @property
    def ends(self) -> tuple[float, float]:
        """Low and high, the median where they are unknown."""
        return self.low or self.median, self.high or self.median


class Kernel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much faster than dense some software runs one sparsity of a pattern on this device, at every width.

    Rows of one pattern and kind of work make a curve over sparsity (`hardware.acceleration`). Training is a step with
    the final mask, forward and backward.
    """

    pattern: Annotated[str, Meta(description="unstructured, or one n:m.")]
    work: Annotated[Work, Meta(description="Decoding: inference on few tokens at once; prefill: on many.")]
    sparsity: Annotated[
        Annotated[float, Meta(gt=0, lt=1)] | None, Meta(description="Of an unstructured row; that of n:m follows.")
    ] = None
    speedup: Annotated[Spread, Meta(description="Time of dense weights over that of sparse ones.")]
    evidence: Annotated[
        Literal["measured", "claimed"], Meta(description="Measured where the source prints hardware and figures.")
    ]
    source: Annotated[
        str, Meta(min_length=1, description="Software with its version, and where the figure is printed.")
    ]

    def __post_init__(self) -> None:
        made = _single_pattern(self.pattern)
        if made == 0.0:
            raise ValueError(f"pattern: expected one that leaves weights out, found {self.pattern}")
        if made is None and self.sparsity is None:
            raise ValueError("expected the sparsity of an unstructured row (sparsity), found none; add it")
        if made is not None and self.sparsity is not None and abs(self.sparsity - made) > 1e-9:
            raise ValueError(f"expected the sparsity that {self.pattern} makes ({made:g}), found {self.sparsity:g}")

    @property
    def at_sparsity(self) -> float:
        """The sparsity of the row."""
        made = _single_pattern(self.pattern)
        return made if made is not None else self.sparsity or 0.0


def require_rows_once(kernels: list[Kernel]) -> None:
    """Refuse two rows about the same.

    Raises:
        ValueError: naming the second.
    """
    seen: set[tuple[str, str, float]] = set()
    for index, row in enumerate(kernels):
        key = (row.pattern, row.work, row.at_sparsity)
        if key in seen:
            where = f"{row.work} of {row.pattern} at sparsity {row.at_sparsity:g}"
            raise ValueError(f"kernels[{index}]: expected each row once, found {where} twice; remove one")
        seen.add(key)


def _single_pattern(word: str) -> float | None:
    """The sparsity of one n:m; None for unstructured.

    Raises:
        ValueError: for anything else.
    """
    try:
        pattern = parse_pattern(word)
    except SparseplanError as problem:
        raise ValueError(f"pattern: {problem}") from None
    if pattern.group is not None and pattern.sparsity is None:
        raise ValueError(f"pattern: expected unstructured or one n:m such as 2:4, found {word}")
    return pattern.sparsity
