"""The dense weights that a run may start from, in place of fresh ones: a pretrained start.

Only the weights are taken: the optimizer's moments start at zero, the learning rate rises again, and steps, D and the
strategy's schedule count from there. So D is what the run itself sees; what the dense model had seen before it is kept
beside it, and so are the FLOPs of both.

Source: Frantar et al. 2023, arXiv:2309.08520, pruning pretrained models.
"""

from typing import Annotated

from msgspec import Meta, Struct


class DenseRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="dense-run"):
    """A dense run of `steps` updates, trained to its end like the run that starts from it: size, seed, batch, rates.

    The new run goes on in the data where it ended.
    """

    steps: Annotated[int, Meta(ge=1, description="Optimizer updates of the dense run.")]


class Checkpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="checkpoint"):
    """Dense weights from a file."""

    path: Annotated[str, Meta(description="The file; it isn't part of a run's identity.")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="Hash of the whole file, checked at the start.")]
    data_seen: Annotated[float, Meta(gt=0, description="Data that the weights were trained on, in D's unit.")]


Start = DenseRun | Checkpoint
"""Where the weights come from, told apart by the key `kind`."""
