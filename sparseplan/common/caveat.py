"""A caveat: a stable code for machines, a sentence for people."""

from msgspec import Struct


class Caveat(Struct, frozen=True, kw_only=True):
    """One caveat: a stable code for machines, a sentence for people."""

    code: str
    message: str
