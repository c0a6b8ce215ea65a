"""How one update is run: eagerly, with a compiled loss, or replayed as a CUDA graph.

A run has up to three phases with one kind of update each: dense, masked, and masked with 2:4 products. `Runner` is
made anew for each. The CPU always runs eagerly; what only a GPU does is in `_captured`.
"""

import shutil
import time
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from sparseplan.runs.job import Placement
from sparseplan.runs.spec import RunSpec
from sparseplan.train.checkpoint import State
from sparseplan.train.models.base import Model
from sparseplan.train.saved import Saved
from sparseplan.train.tasks.base import Batch, Task

Execution = Literal["eager", "compile", "graphs"]
LAUNCH_BOUND_PARAMS = 20_000_000
"""Below about this many weights a large GPU waits for kernel launches, which a CUDA graph does away with."""
_WARM_UP = 3


def resolve_execution(placement: Placement, run: RunSpec) -> Execution:
    """What `auto` means for this run on this device; the CPU is always eager."""
    if not placement.device.startswith("cuda"):
        return "eager"
    if placement.execution != "auto":
        return placement.execution
    can_compile = any(shutil.which(compiler) for compiler in ("cc", "gcc", "clang"))  # triton builds its launchers
    return "graphs" if run.shape.dense_params < LAUNCH_BOUND_PARAMS or not can_compile else "compile"


class Runner:
    """Makes updates of one phase.

    Args:
        state: The training.
        task: What it is trained to do.
        run: Its specification.
        device: Where it is.
        execution: How.
        masked: Whether updates pass the pruner.
        accumulate: Pieces that a batch is split into.
    """

    def __init__(
        self,
        state: State,
        task: Task,
        run: RunSpec,
        *,
        device: torch.device,
        execution: Execution,
        masked: bool,
        accumulate: int,
    ) -> None:
        self._state, self._run, self._device = state, run, device
        self.masked, self._accumulate = masked, accumulate
        self._parameters = list(state.model.parameters())
        loss = TaskLoss(state.model, task)
        self._loss: Callable[[Batch], Tensor] = torch.compile(loss, dynamic=False) if execution == "compile" else loss
        self._captures = execution == "graphs"
        self._replay: Callable[[Batch], Tensor] | None = None

    def __call__(self, batch: Batch, *, look: Callable[[], None] | None = None) -> Tensor:
        """Make one update; returns the batch's mean loss, a tensor that the next update may overwrite.

        `look` is called where the gradients of all weights are there; a captured update has no room for it.
        """
        if look is not None or not self._captures:
            return self._update(batch, look)
        if self._replay is None:
            self._replay = self._captured(batch)
        return self._replay(batch)

    def seconds(self, batch: Batch, *, repeats: int = 10) -> float:
        """Time of one update, on a training that is left as it was."""
        saved = Saved(self._state.optimizer)
        try:
            for _ in range(_WARM_UP):
                self(batch)
            _wait(self._device)
            start = time.perf_counter()
            for _ in range(repeats):
                self(batch)
            _wait(self._device)
            return (time.perf_counter() - start) / repeats
        finally:
            saved.restore()

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch in the run's dtype, with gradients to come."""
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._run.dtype == "bfloat16"):
            return self._loss(batch)

    def _update(self, batch: Batch, look: Callable[[], None] | None = None) -> Tensor:
        total: Tensor | None = None
        for parameter in self._parameters:
            parameter.grad = None
        if self.masked:
            self._state.pruner.before_forward()
        for piece in zip(*(part.chunk(self._accumulate) for part in batch), strict=True):
            loss = self.loss(piece)
            (loss / self._accumulate if self._accumulate > 1 else loss).backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        if look is not None:
            look()
        if self.masked:
            self._state.pruner.after_backward()
        if self._run.clip_norm:
            clip_grad_norm_(self._parameters, self._run.clip_norm)
        self._state.optimizer.step()
        return total / self._accumulate if self._accumulate > 1 else total

    def _captured(self, batch: Batch) -> Callable[[Batch], Tensor]:
        """Capture an update as a CUDA graph; warming up and capturing leave the training as it was. GPU only."""
        saved = Saved(self._state.optimizer)
        held = tuple(part.clone() for part in batch)
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._update(held)
        torch.cuda.current_stream(self._device).wait_stream(side)
        saved.restore()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self._update(held)

        def replay(batch: Batch) -> Tensor:
            for ours, fresh in zip(held, batch, strict=True):
                ours.copy_(fresh)
            graph.replay()
            return loss

        return replay


class TaskLoss(nn.Module):
    """Model and task as one module, so that both are compiled as one."""

    def __init__(self, model: Model, task: Task) -> None:
        super().__init__()
        self._model, self._task = model, task

    def forward(self, batch: Batch) -> Tensor:
        """The mean loss of a batch."""
        return self._task.loss(self._model, batch)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
