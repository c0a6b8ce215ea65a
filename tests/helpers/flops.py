"""FLOPs of a training step as torch counts them: an independent count for what shapes say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # tests are collected without torch too
    from sparseplan.train.models.base import Model
    from sparseplan.train.tasks.base import Batch, Task


def counted_flops(model: Model, task: Task, batch: Batch) -> int:
    """FLOPs of the matrix products of forward and backward pass, attention as products of its own."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        task.loss(model, batch).backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(next(iter(model.parameters())).grad).all()  # type: ignore[arg-type]
    return int(counter.get_total_flops())
