"""Optimizers: torch's AdamW with learning rates that follow the width, and the paper's Adafactor.

Every state tensor starts at zero and is made at the first update; `runner` relies on it to undo a warm-up.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sparseplan.runs.spec import Adafactor as AdafactorSpec
from sparseplan.runs.spec import AdamW, Optimizer
from sparseplan.train.models.base import Model, ParameterGroup


def build_optimizer(model: Model, spec: Optimizer, densities: dict[str, float] | None = None) -> torch.optim.Optimizer:
    """The optimizer of a run; each parameter group carries its rate at the peak as `peak`.

    With AdamW, prunable weights named in `densities` learn 1 / density as fast, each in a group of its own.
    """
    device = next(model.parameters()).device
    if isinstance(spec, AdamW):
        groups: list[dict[str, Any]] = [
            {
                "params": list(group.parameters),
                "peak": _peak(spec, group.width) / density,
                "weight_decay": spec.weight_decay if group.decays else 0.0,
            }
            for group, density in _by_density(model, densities or {})
        ]
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            groups,
            betas=(spec.beta1, spec.beta2),
            eps=spec.epsilon,
            fused=True,
            capturable=device.type == "cuda",  # torch refuses to capture an update otherwise
        )
    else:
        optimizer = Adafactor([{"params": list(model.parameters()), "peak": spec.learning_rate}], spec)
    for group in optimizer.param_groups:  # a rate in a tensor can change under a captured graph
        group["lr"] = torch.zeros((), device=device) if device.type == "cuda" else 0.0
    return optimizer


def _by_density(model: Model, densities: dict[str, float]) -> list[tuple[ParameterGroup, float]]:
    """The model's parameter groups with the density of each: those of `densities` apart, the others at 1."""
    apart = {id(weight): densities[name] for name, weight in model.prunable().items() if name in densities}
    groups: list[tuple[ParameterGroup, float]] = []
    for group in model.parameter_groups():
        rest = [parameter for parameter in group.parameters if id(parameter) not in apart]
        groups.append((group._replace(parameters=rest), 1.0))
        groups += [(group._replace(parameters=[p]), apart[id(p)]) for p in group.parameters if id(p) in apart]
    return groups


def _peak(spec: AdamW, width: int | None) -> float:
    return spec.learning_rate if width is None else spec.learning_rate * spec.base_width / width


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` of its peak."""
    for group in optimizer.param_groups:
        rate = group["peak"] * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


class Adafactor(torch.optim.Optimizer):
    """Adafactor without momentum, with steps relative to the RMS of the non-zero weights.

    For a gradient G of a weight W at step t, with beta = 1 - t^-decay and nz the non-zero entries of W:

    not factored, the paper's as released:
        V <- beta V + (1 - beta) (G^2 + e1)
        U  = G / sqrt(V); U <- U / max(1, RMS_nz(U) / clip)
        W <- W - rate max(e2, RMS(W)) sqrt(numel / nz) U
    factored, where W is a matrix:
        R <- beta R + (1 - beta) row means of (G^2 + e1),   C likewise over columns
        U  = G / sqrt(R C / mean(R));  U <- U / max(1, RMS(U) / clip)
        W <- W - rate max(e2, RMS_nz(W)) U

    Pruning shrinks an RMS over all entries, hence the non-zero ones. Source: Shazeer & Stern 2018, arXiv:1804.04235,
    algorithms 4 and 5; Frantar et al. 2023, arXiv:2309.08520, and google-research/jaxpruner,
    projects/bigsparse/t5x/config_util.py: clip_by_block_rms_sparse, scale_by_param_block_rms_sparse.
    """

    def __init__(self, params: Any, spec: AdafactorSpec) -> None:
        # capturable: after a load torch would else leave `step` on the CPU, where a captured graph reads it only once
        super().__init__(params, {"lr": 0.0, "capturable": True})
        self._spec = spec

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None, "the loop computes the loss"
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group["lr"])

    def _update(self, weight: Tensor, grad: Tensor, rate: float | Tensor) -> None:
        spec, state = self._spec, self.state[weight]
        factored = spec.factored and weight.ndim == 2
        if not state:
            state["step"] = torch.zeros((), device=weight.device)
            if factored:
                state["rows"] = torch.zeros(weight.shape[0], 1, device=weight.device)
                state["columns"] = torch.zeros(1, weight.shape[1], device=weight.device)
            else:
                state["squares"] = torch.zeros_like(weight)
        state["step"] += 1
        fresh = state["step"] ** -spec.decay
        squares = grad.square().add_(spec.epsilon1)
        if factored:
            rows, columns = state["rows"], state["columns"]
            rows.lerp_(squares.mean(1, keepdim=True), fresh)
            columns.lerp_(squares.mean(0, keepdim=True), fresh)
            update = grad * (rows / rows.mean()).rsqrt_() * columns.rsqrt()
        else:
            update = grad * state["squares"].lerp_(squares, fresh).rsqrt()
        if spec.factored:
            moved = update.square().mean().sqrt()
            size = nonzero_rms(weight).clamp_(min=spec.epsilon2)
        else:
            alive = weight != 0
            alive |= ~alive.any()  # where nothing is left to go by, all entries count
            number = alive.sum()
            moved = ((update * alive).square().sum() / number).sqrt()
            # the floor is on the RMS over all entries, as released
            size = weight.square().mean().sqrt().clamp_(min=spec.epsilon2) * (weight.numel() / number).sqrt()
        update /= (moved / spec.clip_threshold).clamp_(min=1.0)
        weight.sub_(update * (size * rate))


def nonzero_rms(weight: Tensor) -> Tensor:
    """Root mean square over the non-zero entries; 0 where there are none."""
    return (weight.square().sum() / weight.count_nonzero().clamp(min=1)).sqrt()
