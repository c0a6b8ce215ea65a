"""Encoder-decoders: T5.1.1, trained to restore spans that were cut out of a text.

N counts the linear layers of encoder and decoder blocks, as in Frantar et al. 2023, arXiv:2309.08520. For width w, an
MLP of width h and `layers` blocks in each of the two stacks that is, per layer,

    encoder   self-attention  query, key, value, output                 4 w^2
              MLP             gate, up, down                            3 w h
    decoder   self-attention and attention to the encoder               8 w^2
              MLP             gate, up, down                            3 w h

so 28 w^2 a layer at T5's usual h = 8/3 w. (The paper's table names its sizes by 24 w^2 a layer.)

How spans are cut (t5/data/preprocessors.py, random_spans_helper and random_spans_noise_mask): of L tokens
n = round(.15 L) are noise, in s = round(n / 3) spans. Each span is replaced by one sentinel in the inputs; the targets
are the sentinels, each followed by what it hides; both end in an end token. L is the most tokens whose inputs fit the
context: 568 for 512 inputs, which leaves 114 targets. D counts inputs, as the paper does.
"""

import math
from bisect import bisect_right
from functools import cache
from typing import Annotated, NamedTuple

from msgspec import Meta

from sparseplan.shapes.base import Inputs, Matrix
from sparseplan.shapes.sizes import MAX_WIDTH
from sparseplan.shapes.transformer import BlockStack, TransformerModel

NOISE_DENSITY, MEAN_SPAN = 0.15, 3.0
BIAS_BUCKETS, MAX_DISTANCE = 32, 128
"""Buckets of relative positions, and from which distance on they are all one. Source: arXiv:1910.10683, section 2.1."""
_HIDDEN_STEP = 8  # so that groups of up to 8 inputs divide the MLP's width


class Spans(NamedTuple):
    """How a window of text is cut.

    Attributes:
        window: Tokens of text that one sequence is made of.
        noise: Those that are cut out.
        spans: In how many pieces; as many sentinels.
    """

    window: int
    noise: int
    spans: int

    @property
    def inputs(self) -> int:
        """Tokens that the encoder reads: what is left, sentinels, end."""
        return self.window - self.noise + self.spans + 1

    @property
    def targets(self) -> int:
        """Tokens that the decoder writes: sentinels, what they hide, end."""
        return self.noise + self.spans + 1


@cache
def spans_for(inputs: int) -> Spans:
    """The largest window whose inputs are no more than `inputs`.

    >>> spans = spans_for(512)
    >>> spans.window, spans.noise, spans.spans, spans.inputs, spans.targets
    (568, 85, 28, 512, 114)
    """
    wider = range(3, 2 * inputs + 4)  # a window's inputs never fall as it grows
    return _cut(2 + bisect_right(wider, inputs, key=lambda window: _cut(window).inputs))


def _cut(window: int) -> Spans:
    noise = min(max(1, round(NOISE_DENSITY * window)), window - 1)
    return Spans(window, noise, max(1, round(noise / MEAN_SPAN)))


def _params(layers: int, width: int, hidden: int) -> int:
    return layers * (12 * width * width + 6 * width * hidden)


class T5Shape(BlockStack, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="t5"):
    """An encoder and a decoder of `layers` blocks each: pre-norm, relative positions, no biases, untied head.

    >>> base = T5Shape(layers=12, width=768, heads=12, mlp_width=2048, vocab=32_000, context=512)
    >>> base.dense_params == 12 * 28 * 768**2
    True
    """

    mlp_width: Annotated[int, Meta(ge=1, le=4 * MAX_WIDTH, description="Width of the MLPs.")]
    vocab: Annotated[int, Meta(ge=2, le=2**24, description="Tokens of the data's vocabulary; 256 for bytes.")]
    context: Annotated[int, Meta(ge=8, le=2**24, description="Tokens that the encoder reads.")]

    @property
    def hidden(self) -> int:
        """Width of the MLPs."""
        return self.mlp_width

    @property
    def gated(self) -> bool:
        """Always."""
        return True

    @property
    def spans(self) -> Spans:
        """How a window of text is cut."""
        return spans_for(self.context)

    @property
    def tokens(self) -> int:
        """Tokens of embedding and head: the data's, start, end, and a sentinel for every span."""
        return self.vocab + 2 + self.spans.spans

    @property
    def start_token(self) -> int:
        """What the decoder reads first."""
        return self.vocab

    @property
    def end_token(self) -> int:
        """What inputs and targets end in."""
        return self.vocab + 1

    @property
    def first_sentinel(self) -> int:
        """The sentinel of the first span; those of later spans descend from it."""
        return self.tokens - 1

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """The prunable weights, named as the model's parameters are."""
        w, h = self.width, self.mlp_width
        attention = [(name, w, w) for name in ("query", "key", "value", "out")]
        mlp = [("mlp.gate", h, w), ("mlp.up", h, w), ("mlp.down", w, h)]
        itself, other = ([(f"{part}.{name}", a, b) for name, a, b in attention] for part in ("itself", "other"))
        stacks = {"encoder": [*itself, *mlp], "decoder": [*itself, *other, *mlp]}
        return tuple(
            Matrix(f"{stack}.{layer}.{name}.weight", outputs, inputs)
            for stack, parts in stacks.items()
            for layer in range(self.layers)
            for name, outputs, inputs in parts
        )

    @property
    def dense_params(self) -> int:
        """Prunable weights before pruning."""
        return _params(self.layers, self.width, self.mlp_width)

    @property
    def other_params(self) -> int:
        """What is never pruned: embedding, head, relative positions of both stacks, norms."""
        norms = (5 * self.layers + 2) * self.width
        return 2 * self.tokens * self.width + 2 * BIAS_BUCKETS * self.heads + norms

    @property
    def tokens_per_sequence(self) -> int:
        """Tokens of one sequence that the encoder reads."""
        return self.spans.inputs

    @property
    def data_per_sequence(self) -> int:
        """What one sequence adds to D: the tokens that the encoder reads, as the paper counts."""
        return self.spans.inputs

    @property
    def entries_per_sequence(self) -> int:
        """Entries of the training data that one sequence is made of: a window of text."""
        return self.spans.window

    @property
    def loss_of_a_guess(self) -> float:
        """Loss in nats of a model that takes every token for equally likely."""
        return math.log(self.tokens)

    @staticmethod
    def loss_per(data_unit: str) -> str:
        """What the loss is a mean over: targets, sentinels and end among them."""
        return f"target {data_unit}"

    def machine_flops_per_token(self) -> float:
        """FLOPs of a forward and backward pass as a dense machine does them, per token that the encoder reads.

        6 per weight and token that it sees: the decoder's keys and values of what the encoder found see the inputs,
        its other weights and the head the targets. Attention has 12 w a pair of tokens and layer.
        """
        w, L, T, U = self.width, self.layers, self.spans.inputs, self.spans.targets
        mlp = 3 * w * self.mlp_width
        encoder = T * (6.0 * (4 * w * w + mlp) + 12.0 * w * T)
        decoder = U * (6.0 * (6 * w * w + mlp) + 12.0 * w * (U + T)) + T * 6.0 * 2 * w * w
        return (L * (encoder + decoder) + U * 6.0 * self.tokens * w) / T


class T5Model(TransformerModel, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="t5"):
    """Encoder-decoders of a recipe; `layers` counts those of each of the two stacks."""

    mlp_ratio: Annotated[
        float, Meta(gt=0, le=64, description="Width of the MLPs over the width, rounded to a multiple of 8.")
    ] = 8 / 3

    def mlp_width(self, width: int) -> int:
        """Width of the MLPs of a width."""
        return max(1, round(self.mlp_ratio * width / _HIDDEN_STEP)) * _HIDDEN_STEP

    def shape(self, index: int, sparsity: float, inputs: Inputs) -> T5Shape:
        """The shape that the size at `index` of the grid means at a sparsity, for tokens of a vocabulary.

        Raises:
            ValueError: if there is none.
        """
        assert isinstance(inputs, int), "a recipe's data are checked against what its family reads"
        size = self.sizes.size(index, sparsity, lambda layers, width: _params(layers, width, self.mlp_width(width)))
        return T5Shape(
            layers=size.layers,
            width=size.width,
            heads=self.heads(size),
            mlp_width=self.mlp_width(size.width),
            vocab=inputs,
            context=self.context,
        )
