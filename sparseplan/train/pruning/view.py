"""What pruners may ask of a model beside its weights: what goes into its matrices, and its heads and neurons.

Inputs are measured on batches of the training data. The model is run as it stands, all its matrices at once: in
contrast to the published codes, later blocks see what the earlier ones give before they are pruned. Training goes on
afterwards, which makes up for the difference.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from sparseplan.runs.spec import RunSpec
from sparseplan.train.models.base import Blocks, Model
from sparseplan.train.tasks.base import Task


class ModelView:
    """A model with its task, to be looked at."""

    def __init__(self, model: Model, task: Task, run: RunSpec) -> None:
        self._model, self._task, self._run = model, task, run

    def units(self) -> Blocks:
        """The heads and neurons of every block."""
        return self._model.units()

    def squares(self, steps: Iterable[int]) -> dict[str, Tensor]:
        """For every prunable weight the sum of squares of each of its inputs, `(inputs,)` in float64."""
        return self._summed(steps, lambda x: x.square().sum(0))

    def products(self, steps: Iterable[int]) -> dict[str, Tensor]:
        """For every prunable weight the sum of x x^T over its inputs x, `(inputs, inputs)` in float64."""
        return self._summed(steps, lambda x: x.t() @ x)

    @torch.no_grad()
    def _summed(self, steps: Iterable[int], term: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Sums over all rows of the inputs, on the batches of the updates that follow `steps` others."""
        modules = {name: self._model.get_submodule(name.removesuffix(".weight")) for name in self._model.prunable()}
        sums: dict[str, Tensor] = {}

        def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            def add(_: nn.Module, given: tuple[Tensor, ...]) -> None:
                found = term(given[0].flatten(0, -2).double())
                sums[name] = sums[name] + found if name in sums else found

            return add

        handles = [module.register_forward_pre_hook(hook(name)) for name, module in modules.items()]
        try:
            for step in steps:
                batch = self._task.batch(self._run.first_batch + step)
                with torch.autocast(batch[0].device.type, torch.bfloat16, enabled=self._run.dtype == "bfloat16"):
                    self._task.loss(self._model, batch)
        finally:
            for handle in handles:
                handle.remove()
        return sums
