"""What a real model is made of, as far as parameters, FLOPs and memory need it.

Prunable are the weight matrices of the blocks, as in the laws (Frantar et al. 2023, arXiv:2309.08520); embeddings,
the head, norms, biases and poolers stay dense. FLOPs are of training: a weight that multiplies a token takes 2 forward
and 4 backward, a pair of a query and a key of one head of width h takes 4 h forward and 8 h backward (PaLM,
arXiv:2204.02311, appendix B, which counts masked pairs too; here only pairs that attention sees count).
"""

from typing import Literal

from msgspec import Struct

from sparseplan.shapes.base import Matrix

_PER_WEIGHT, _PER_PAIR = 6.0, 12.0
_PER_WEIGHT_OF_INPUTS = 4.0  # inputs of the model need no gradient
Reads = Literal["token", "image"]


class Attention(Struct, frozen=True, kw_only=True):
    """The heads of a block; `key_heads` are those for keys and values."""

    heads: int
    key_heads: int
    head_width: int

    @property
    def width(self) -> int:
        """Width of all queries, and of what the output projection reads."""
        return self.heads * self.head_width

    @property
    def key_width(self) -> int:
        """Width of all keys, and of all values."""
        return self.key_heads * self.head_width


class Stack(Struct, frozen=True, kw_only=True):
    """Equal blocks over one sequence: attention, in a decoder of an encoder-decoder to the encoder too, and an MLP.

    Attributes:
        name: encoder or decoder.
        hidden: Width of the MLP.
        gated: Whether a third matrix gates the MLP.
        causal: Whether a token attends only to itself and earlier ones.
        reads_encoder: Whether every block also attends to an encoder.
        window: The most tokens, its own included, that a token of a windowed block attends to; None for no limit.
        windowed_layers: How many blocks have that window.
        norms: Norms of the width of the stream in a block.
        others_per_layer: Parameters of a block that are no matrices: norms, biases.
    """

    name: str
    layers: int
    width: int
    attention: Attention
    hidden: int
    gated: bool
    causal: bool
    reads_encoder: bool = False
    window: int | None = None
    windowed_layers: int = 0
    norms: int = 2
    others_per_layer: int

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """The prunable weights of one block."""
        w, heads, keys = self.width, self.attention.width, self.attention.key_width
        attention = (("query", heads, w), ("key", keys, w), ("value", keys, w), ("out", w, heads))
        other = tuple((f"encoder.{name}", a, b) for name, a, b in attention) if self.reads_encoder else ()
        gate = (("gate", self.hidden, w),) if self.gated else ()
        parts = (*attention, *other, *gate, ("up", self.hidden, w), ("down", w, self.hidden))
        return tuple(Matrix(name, outputs, inputs) for name, outputs, inputs in parts)

    @property
    def prunable_params(self) -> int:
        """Prunable weights of all blocks."""
        return self.layers * sum(matrix.numel for matrix in self.matrices)

    @property
    def other_params(self) -> int:
        """What of the blocks is never pruned."""
        return self.layers * self.others_per_layer

    def attended(self, length: int) -> float:
        """Tokens that a token of a sequence attends to, its own included: the mean over the sequence, all blocks added.

        >>> stack = Stack(name="decoder", layers=2, width=8, attention=Attention(heads=1, key_heads=1, head_width=8),
        ...               hidden=32, gated=False, causal=True, window=2, windowed_layers=1, others_per_layer=0)
        >>> stack.attended(4)  # (1 + 2 + 3 + 4) / 4 and (1 + 2 + 2 + 2) / 4
        4.25
        """
        full = (length + 1) / 2 if self.causal else float(length)
        if self.window is None:
            return self.layers * full
        W = min(self.window, length)
        windowed = W - W * (W - 1) / (2 * length) if self.causal else float(W)
        return self.windowed_layers * windowed + (self.layers - self.windowed_layers) * full

    def kept(self, length: int) -> int:
        """Tokens whose keys and values are kept to go on with a sequence, all blocks added."""
        W = length if self.window is None else min(self.window, length)
        return self.windowed_layers * W + (self.layers - self.windowed_layers) * length


class Embedding(Struct, frozen=True, kw_only=True):
    """What turns inputs into the stream.

    Attributes:
        params: Tokens, places, types, or the projection of patches.
        weights: Weights of it that multiply each token; 0 for a table that is looked up.
    """

    params: int
    weights: int = 0


class Head(Struct, frozen=True, kw_only=True):
    """What turns the stream into predictions.

    Attributes:
        params: Its own parameters; those that it shares with the embedding are counted there.
        weights: Weights that multiply a token that is predicted from.
        outputs: Logits of one.
        share: Of the stack's tokens, the share that is predicted from.
    """

    params: int
    weights: int
    outputs: int
    share: float = 1.0


class TokenFlops(Struct, frozen=True, kw_only=True):
    """Training FLOPs of one token of the model's inputs, all weights dense.

    Attributes:
        weights: In prunable weights.
        attention: In scores and their sums.
        head: In the head.
        embedding: In the embedding; 0 where it is a table.
    """

    weights: float
    attention: float
    head: float
    embedding: float

    @property
    def rest(self) -> float:
        """Everything that no zero saves."""
        return self.attention + self.head + self.embedding

    @property
    def total(self) -> float:
        """Everything."""
        return self.weights + self.rest


class Architecture(Struct, frozen=True, kw_only=True):
    """A model.

    Attributes:
        model_type: What its config calls its kind.
        reads: Tokens of a text, or an image.
        stacks: One, or an encoder and a decoder.
        other_params: Parameters outside of blocks, embedding and head: the last norm, poolers.
        longest: The longest sequence that the config names; None where it names none. Of images the only length.
    """

    model_type: str
    reads: Reads
    stacks: tuple[Stack, ...]
    embedding: Embedding
    head: Head
    other_params: int
    longest: int | None

    @property
    def prunable_params(self) -> int:
        """Weights of the blocks' matrices: the dense size that laws count."""
        return sum(stack.prunable_params for stack in self.stacks)

    @property
    def rest_params(self) -> int:
        """Norms, biases, poolers."""
        return self.other_params + sum(stack.other_params for stack in self.stacks)

    @property
    def total_params(self) -> int:
        """All parameters."""
        return self.prunable_params + self.embedding.params + self.head.params + self.rest_params

    @property
    def writes_on(self) -> bool:
        """Whether it writes text token by token, and so keeps keys and values."""
        return any(stack.causal for stack in self.stacks)

    def lengths(self, context: int) -> tuple[int, ...]:
        """Tokens that each stack sees of one sequence of `context` inputs."""
        if len(self.stacks) == 1:
            return (context,)
        from sparseplan.shapes.t5 import spans_for  # noqa: PLC0415  only encoder-decoders write spans

        return (context, spans_for(context).targets)

    def flops_per_token(self, context: int) -> TokenFlops:
        """Training FLOPs of one token of inputs, in sequences of `context` tokens.

        An encoder-decoder restores spans, as T5 was trained: keys and values of what the encoder found are made of its
        tokens, everything else of the decoder and the head of the tokens that it writes.
        """
        lengths = self.lengths(context)
        weights = attention = 0.0
        for stack, length in zip(self.stacks, lengths, strict=True):
            to_encoder = 2 * stack.layers * stack.attention.key_width * stack.width if stack.reads_encoder else 0
            weights += _PER_WEIGHT * ((stack.prunable_params - to_encoder) * length + to_encoder * context)
            pairs = length * stack.attended(length) + (length * context * stack.layers if stack.reads_encoder else 0.0)
            attention += _PER_PAIR * stack.attention.width * pairs
        return TokenFlops(
            weights=weights / context,
            attention=attention / context,
            head=_PER_WEIGHT * self.head.weights * self.head.share * lengths[-1] / context,
            embedding=_PER_WEIGHT_OF_INPUTS * self.embedding.weights,
        )
