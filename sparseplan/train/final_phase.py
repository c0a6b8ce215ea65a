"""The phase after the ramp: with 2:4 products where they are right and faster on the device at hand."""

from collections.abc import Callable

import torch

from sparseplan.runs.job import Placement
from sparseplan.runs.spec import RunSpec
from sparseplan.train import semi_structured
from sparseplan.train.checkpoint import State
from sparseplan.train.runner import Runner
from sparseplan.train.tasks.base import Batch


def final_runner(
    state: State,
    run: RunSpec,
    placement: Placement,
    *,
    device: torch.device,
    masked: Runner,
    compressed: Callable[[], Runner],
    batch: Batch,
) -> tuple[Runner, semi_structured.Choice]:
    """Choose how the updates after the last cut are made.

    Args:
        state: The training, its masks at their final sparsity.
        run: Its specification.
        placement: Where it runs.
        device: The same, opened.
        masked: The runner so far, with dense products of masked weights.
        compressed: Makes the runner for 2:4 products.
        batch: The next batch, to time both with.

    Returns:
        One of the two runners, with the model's products set to match, and what was chosen and why.
    """
    if placement.semi_structured == "off":
        return masked, semi_structured.Choice(False, "switched off")
    dtype = getattr(torch, run.dtype)
    masks = list(state.pruner.masks.values())
    fault = semi_structured.why_unsupported(masks, device=device, dtype=dtype)
    if fault is not None:
        return masked, semi_structured.Choice(False, fault)
    backend = semi_structured.CuSparseLt()
    sparse = compressed()

    def sparse_seconds() -> float:
        state.model.set_backend(backend)
        try:
            return sparse.seconds(batch)
        finally:
            state.model.set_backend(None)

    choice = semi_structured.choose(
        backend,
        [weight.detach() * mask for weight, mask in zip(state.model.prunable().values(), masks, strict=True)],
        rows=run.tokens_per_step // placement.accumulate,
        dtype=dtype,
        masked_step_seconds=lambda: masked.seconds(batch),
        sparse_step_seconds=sparse_seconds,
    )
    if not choice.use:
        return masked, choice
    state.model.set_backend(backend)
    return sparse, choice
