"""What people read about real models: a list, one model, and what a plan says of its own."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.units import format_bytes, format_count, format_percent, format_scientific, format_sparsity
from sparseplan.plan.answer import Answer
from sparseplan.plan.on_model import ModelUse
from sparseplan.shapes.real.facts import Facts
from sparseplan.shapes.real.memory import STATE_BYTES, TrainingMemory


def print_model_list(console: Console, models: Sequence[Facts]) -> None:
    """Print the models that are found by name."""
    table = open_table(console, "name", "kind", "parameters", "prunable", "context", text_columns=2)
    for one in models:
        sizes = format_count(one.total_params), format_count(one.prunable_params)
        table.add_row(one.name, one.model_type, *sizes, f"{one.context:,}")
    print_table(console, table)


def print_model(console: Console, model: Facts, *, sparsity: float = 0.0) -> None:
    """Print a model: its parameters, FLOPs of a token, and memory in training and, at a sparsity, in inference."""
    prunable = f"{format_count(model.prunable_params)} of them prunable"
    say_wrapped(
        console, f"{model.name} ({model.model_type}): {model.total_params:,} parameters, {prunable}.", style="bold"
    )
    say(console)
    table = open_table(console, "parameters", "", "share")
    for noun, params in (
        ("prunable", model.prunable_params),
        ("embedding" if model.head_params else "embedding, head's too", model.embedding_params),
        ("head", model.head_params),
        ("norms, biases, poolers", model.other_params),
    ):
        if params:
            table.add_row(noun, format_count(params), format_percent(params / model.total_params))
    print_table(console, table)
    say(console)
    flops, unit = model.flops_per_token, "patch" if model.reads == "image" else "token"
    table = open_table(console, f"training FLOPs of a {unit}", "", "share")
    parts = (("weights", flops.weights), ("attention", flops.attention), ("head", flops.head))
    for noun, count in (*parts, ("embedding", flops.embedding)):
        if count:
            table.add_row(noun, format_scientific(count), format_percent(count / flops.total))
    table.add_row("all", format_scientific(flops.total), "100%")
    print_table(console, table)
    say_wrapped(console, f"In sequences of {model.context:,} tokens, all weights dense. {_beyond(model)}")
    say(console)
    for line in (*_training(model.training_memory), _inference(model, sparsity)):
        say_wrapped(console, line)
    if model.source is not None:
        say_wrapped(console, f"Source: {model.source}.")


def model_lines(answer: Answer, model: ModelUse) -> list[str]:
    """What a plan says of its model."""
    limit, sparsity = answer.given.max_memory, answer.plan.sparsity
    beside = sum((model.plan_flops.attention, model.plan_flops.head, model.plan_flops.embedding))
    whole = beside + model.plan_flops.weights
    lines = [
        f"Model: {Path(model.name).name}, {format_count(model.total_params)} parameters, "
        f"{format_count(model.prunable_params)} of them prunable, in sequences of {model.context:,} tokens.",
        f"{_beyond(model)} All of that is counted: {format_scientific(beside)} of the plan's "
        f"{format_scientific(whole)} training FLOPs ({format_percent(beside / whole)}) go into what no zero saves"
        + (f", {_dense_share(model)} of the dense plan's." if sparsity > 0 else "."),
        *_training(model.training_memory),
    ]
    if limit is not None:
        if_so = ", if blocks are computed again in the backward pass" if model.must_recompute else ""
        lines.append(f"That fits into {format_bytes(limit)} per device{if_so}.")
    return [*lines, _inference(model, sparsity)]


def _dense_share(model: ModelUse) -> str:
    flops = model.dense_flops
    beside = flops.attention + flops.head + flops.embedding
    return format_percent(beside / (beside + flops.weights))


def _beyond(model: Facts) -> str:
    """What 6 N D leaves out of a dense model's training, or counts too much."""
    flops, count = model.flops_per_token, 6.0 * model.prunable_params
    parts = [("attention", flops.attention), ("head", flops.head), ("embedding of patches", flops.embedding)]
    named = ", ".join(f"{noun} {format_percent(part / count)}" for noun, part in parts if part >= 5e-4 * count)
    named = named or "under 0.1%"
    if abs(flops.weights / count - 1.0) < 1e-9:
        return f"On top of 6 FLOPs per prunable weight and token: {named}."
    return (
        f"Prunable weights take {format_percent(flops.weights / count)} of 6 FLOPs per token of inputs, since the "
        f"decoder sees fewer tokens; on top: {named}."
    )


def _training(memory: TrainingMemory) -> list[str]:
    """Memory of training on each device."""
    states, K = memory.weights + memory.gradients + memory.optimizer, memory.devices
    over = "" if K == 1 else f" split over {K:g} devices"
    return [
        f"Memory in training: {format_bytes(states)} for weights, gradients and Adam ({STATE_BYTES} bytes per "
        f"parameter){over}, and about {format_bytes(memory.activations)} of activations for a sequence on each device "
        f"({format_bytes(memory.activations_recomputed)} if blocks are computed again): "
        f"{format_bytes(memory.per_device)} per device ({format_bytes(memory.per_device_recomputed)})."
    ]


def _inference(model: Facts, sparsity: float) -> str:
    """Memory of inference, dense and at a sparsity."""
    memory = model.inference_memory
    line = f"Memory in inference: {format_bytes(memory.dense)} of 16-bit weights"
    if sparsity > 0:
        at = f" at {format_sparsity(sparsity)} sparsity"
        if memory.format == "dense":
            line += f";{at} no compressed format is smaller"
        else:
            others = [f"{name} {format_bytes(size)}" for name, size in memory.formats.items() if name != "dense"]
            line += f" dense;{at} {format_bytes(memory.compressed)} as {memory.format} ({', '.join(others)})"
    if memory.cache_per_sequence:
        cache = format_bytes(memory.cache_per_sequence)
        line += f"; {cache} of keys and values for a sequence of {model.context:,} tokens"
    return f"{line}."
