"""A plan for a real model: its size, what 6 N D leaves out of its FLOPs, and whether it fits into memory."""

from math import ceil
from typing import NamedTuple

from msgspec import Struct, structs

from sparseplan.common.units import format_bytes
from sparseplan.cost.flops import FLOPS_PER_PARAMETER_AND_TOKEN
from sparseplan.cost.overhead import Overhead
from sparseplan.errors import PlanError
from sparseplan.laws.law import Law
from sparseplan.plan.answer import Answer, Plan
from sparseplan.shapes.real.facts import Facts, context_of, facts
from sparseplan.shapes.real.file import RealModel
from sparseplan.sparsity.pattern import TWO_OF_FOUR

_IMAGE = "image"


class PlanFlops(Struct, frozen=True, kw_only=True):
    """Training FLOPs of a plan, by what they go into; they add up to its `train_flops`.

    Attributes:
        weights: The prunable weights, zeros counted as the cost counts them.
        attention: Scores and their sums.
        head: The head.
        embedding: The embedding of patches.
    """

    weights: float
    attention: float
    head: float
    embedding: float


class ModelUse(Facts, frozen=True, kw_only=True):
    """What an answer says of its model; memory in inference is of the plan.

    Attributes:
        plan_flops: Of the plan.
        dense_flops: Of the dense plan.
        must_recompute: Whether training takes more memory than is allowed if blocks are not computed again; None where
            nothing limits it.
    """

    plan_flops: PlanFlops
    dense_flops: PlanFlops
    must_recompute: bool | None


class Sized(NamedTuple):
    """A model under a law.

    Attributes:
        model: The model.
        context: Tokens of a sequence.
        dense_params: Its size, counted as the law counts: prunable weights, or all where the law counts embeddings.
        overhead: What its tokens take beside 6 FLOPs for each of those.
        devices: How many hold its weights, gradients and optimizer.
        max_memory: The most bytes that training may take on each; None for no limit.
    """

    model: RealModel
    context: int
    dense_params: float
    overhead: Overhead
    devices: float
    max_memory: float | None


def sized(
    model: RealModel, context: int | None, law: Law, *, devices: float = 1.0, max_memory: float | None = None
) -> Sized:
    """Count a model as a law does.

    Raises:
        SparseplanError: if the law is of another kind of data, the context is neither given nor known, or training
            takes more memory than is allowed.
    """
    shape = model.architecture
    if (shape.reads == _IMAGE) != (law.data_unit == _IMAGE):
        raise PlanError(
            f"`model`: {model.name} reads {shape.reads}s, and the law {law.name} counts {law.data_unit}s; name a law "
            f"of {shape.reads}s with `law`."
        )
    length = context_of(model, context)
    size = float(shape.total_params if law.counts_embeddings else shape.prunable_params)
    per_token = shape.flops_per_token(length)
    # Of images, which may be more tokens than those of the law's runs, the whole is what counts.
    tokens = length / law.tokens_per_unit if shape.reads == _IMAGE else 1.0
    share = tokens / (FLOPS_PER_PARAMETER_AND_TOKEN * size)
    if max_memory is not None:
        _require_memory(model, length, devices, max_memory)
    overhead = Overhead(weights=per_token.weights * share, rest=per_token.rest * share)
    return Sized(model, length, size, overhead, devices, max_memory)


def _require_memory(model: RealModel, context: int, devices: float, most: float) -> None:
    """Refuse a model whose training takes more than `most` bytes on each of the devices.

    Raises:
        PlanError: with what it takes, and what would fit.
    """
    takes = facts(model, context, devices=devices).training_memory
    if takes.per_device_recomputed <= most:
        return
    states, room = takes.weights + takes.gradients + takes.optimizer, most - takes.activations_recomputed
    if room > 0:
        advice = f"{ceil(states / room):,} devices would hold it, see `devices`"
    else:
        advice = "no number of devices holds it at this `context`"
    raise PlanError(
        f"`max_memory`: expected at least {format_bytes(takes.per_device_recomputed)} per device, found "
        f"{format_bytes(most)}: to train {model.name} in sequences of {context:,} tokens takes "
        f"{format_bytes(states)} for weights, gradients and optimizer, split over {devices:g} "
        f"{'device' if devices == 1 else 'devices'}, and {format_bytes(takes.activations_recomputed)} on each for the "
        f"activations of one sequence, blocks computed again; {advice}."
    )


def model_use(chosen: Sized, answer: Answer, law: Law) -> ModelUse:
    """What an answer for a model says of it."""
    most = chosen.max_memory
    S, is_2to4 = answer.plan.sparsity, answer.pattern == str(TWO_OF_FOUR)
    about = facts(chosen.model, chosen.context, devices=chosen.devices, sparsity=S, two_of_four=is_2to4)
    return ModelUse(
        **structs.asdict(about),
        plan_flops=_flops(chosen, answer.plan, law),
        dense_flops=_flops(chosen, answer.dense, law),
        must_recompute=None if most is None else about.training_memory.per_device > most,
    )


def _flops(chosen: Sized, plan: Plan, law: Law) -> PlanFlops:
    """A plan's FLOPs in parts; the dense size of a plan is the model's."""
    per_token = chosen.model.architecture.flops_per_token(chosen.context)
    tokens = plan.data_seen * (chosen.context if chosen.model.architecture.reads == _IMAGE else law.tokens_per_unit)
    rest = per_token.rest * tokens
    return PlanFlops(
        weights=plan.train_flops - rest,
        attention=per_token.attention * tokens,
        head=per_token.head * tokens,
        embedding=per_token.embedding * tokens,
    )
