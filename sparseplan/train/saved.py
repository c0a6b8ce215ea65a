"""A copy of weights and moments that can be put back in place, so that a captured CUDA graph still finds them."""

import torch
from torch import Tensor


class Saved:
    """All parameters of an optimizer and its state, as they stood when this was made."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._copy = {name: tensor.detach().clone() for name, tensor in self._live().items()}

    def _live(self) -> dict[str, Tensor]:
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        tensors = {f"{index}": parameter for index, parameter in enumerate(parameters)}
        for index, parameter in enumerate(parameters):
            entries = self._optimizer.state[parameter].items() if parameter in self._optimizer.state else ()
            tensors |= {f"{index}.{name}": value for name, value in entries if isinstance(value, Tensor)}
        return tensors

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back; state that didn't exist yet goes to zero, where every optimizer here starts."""
        for name, tensor in self._live().items():
            if name in self._copy:
                tensor.copy_(self._copy[name])
            else:
                tensor.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """The copy, for a checkpoint."""
        return self._copy

    @classmethod
    def of(cls, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> "Saved":
        """The copy that a checkpoint kept."""
        saved = cls(optimizer)
        saved._copy = tensors
        return saved
