"""What is to be said of a real model at a context: parameters, FLOPs per token, memory."""

from msgspec import Struct

from sparseplan.errors import ModelError
from sparseplan.shapes.real.architecture import Reads, TokenFlops
from sparseplan.shapes.real.file import RealModel
from sparseplan.shapes.real.memory import InferenceMemory, TrainingMemory, inference_memory, training_memory

SIX = 6.0
MOST_CONTEXT = 2**31


class Facts(Struct, frozen=True, kw_only=True):
    """A model at a context.

    Attributes:
        context: Tokens of a sequence; of an image, its patches and the class token.
        prunable_params: Weights of the blocks' matrices: what laws count, and what is pruned.
        embedding_params: Tokens, places, types, or patches; where the head shares it, of both.
        head_params: What the head has of its own.
        other_params: Norms, biases, poolers.
        published_params: Its published total; None for a config of the user's.
        flops_per_token: Training FLOPs of a token of inputs, all weights dense.
        beyond_six_n: Those over 6 for each prunable weight, less 1: what 6 N D leaves out; below 0 where it counts too
            much, as for encoder-decoders, whose decoder sees fewer tokens.
        training_memory: Bytes, states split over the devices.
        inference_memory: Bytes at a sparsity.
    """

    name: str
    model_type: str
    reads: Reads
    context: int
    prunable_params: int
    embedding_params: int
    head_params: int
    other_params: int
    total_params: int
    published_params: int | None
    source: str | None
    flops_per_token: TokenFlops
    beyond_six_n: float
    training_memory: TrainingMemory
    inference_memory: InferenceMemory


def context_of(model: RealModel, asked: int | None) -> int:
    """Tokens of a sequence: as asked, else the model's own.

    Raises:
        ModelError: where nobody says, and for images of another number of patches.
    """
    if model.architecture.reads == "image" and asked not in (None, model.context):
        raise ModelError(f"`context`: an image of {model.name} is {model.context} tokens; leave it out.")
    found = model.context if asked is None else asked
    if found is None:
        raise ModelError(
            f"`context`: expected the tokens of a sequence, which the config of {model.name} does not say."
        )
    return found


def facts(
    model: RealModel, context: int, *, devices: float = 1.0, sparsity: float = 0.0, two_of_four: bool = False
) -> Facts:
    """Everything about a model at a context, with its states over some devices, and its weights at a sparsity."""
    shape = model.architecture
    per_token = shape.flops_per_token(context)
    return Facts(
        name=model.name,
        model_type=shape.model_type,
        reads=shape.reads,
        context=context,
        prunable_params=shape.prunable_params,
        embedding_params=shape.embedding.params,
        head_params=shape.head.params,
        other_params=shape.rest_params,
        total_params=shape.total_params,
        published_params=model.published_params,
        source=model.source,
        flops_per_token=per_token,
        beyond_six_n=per_token.total / (SIX * shape.prunable_params) - 1.0,
        training_memory=training_memory(shape, context, devices),
        inference_memory=inference_memory(shape, context, sparsity, two_of_four=two_of_four),
    )
