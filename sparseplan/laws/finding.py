"""What looking at a law finds: the key it concerns, a stable code, and a sentence."""

from dataclasses import dataclass

from sparseplan.common.caveat import CODES


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing to look at.

    Attributes:
        key: The key of the law file that it concerns.
        code: One of `common.caveat.CODES`.
        message: What is odd, with its numbers, and what to do.
        doubtful: False for a note, which doubts nothing that is there.
    """

    key: str
    code: str
    message: str
    doubtful: bool = True

    def __post_init__(self) -> None:
        assert self.code in CODES, f"{self.code} is not among the registered codes"
