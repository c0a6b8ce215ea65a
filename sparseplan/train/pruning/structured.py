"""Structured pruning: whole attention heads and MLP neurons of least norm, in every block alike.

The norm of a unit is that of all its weights together; heads are compared with heads of their block, neurons with its
neurons. Of the heads as many go as come nearest to the sparsity, and neurons make up for the rest, so that a block ends
with exactly the zeros that other strategies leave it. On the ramp both go in proportion, to the nearest whole unit.

Source: Li et al. 2017, arXiv:1608.08710 (norms as scores); Michel et al. 2019, arXiv:1905.10650 (heads).
"""

from torch import Tensor

from sparseplan.errors import SparseplanError
from sparseplan.runs.spec import RunSpec
from sparseplan.shapes.base import pruned_weights
from sparseplan.train.models.base import Units
from sparseplan.train.pruning.base import Weights
from sparseplan.train.pruning.held import HeldMasks
from sparseplan.train.pruning.masks import smallest
from sparseplan.train.pruning.view import ModelView


class StructuredPruner(HeldMasks):
    """Takes units by norm at the steps of the ramp.

    Raises:
        SparseplanError: if the family has no units, or whole ones don't make the sparsity.
    """

    def __init__(self, weights: Weights, run: RunSpec, view: ModelView | None) -> None:
        super().__init__(weights, run)
        self._zeros = None
        self._units: list[tuple[Units, int]] = []
        """Each kind of each block, with how many go in the end."""
        if run.pruning.sparsity:
            assert view is not None, "a training lets its pruner look at the model"
            blocks = view.units()
            if not blocks:
                raise SparseplanError("the strategy structured knows no heads and neurons of this model family.")
            self._units = [counted for block in blocks for counted in self._counted(block)]

    def _counted(self, block: tuple[Units, ...]) -> list[tuple[Units, int]]:
        sparsity = self._run.pruning.sparsity
        names = {name for kind in block for name, _, _ in kind.parts}
        left = sum(pruned_weights(self.masks[name].numel(), sparsity) for name in names)
        *larger, finest = block
        counts = [(kind, round(sparsity * kind.number)) for kind in larger]
        left -= sum(number * self._size(kind) for kind, number in counts)
        number, rest = divmod(left, self._size(finest))
        if rest or not 0 <= number <= finest.number:
            raise SparseplanError(
                f"expected a sparsity that whole heads and neurons make, found {sparsity:g}: beside the heads, "
                f"{left / self._size(finest):.3f} of {finest.number} neurons of a block would have to go."
            )
        return [*counts, (finest, number)]

    def _size(self, units: Units) -> int:
        """Weights of one unit."""
        return sum(places.shape[1] * self.masks[name].shape[1 - axis] for name, axis, places in units.parts)

    def _choose_all(self, step: int) -> dict[str, Tensor]:
        share = self._ramp[step] / self._run.pruning.sparsity
        masks = {name: mask.clone() for name, mask in self.masks.items()}
        for units, final in self._units:
            name, axis, places = units.parts[0]
            alive = masks[name].any(1 - axis)[places[:, 0]]
            norms = sum(self._squares(*part) for part in units.parts)
            assert isinstance(norms, Tensor)
            gone = smallest(norms, alive, round(final * share) - (units.number - int(alive.sum())))
            for name, axis, places in units.parts:
                masks[name].index_fill_(axis, places[gone.cpu()].flatten().to(norms.device), 0.0)
        return masks

    def _squares(self, name: str, axis: int, places: Tensor) -> Tensor:
        squares = self._weights[name].detach().square().sum(1 - axis)
        return squares[places.to(squares.device)].sum(1)
