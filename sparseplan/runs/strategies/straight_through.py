"""Masks chosen at every step over weights that stay dense: what is pruned still learns, and may come back.

Forward and backward pass use the masked weights; their gradient goes straight through to all weights. The weights are
masked for good after the last update.
"""

from typing import Annotated, ClassVar

from msgspec import Meta

from sparseplan.runs.strategies.base import Settings
from sparseplan.sparsity.schedule import Schedule


class StraightThrough(Settings, frozen=True, kw_only=True):
    """What strategies over dense weights share.

    Their masks keep the largest weights, which carry most of what a matrix sums: scaled by density, a 16th of the
    weights of a small decoder ended 0.46 nats worse.
    """

    scales_by_density: ClassVar[bool] = False

    @property
    def schedule(self) -> Schedule:
        """Masked from the start, with the gradient of all weights."""
        return Schedule(kind="straight-through", start=0.0, end=0.0)

    def dense_gradients(self, from_step: int, to_step: int, steps: int) -> int:  # noqa: ARG002 - the same for every length
        """All of them."""
        return to_step - from_step


class Ste(StraightThrough, frozen=True, kw_only=True, tag="ste"):
    """The largest weights of every matrix or group at every step, over dense weights.

    Source: Bengio et al. 2013, arXiv:1308.3432; google-research/jaxpruner, jaxpruner/algorithms/ste.py.
    """

    def describe(self) -> str:
        """The strategy in a few words."""
        return "the largest weights at every step, dense weights behind"


class SrSte(StraightThrough, frozen=True, kw_only=True, tag="sr-ste"):
    """N:m masks of the n largest of each group, chosen at every step, over weights that stay dense and may come back.

    Forward and backward pass use the masked weights; their gradient goes straight through to all weights, and what the
    mask leaves out is pulled towards zero by `decay` times itself, added to the gradient. The weights are masked for
    good after the last step. Source: Zhou et al. 2021, arXiv:2102.04010.
    """

    needs_groups: ClassVar[bool] = True

    decay: Annotated[float, Meta(ge=0, description="lambda_W of the paper; 0 is the plain straight-through mask.")] = (
        2e-4
    )

    def describe(self) -> str:
        """The strategy in a few words."""
        return f"the n largest of each group at every step, dense weights behind, decay {self.decay:g} of the others"


class SSte(StraightThrough, frozen=True, kw_only=True, tag="s-ste"):
    """N:m weights that shrink to zero without a jump: the n largest of a group less the largest of the others, scaled.

    Source: Hu et al. 2024, arXiv:2409.09099 (S-STE, for 2:4).
    """

    needs_groups: ClassVar[bool] = True

    def describe(self) -> str:
        """The strategy in a few words."""
        return "the n largest of each group less the largest of the others, scaled, dense weights behind"
