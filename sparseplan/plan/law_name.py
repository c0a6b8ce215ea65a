"""Which law answered, as every answer says it."""

from msgspec import Struct

from sparseplan.laws.identity import law_date, law_hash
from sparseplan.laws.law import HeldOutError, Law


class LawName(Struct, frozen=True, kw_only=True):
    """Which law answered, what its loss is, whether its N counts embeddings, its published error where it has one.

    `hash` is of everything that its file says, `date` of when it was made, where the file says that.
    """

    name: str
    form: str
    hash: str
    date: str | None = None
    loss: str = ""
    counts_embeddings: bool = False
    held_out: HeldOutError | None = None


def law_name(law: Law) -> LawName:
    """What answers say of a law."""
    return LawName(
        name=law.name,
        form=law.form,
        hash=law_hash(law),
        date=law_date(law),
        loss=law.loss,
        counts_embeddings=law.counts_embeddings,
        held_out=law.held_out,
    )
