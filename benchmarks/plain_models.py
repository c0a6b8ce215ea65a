"""The models of the families as one would write them down, and their batches: nothing of our code but the shapes.

`family_throughput.py` times our loop against these, and tests hold our models against them.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.t5 import T5Shape
from sparseplan.shapes.vit import VitShape


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer without bias."""
    return nn.Linear(inputs, outputs, bias=False)


def split(x: Tensor, heads: int) -> Tensor:
    """`(B, T, W)` as `(B, heads, T, W / heads)`."""
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def joined(x: Tensor) -> Tensor:
    """The reverse."""
    return x.transpose(1, 2).flatten(2)


class PlainLlama(nn.Module):
    """A decoder with shared keys and values and a gated MLP; its loss is the mean cross entropy."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: GptShape) -> None:
        super().__init__()
        w, self.heads, self.kv_heads = shape.width, shape.heads, shape.key_heads
        kv = self.kv_heads * (w // shape.heads)
        self.embedding = nn.Embedding(shape.vocab, w)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.RMSNorm(w, eps=1e-6),
                    "query": linear(w, w),
                    "key": linear(w, kv),
                    "value": linear(w, kv),
                    "out": linear(w, w),
                    "norm2": nn.RMSNorm(w, eps=1e-6),
                    "gate": linear(w, shape.hidden),
                    "up": linear(w, shape.hidden),
                    "down": linear(shape.hidden, w),
                }
            )
            for _ in range(shape.layers)
        )
        self.norm = nn.RMSNorm(w, eps=1e-6)
        self.head = linear(w, shape.vocab)
        half = w // shape.heads // 2
        angles = torch.outer(torch.arange(shape.context), 10_000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def turned(self, x: Tensor) -> Tensor:
        """Rotate `(B, H, T, K)` by its places."""
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * self.cos - b * self.sin, b * self.cos + a * self.sin), dim=-1).to(x.dtype)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean loss in nats per token."""
        x = self.embedding(tokens)
        for block in self.blocks:
            y = block["norm1"](x)
            q, k = self.turned(split(block["query"](y), self.heads)), self.turned(split(block["key"](y), self.kv_heads))
            v = split(block["value"](y), self.kv_heads)
            k, v = (each.repeat_interleave(self.heads // self.kv_heads, dim=1) for each in (k, v))
            x = x + block["out"](joined(functional.scaled_dot_product_attention(q, k, v, is_causal=True)))
            y = block["norm2"](x)
            x = x + block["down"](functional.silu(block["gate"](y)) * block["up"](y))
        return functional.cross_entropy(self.head(self.norm(x)).flatten(0, 1).float(), targets.flatten())


class PlainVit(nn.Module):
    """A vision transformer that takes the mean of its patches; its loss is the mean cross entropy."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        w, self.heads = shape.width, shape.heads
        self.patches = nn.Conv2d(shape.channels, w, shape.patch, stride=shape.patch, bias=False)
        self.places = nn.Parameter(torch.randn(shape.tokens_per_sequence, w))
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.RMSNorm(w, eps=1e-6),
                    "qkv": linear(w, 3 * w),
                    "out": linear(w, w),
                    "norm2": nn.RMSNorm(w, eps=1e-6),
                    "up": linear(w, 4 * w),
                    "down": linear(4 * w, w),
                }
            )
            for _ in range(shape.layers)
        )
        self.norm = nn.RMSNorm(w, eps=1e-6)
        self.head = linear(w, shape.classes)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """Mean loss in nats per image."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            q, k, v = (split(part, self.heads) for part in block["qkv"](block["norm1"](x)).chunk(3, dim=-1))
            x = x + block["out"](joined(functional.scaled_dot_product_attention(q, k, v)))
            hidden = functional.relu(block["up"](block["norm2"](x)))
            x = x + block["down"](hidden * hidden)
        return functional.cross_entropy(self.head(self.norm(x).mean(1)).float(), classes)


class PlainT5(nn.Module):
    """T5.1.1 with attention written out; its loss is the mean cross entropy."""

    def __init__(self, shape: T5Shape) -> None:
        super().__init__()
        w, h, self.heads = shape.width, shape.mlp_width, shape.heads
        self.embedding, self.head = nn.Embedding(shape.tokens, w), linear(w, shape.tokens)
        self.encoder_bias, self.decoder_bias = nn.Embedding(32, shape.heads), nn.Embedding(32, shape.heads)
        self.encoder_norm, self.decoder_norm = nn.RMSNorm(w, eps=1e-6), nn.RMSNorm(w, eps=1e-6)

        def block(attentions: tuple[str, ...]) -> nn.ModuleDict:
            parts: dict[str, nn.Module] = {
                f"{name}_{part}": linear(w, w) for name in attentions for part in ("query", "key", "value", "out")
            }
            parts |= {f"norm{index + 1}": nn.RMSNorm(w, eps=1e-6) for index in range(len(attentions) + 1)}
            return nn.ModuleDict(parts | {"gate": linear(w, h), "up": linear(w, h), "down": linear(h, w)})

        self.encoder = nn.ModuleList(block(("itself",)) for _ in range(shape.layers))
        self.decoder = nn.ModuleList(block(("itself", "other")) for _ in range(shape.layers))

    def _attended(self, block: nn.ModuleDict, name: str, x: Tensor, memory: Tensor, bias: Tensor | None) -> Tensor:
        q = split(block[f"{name}_query"](x), self.heads)
        k, v = (split(block[f"{name}_{part}"](memory), self.heads) for part in ("key", "value"))
        scores = q @ k.transpose(-1, -2)
        weights = (scores if bias is None else scores + bias).float().softmax(-1).to(v.dtype)
        out: Tensor = block[f"{name}_out"](joined(weights @ v))
        return out

    def forward(self, inputs: Tensor, before: Tensor, targets: Tensor) -> Tensor:
        """Mean loss in nats per target token."""
        x, y = self.embedding(inputs), self.embedding(before)
        T, U = inputs.shape[1], before.shape[1]
        bias = self.encoder_bias(relative_buckets(T, both_ways=True)).permute(2, 0, 1)
        for block in self.encoder:
            normed = block["norm1"](x)
            x = x + self._attended(block, "itself", normed, normed, bias)
            normed = block["norm2"](x)
            x = x + block["down"](functional.gelu(block["gate"](normed), approximate="tanh") * block["up"](normed))
        x = self.encoder_norm(x)
        bias = self.decoder_bias(relative_buckets(U, both_ways=False)).permute(2, 0, 1)
        bias = bias.masked_fill(torch.ones(U, U).triu(1).bool(), -torch.inf)
        for block in self.decoder:
            normed = block["norm1"](y)
            y = y + self._attended(block, "itself", normed, normed, bias)
            y = y + self._attended(block, "other", block["norm2"](y), x, None)
            normed = block["norm3"](y)
            y = y + block["down"](functional.gelu(block["gate"](normed), approximate="tanh") * block["up"](normed))
        return functional.cross_entropy(self.head(self.decoder_norm(y)).flatten(0, 1).float(), targets.flatten())


def relative_buckets(length: int, *, both_ways: bool) -> Tensor:
    """Buckets of relative positions, 32 up to a distance of 128. Source: arXiv:1910.10683, section 2.1."""
    ahead = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    count = 16 if both_ways else 32
    offset = (ahead > 0) * count if both_ways else torch.zeros_like(ahead)
    distance = ahead.abs() if both_ways else -ahead.clamp(max=0)
    near = count // 2
    far = near + (torch.log(distance.clamp(min=1) / near) / np.log(128 / near) * (count - near)).long()
    return offset + torch.where(distance < near, distance, far.clamp(max=count - 1))


def windows(tokens: NDArray[np.generic], random: np.random.Generator, *, batch: int, length: int) -> NDArray[np.int64]:
    """Random windows of a token file, `(batch, length)`."""
    starts = random.integers(len(tokens) - length, size=batch)
    return np.stack([tokens[s : s + length].astype(np.int64) for s in starts])


def cut_spans(text: NDArray[np.int64], shape: T5Shape, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets one place later and targets of some windows, one window after the other."""
    window, noise, spans = shape.spans
    inputs, targets = [], []
    for row in text:
        ends = [np.sort(random.choice(total - 1, spans - 1, replace=False)) + 1 for total in (window - noise, noise)]
        kept, gone = (np.diff([0, *end, total]) for end, total in zip(ends, (window - noise, noise), strict=True))
        read: list[int] = []
        asked: list[int] = []
        at = 0
        for span in range(spans):
            sentinel = shape.tokens - 1 - span
            read += [*row[at : at + kept[span]], sentinel]
            at += kept[span]
            asked += [sentinel, *row[at : at + gone[span]]]
            at += gone[span]
        inputs.append([*read, shape.vocab + 1])
        targets.append([*asked, shape.vocab + 1])
    asked_for = torch.tensor(np.array(targets))
    before = torch.cat([torch.full((len(text), 1), shape.vocab), asked_for[:, :-1]], dim=1)
    return torch.tensor(np.array(inputs)), before, asked_for
