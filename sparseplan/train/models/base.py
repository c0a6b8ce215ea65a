"""What the loop knows of a model: its prunable weights, and which of its parameters train and decay in which way."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from sparseplan.shapes.families import Shape
from sparseplan.train.semi_structured import Backend, sparse_linear


class ParameterGroup(NamedTuple):
    """Parameters that are trained in one way.

    Attributes:
        parameters: The parameters.
        width: The width that their learning rate falls with as 1 / width; None where it doesn't.
        decays: Whether weight decay applies.
    """

    parameters: Sequence[Tensor]
    width: int | None
    decays: bool


class Units(NamedTuple):
    """Parts of a block that are alike and can go as a whole: its attention heads, or the neurons of its MLP.

    Attributes:
        parts: What a unit is made of: a prunable weight by name, the axis along which units lie, and their places on
            it, `(units, places of one)`.
    """

    parts: tuple[tuple[str, int, Tensor], ...]

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.parts[0][2])


Blocks = tuple[tuple[Units, ...], ...]
"""The kinds of units of every block, the largest first."""


class PrunableLinear(nn.Linear):
    """A linear layer without bias; with a `backend` its product runs on the compressed 2:4 weight."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.backend: Backend | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Multiply, dense or compressed; the same numbers up to rounding."""
        if self.backend is None:
            return functional.linear(input, self.weight)
        return sparse_linear(input, self.weight, self.backend)


class Model(nn.Module):
    """A model that can be trained and pruned; what its `forward` takes and gives is between it and its task."""

    def prunable(self) -> dict[str, nn.Parameter]:
        """The weights of its prunable linear layers, by name, in the order of the shape's `matrices`."""
        linears = {name for name, module in self.named_modules() if isinstance(module, PrunableLinear)}
        return {name: p for name, p in self.named_parameters() if name.removesuffix(".weight") in linears}

    def set_backend(self, backend: Backend | None) -> None:
        """Multiply with the prunable weights as 2:4 products by `backend`, or as dense ones again."""
        for module in self.modules():
            if isinstance(module, PrunableLinear):
                module.backend = backend

    def units(self) -> Blocks:
        """What structured pruning may take; empty where a family hasn't said."""
        return ()

    def norms(self) -> list[nn.Parameter]:
        """The scales of its norms."""
        return [p for module in self.modules() if isinstance(module, nn.RMSNorm) for p in module.parameters()]

    def check_counts(self, shape: Shape) -> None:
        """Assert that it has the weights that its shape counts, under the same names."""
        expected = {matrix.name: (matrix.outputs, matrix.inputs) for matrix in shape.matrices}
        assert {name: tuple(weight.shape) for name, weight in self.prunable().items()} == expected
        assert sum(p.numel() for p in self.parameters()) == shape.dense_params + shape.other_params

    @abstractmethod
    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        """All parameters, each in one group."""
