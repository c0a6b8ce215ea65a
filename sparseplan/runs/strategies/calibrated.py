"""One cut by scores that know the inputs of every matrix, taken from batches of the training data; then trained on."""

from typing import Annotated

from msgspec import Meta

from sparseplan.runs.strategies.base import OneCut


class Calibrated(OneCut, frozen=True, kw_only=True):
    """What strategies share that cut once by the inputs of the matrices."""

    batches: Annotated[int, Meta(ge=1, description="Training batches, the last before the cut, for the inputs.")] = 8


class Wanda(Calibrated, frozen=True, kw_only=True, tag="wanda"):
    """Cut by |weight| x norm of its input, in every output row alike. Source: Sun et al. 2023, arXiv:2306.11695."""

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"cut by weight times norm of its input at {self.at:.3g} of training, {self.batches} batches"


class SparseGpt(Calibrated, frozen=True, kw_only=True, tag="sparsegpt"):
    """Cut by w^2 / diag(H^-1)^2, what is left making up for what goes.

    Source: Frantar & Alistarh 2023, arXiv:2301.00774.
    """

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"cut by second-order error at {self.at:.3g} of training, {self.batches} batches"
