"""Sparsity patterns: unstructured, one n:m pattern, or a family of them that shares m."""

import re
from dataclasses import dataclass
from functools import lru_cache

from sparseplan.common.several import split
from sparseplan.errors import PatternError

_PATTERN = re.compile(r"(n|\d{1,3}):(\d{1,3})")
MAX_GROUP = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """Which weights may be zero.

    Attributes:
        kept: n of n:m, weights kept of every `group` along the input dimension; None where it is free.
        group: m of n:m; None for unstructured sparsity.
    """

    kept: int | None = None
    group: int | None = None

    @property
    def family(self) -> str:
        """Name of the coefficient set that describes this pattern: `unstructured`, `n:4`, `n:8`, ..."""
        return "unstructured" if self.group is None else f"n:{self.group}"

    @property
    def sparsity(self) -> float | None:
        """The one sparsity that this pattern makes, None where there are several."""
        return None if self.group is None or self.kept is None else (self.group - self.kept) / self.group

    @property
    def sparsities(self) -> tuple[float, ...] | None:
        """Every sparsity that this pattern can make, ascending and with 0 for a family; None where continuous.

        >>> parse_pattern("n:4").sparsities
        (0.0, 0.25, 0.5, 0.75)
        >>> parse_pattern("2:4").sparsities
        (0.5,)
        """
        if self.group is None:
            return None
        if self.sparsity is not None:
            return (self.sparsity,)
        return tuple(zeros / self.group for zeros in range(self.group))

    def __str__(self) -> str:
        if self.group is None:
            return "unstructured"
        return f"{'n' if self.kept is None else self.kept}:{self.group}"


UNSTRUCTURED = Pattern()
TWO_OF_FOUR = Pattern(kept=2, group=4)
BEST = "best"
"""What is asked for in place of a pattern, where the best of several is wanted."""


@lru_cache(maxsize=256)  # a run's pattern is asked for at every step of planning it
def parse_pattern(text: str) -> Pattern:
    """Read `unstructured`, one pattern `2:4`, or a family `n:4`.

    Raises:
        PatternError: if the text is none of these or the pattern is impossible.

    >>> parse_pattern("2:4").sparsity, parse_pattern("1:4").sparsity, parse_pattern("n:8").family
    (0.5, 0.75, 'n:8')
    """
    word = text.strip().lower()
    if word == "unstructured":
        return UNSTRUCTURED
    match = _PATTERN.fullmatch(word)
    if match is None:
        raise PatternError(f"expected unstructured, a pattern such as 2:4, or a family such as n:4, found {text!r}.")
    group = int(match[2])
    if not 2 <= group <= MAX_GROUP:
        raise PatternError(f"expected m of n:m between 2 and {MAX_GROUP}, found {text!r}.")
    if match[1] == "n":
        return Pattern(group=group)
    kept = int(match[1])
    if not 1 <= kept <= group:
        raise PatternError(
            f"expected n of n:m between 1 and {group}, found {text!r}; "
            "n counts the weights that are kept: 2:4 keeps half."
        )
    return Pattern(kept=kept, group=group)


def parse_patterns(text: str) -> list[Pattern | str]:
    """Read one pattern or several with commas, among which the word `best` may be.

    >>> [str(pattern) for pattern in parse_patterns("2:4,n:4,best")]
    ['2:4', 'n:4', 'best']
    """
    return [BEST if part == BEST else _pattern_or_best(part) for part in split(text)]


def _pattern_or_best(text: str) -> Pattern:
    try:
        return parse_pattern(text)
    except PatternError as problem:
        raise PatternError(f"{str(problem).removesuffix('.')}; or {BEST}, the best of all that there are.") from None
