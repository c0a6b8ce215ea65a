"""Bytes that a model takes in training and in inference.

**Weights, gradients, optimizer.** Mixed precision with Adam: 16-bit weights and gradients, 2 bytes each, and float32
master weights and two moments, 12 bytes per parameter; split evenly over the devices, as ZeRO stage 3 and FSDP do.
Source: Rajbhandari et al. 2020, arXiv:1910.02054, section 3.1. Zeros save nothing here: masks multiply dense weights.

**Activations**, of one sequence on each device, in 16 bits and without dropout. A block keeps per token: the inputs of
its norms, of the matrices that read them, queries, keys, values, what attention gives to its output, and the hidden
values of its MLP, twice (before and after the nonlinearity; with a gate four times). For GPT's block that is 32 bytes
per unit of width, the 34 of Korthikanti et al. 2022, arXiv:2205.05198, equation 2, without the masks of its two
dropouts; their scores, 5 a s / h, are computed again in the backward pass, as FlashAttention does. Where blocks are
computed again as well, one is kept whole and of the others what they read. The head keeps its input, that of the last
norm, and logits in float32 (section 4.3 there).

**Inference**: 16-bit weights and, for each sequence, keys and values in 16 bits. Compressed prunable weights:

    2:4       the kept half and 2 bits each: 9/16 of dense
    bitmask   the kept and 1 bit for each weight: pays above a sparsity of 1/16
    CSR       the kept with a column of 16 bits (32 where a matrix reads more than 65,536), and 4 bytes for each row

What communication, fragments and buffers take comes on top.
"""

from msgspec import Struct

from sparseplan.shapes.base import COMPRESSED_SHARE
from sparseplan.shapes.real.architecture import Architecture, Stack

HALF, FULL = 2, 4
MOMENTS = 2
STATE_BYTES = HALF + HALF + (1 + MOMENTS) * FULL
"""Of each parameter: weights, gradients, master weights and moments."""
_MOST_COLUMNS = 2**16


class TrainingMemory(Struct, frozen=True, kw_only=True):
    """Bytes in training.

    Attributes:
        weights: 16-bit weights of the whole model.
        gradients: Likewise.
        optimizer: Master weights and moments, likewise.
        activations: Of one sequence.
        activations_recomputed: Of one sequence where blocks are computed again in the backward pass.
        devices: Over how many devices the first three are split.
        per_device: The first three over the devices, and the activations of one sequence.
        per_device_recomputed: Likewise with blocks computed again.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float
    activations_recomputed: float
    devices: float
    per_device: float
    per_device_recomputed: float


class InferenceMemory(Struct, frozen=True, kw_only=True):
    """Bytes in inference.

    Attributes:
        dense: All weights in 16 bits.
        compressed: All weights, the prunable ones in the smallest format of `format`; as dense where none is smaller.
        format: dense, 2:4, bitmask or csr.
        formats: Bytes in each format that can hold the sparsity and pattern.
        cache_per_sequence: Keys and values of one sequence; 0 for a model that does not write on.
    """

    dense: float
    compressed: float
    format: str
    formats: dict[str, float]
    cache_per_sequence: float


def training_memory(model: Architecture, context: int, devices: float = 1.0) -> TrainingMemory:
    """Bytes in training on sequences of `context` tokens, states split over `devices`."""
    params = model.total_params
    kept, again = activation_bytes(model, context), activation_bytes(model, context, recomputed=True)
    states = STATE_BYTES * params / devices
    return TrainingMemory(
        weights=float(HALF * params),
        gradients=float(HALF * params),
        optimizer=float((1 + MOMENTS) * FULL * params),
        activations=kept,
        activations_recomputed=again,
        devices=devices,
        per_device=states + kept,
        per_device_recomputed=states + again,
    )


def activation_bytes(model: Architecture, context: int, *, recomputed: bool = False) -> float:
    """Bytes of the activations of one sequence of `context` tokens."""
    blocks, largest = 0.0, 0.0
    lengths = model.lengths(context)
    for stack, length in zip(model.stacks, lengths, strict=True):
        block = _block_bytes(stack, length, context)
        largest = max(largest, block)
        blocks += stack.layers * (HALF * stack.width * length if recomputed else block)
    head = lengths[-1] * model.head.share * (FULL * model.head.outputs + 2 * HALF * model.stacks[-1].width)
    return blocks + head + (largest if recomputed else 0.0)


def _block_bytes(stack: Stack, length: int, context: int) -> float:
    """Bytes that one block keeps of a sequence."""
    w, attention = stack.width, stack.attention
    attended = 2 * attention.width  # queries, and what the output projection reads
    per_token = stack.norms * w + 2 * w + attended + 2 * attention.key_width + (4 if stack.gated else 2) * stack.hidden
    if not stack.reads_encoder:
        return float(HALF * per_token * length)
    return float(HALF * ((per_token + w + attended) * length + 2 * attention.key_width * context))


def inference_memory(model: Architecture, context: int, sparsity: float, *, two_of_four: bool) -> InferenceMemory:
    """Bytes in inference at a sparsity; of 2:4, the one of `two_of_four`, in the format of its own too."""
    prunable = model.prunable_params
    around = float(HALF * (model.total_params - prunable))
    kept = (1.0 - sparsity) * prunable
    matrices = [(stack.layers, matrix) for stack in model.stacks for matrix in stack.matrices]
    formats = {"dense": float(HALF * prunable)}
    if two_of_four:
        formats["2:4"] = COMPRESSED_SHARE * HALF * prunable
    formats |= {
        "bitmask": HALF * kept + prunable / 8,
        "csr": sum(
            layers * ((1.0 - sparsity) * matrix.numel * (HALF + _column_bytes(matrix.inputs)) + FULL * matrix.outputs)
            for layers, matrix in matrices
        ),
    }
    formats = {name: around + size for name, size in formats.items()}
    best = min(formats, key=lambda name: formats[name])
    return InferenceMemory(
        dense=formats["dense"],
        compressed=formats[best],
        format=best,
        formats=formats,
        cache_per_sequence=float(cache_bytes(model, context)),
    )


def _column_bytes(inputs: int) -> int:
    return HALF if inputs <= _MOST_COLUMNS else FULL


def cache_bytes(model: Architecture, context: int) -> int:
    """Bytes of the keys and values that a sequence of `context` tokens keeps; an encoder's, for its decoder, too."""
    kept = 0
    for stack, length in zip(model.stacks, model.lengths(context), strict=True):
        if stack.causal:
            tokens = stack.kept(length) + (stack.layers * context if stack.reads_encoder else 0)
            kept += 2 * HALF * stack.attention.key_width * tokens
    return kept
