"""T5.1.1: an encoder that reads a text with holes, a decoder that fills them; no dropout, untied head.

RMS norms before every part, relative positions as a bias on attention's scores, one per head and bucket of distance and
shared by a stack's layers, an MLP gated by GELU, no biases elsewhere. Scores are not divided by sqrt(K): queries start
smaller by it. Query, key and value are matrices of their own, so that each is pruned to the sparsity, and stepped by
Adafactor, on its own scale.

Weights start as in t5x: variance 1 / inputs, 1 / (K inputs) for queries, 1 for the embedding.
Source: Raffel et al. 2020, arXiv:1910.10683; Shazeer 2020, arXiv:2002.05202; t5x/examples/t5/network.py and layers.py.

Shapes: B sequences, T tokens of the inputs, U of the targets, W width, H heads, K = W / H, V tokens of the vocabulary.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparseplan.shapes.t5 import BIAS_BUCKETS, MAX_DISTANCE, T5Shape
from sparseplan.train.models.base import Model, ParameterGroup, PrunableLinear


class Attention(nn.Module):
    """Attention of some tokens to others, or to themselves."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = PrunableLinear(width, width), PrunableLinear(width, width)
        self.value, self.out = PrunableLinear(width, width), PrunableLinear(width, width)

    def forward(self, x_BUW: Tensor, memory_BTW: Tensor, bias_HUT: Tensor | None = None) -> Tensor:
        """What tokens take from others, `(B, U, W)`; `bias_HUT` is added to the scores."""
        q, k, v = self._split(self.query(x_BUW)), self._split(self.key(memory_BTW)), self._split(self.value(memory_BTW))
        if bias_HUT is not None and x_BUW.device.type == "cpu":
            # no fused kernel there has a gradient of the bias, and torch's own way scales queries and keys by 1 first
            attended = (q @ k.transpose(-1, -2) + bias_HUT).softmax(-1) @ v
        else:
            bias = None if bias_HUT is None else bias_HUT.to(q.dtype)
            attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        taken: Tensor = self.out(attended.transpose(1, 2).reshape(x_BUW.shape))
        return taken

    def _split(self, x_BTW: Tensor) -> Tensor:
        return x_BTW.view(*x_BTW.shape[:2], self.heads, -1).transpose(1, 2)


class GatedMlp(nn.Module):
    """GELU of one projection, by its tanh, times another."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate, self.up = PrunableLinear(width, hidden), PrunableLinear(width, hidden)
        self.down = PrunableLinear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """The MLP of `(..., W)`."""
        out: Tensor = self.down(functional.gelu(self.gate(x), approximate="tanh") * self.up(x))
        return out


class EncoderBlock(nn.Module):
    """Attention among the inputs, and an MLP."""

    def __init__(self, shape: T5Shape) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(shape), _norm(shape)
        self.itself = Attention(shape.width, shape.heads)
        self.mlp = GatedMlp(shape.width, shape.mlp_width)

    def forward(self, x_BTW: Tensor, bias_HTT: Tensor) -> Tensor:
        """Apply the block."""
        normed = self.norm1(x_BTW)
        x_BTW = x_BTW + self.itself(normed, normed, bias_HTT)
        streamed: Tensor = x_BTW + self.mlp(self.norm2(x_BTW))
        return streamed


class DecoderBlock(nn.Module):
    """Attention among the targets so far, attention to what the encoder found, and an MLP."""

    def __init__(self, shape: T5Shape) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = _norm(shape), _norm(shape), _norm(shape)
        self.itself = Attention(shape.width, shape.heads)
        self.other = Attention(shape.width, shape.heads)
        self.mlp = GatedMlp(shape.width, shape.mlp_width)

    def forward(self, x_BUW: Tensor, memory_BTW: Tensor, bias_HUU: Tensor) -> Tensor:
        """Apply the block; `bias_HUU` hides what comes later."""
        normed = self.norm1(x_BUW)
        x_BUW = x_BUW + self.itself(normed, normed, bias_HUU)
        x_BUW = x_BUW + self.other(self.norm2(x_BUW), memory_BTW)
        streamed: Tensor = x_BUW + self.mlp(self.norm3(x_BUW))
        return streamed


class T5(Model):
    """The model of a `T5Shape`."""

    places_TT: Tensor
    places_UU: Tensor
    later_UU: Tensor

    def __init__(self, shape: T5Shape, *, seed: int) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.tokens, shape.width)
        self.encoder = nn.ModuleList(EncoderBlock(shape) for _ in range(shape.layers))
        self.decoder = nn.ModuleList(DecoderBlock(shape) for _ in range(shape.layers))
        self.encoder_bias = nn.Embedding(BIAS_BUCKETS, shape.heads)
        self.decoder_bias = nn.Embedding(BIAS_BUCKETS, shape.heads)
        self.encoder_norm, self.decoder_norm = _norm(shape), _norm(shape)
        self.head = nn.Linear(shape.width, shape.tokens, bias=False)
        T, U = shape.spans.inputs, shape.spans.targets
        self.register_buffer("places_TT", position_buckets(T, both_ways=True), persistent=False)
        self.register_buffer("places_UU", position_buckets(U, both_ways=False), persistent=False)
        later = torch.full((U, U), -torch.inf).triu(1)
        self.register_buffer("later_UU", later, persistent=False)
        self._initialise(torch.Generator().manual_seed(seed))
        self.check_counts(shape)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        self.embedding.weight.normal_(generator=generator)
        depth = self.shape.width // self.shape.heads
        for name, weight in [*self.prunable().items(), ("head", self.head.weight)]:
            inputs = weight.shape[1] * (depth if name.endswith("query.weight") else 1)
            weight.normal_(0.0, 1.0 / math.sqrt(inputs), generator=generator)
        for bias in (self.encoder_bias.weight, self.decoder_bias.weight):
            bias.normal_(0.0, math.sqrt(2.0 / (BIAS_BUCKETS + self.shape.heads)), generator=generator)

    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        """Matrices of blocks and head follow the width and decay; embedding, relative positions and norms don't."""
        aside = [self.embedding.weight, self.encoder_bias.weight, self.decoder_bias.weight]
        return (
            ParameterGroup([*self.prunable().values(), self.head.weight], width=self.shape.width, decays=True),
            ParameterGroup(aside, width=None, decays=False),
            ParameterGroup(self.norms(), width=None, decays=False),
        )

    def forward(self, inputs_BT: Tensor, before_BU: Tensor) -> Tensor:
        """Logits of the targets, `(B, U, V)`, given the inputs and, for each target, the one before it."""
        memory_BTW = self.embedding(inputs_BT)
        bias_HTT = self.encoder_bias(self.places_TT).permute(2, 0, 1)
        for block in self.encoder:
            memory_BTW = block(memory_BTW, bias_HTT)
        memory_BTW = self.encoder_norm(memory_BTW)
        x_BUW = self.embedding(before_BU)
        bias_HUU = self.decoder_bias(self.places_UU).permute(2, 0, 1) + self.later_UU
        for block in self.decoder:
            x_BUW = block(x_BUW, memory_BTW, bias_HUU)
        logits_BUV: Tensor = self.head(self.decoder_norm(x_BUW))
        return logits_BUV


def position_buckets(length: int, *, both_ways: bool) -> Tensor:
    """The bucket of every pair of query and key, `(length, length)`, by how far the key lies from the query.

    Half of the buckets of a direction are one distance each, the other half widen as the logarithm up to
    `MAX_DISTANCE`. Where `both_ways`, half of all are for keys that come later; else those share bucket 0.
    """
    place = torch.arange(length)
    behind = place[:, None] - place[None, :]
    buckets = BIAS_BUCKETS // 2 if both_ways else BIAS_BUCKETS
    first = torch.where(behind < 0, buckets, 0) if both_ways else torch.zeros_like(behind)
    distance = behind.abs() if both_ways else behind.clamp(min=0)
    exact = buckets // 2
    growth = (distance.clamp(min=1).double() / exact).log() / math.log(MAX_DISTANCE / exact)
    wide = (exact + (growth * (buckets - exact)).long()).clamp(max=buckets - 1)
    return first + torch.where(distance < exact, distance, wide)


def _norm(shape: T5Shape) -> nn.RMSNorm:
    return nn.RMSNorm(shape.width, eps=1e-6)
