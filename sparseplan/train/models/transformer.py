"""A stack of transformer blocks of plain modern parts: pre-norm, squared ReLU, no biases; on text rotary positions.

Shapes: B sequences, T tokens, W width, H heads, K = W / H.

Weights start so that sizes are comparable: every block matrix with variance 1 / inputs, the two that write to the
residual stream smaller by sqrt(2 layers), the head with variance 1 / W^2.
Source: Yang et al. 2022, arXiv:2203.03466, table 8; Radford et al. 2019 for the residual stream.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparseplan.shapes.bert import BertShape
from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.transformer import ROTARY_BASE, BlockStack
from sparseplan.train.models.base import Blocks, Model, ParameterGroup, PrunableLinear, Units

EMBEDDING_STD = 1.0


class Block(nn.Module):
    """Attention and MLP, each behind a norm and added to the residual stream.

    Where positions are rotary, the outputs of `qkv` are ordered so that rotation works on long contiguous runs: the
    first halves of all query heads, then of all key heads, their second halves likewise, then the values. Key heads may
    be fewer than query heads; each then serves as many of them, in order (Ainslie et al. 2023, arXiv:2305.13245). A
    gated MLP multiplies `up` by the SiLU of `gate` (Shazeer 2020, arXiv:2002.05202).
    """

    def __init__(self, shape: BlockStack, *, causal: bool) -> None:
        super().__init__()
        w, hidden = shape.width, shape.hidden
        self.heads, self.key_heads, self.causal = shape.heads, shape.key_heads, causal
        self.norm1 = nn.RMSNorm(w, eps=shape.norm_epsilon)
        self.qkv = PrunableLinear(w, w + 2 * self.key_heads * (w // self.heads))
        self.out = PrunableLinear(w, w)
        self.norm2 = nn.RMSNorm(w, eps=shape.norm_epsilon)
        self.gate = PrunableLinear(w, hidden) if shape.gated else None
        self.up = PrunableLinear(w, hidden)
        self.down = PrunableLinear(hidden, w)

    def forward(self, x_BTW: Tensor, angles: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Apply the block; the result has the shape of `x_BTW`. `angles` are what `rotary_tables` gives."""
        B, T, W = x_BTW.shape
        H, G, K = self.heads, self.key_heads, W // self.heads
        projected = self.qkv(self.norm1(x_BTW))
        qk, v = projected.split(((H + G) * K, G * K), dim=-1)
        if angles is None:
            qk = qk.view(B, T, H + G, K)
        else:
            first, second = qk.chunk(2, dim=-1)
            turned = rotate(first, second, *angles)
            qk = torch.cat([half.view(B, T, H + G, K // 2) for half in turned], dim=-1).to(v.dtype)
        q, k = (part.transpose(1, 2) for part in qk.split((H, G), dim=2))
        v = v.view(B, T, G, K).transpose(1, 2)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal, enable_gqa=G < H)
        x_BTW = x_BTW + self.out(attended.transpose(1, 2).reshape(B, T, W))
        normed = self.norm2(x_BTW)
        if self.gate is None:
            hidden = functional.relu(self.up(normed))
            # not .square(): autocast runs powers in float32 on CUDA, and the widest tensor of the block with them
            hidden = hidden * hidden
        else:
            hidden = functional.silu(self.gate(normed)) * self.up(normed)
        streamed: Tensor = x_BTW + self.down(hidden)
        return streamed

    def head_units(self, name: str) -> Units:
        """The key heads, each with the query heads that it serves: rows of a rotary `qkv`, and columns of `out`."""
        W, H, G = self.out.in_features, self.heads, self.key_heads
        width, half, served = W // H, W // H // 2, H // G
        key = torch.arange(G)[:, None]
        query = key * served + torch.arange(served)  # (G, served)
        turning = torch.cat([query, H + key], dim=1)  # places among the rotated heads
        first = (turning[:, :, None] * half + torch.arange(half)).flatten(1)
        value = (H + G) * width + key * width + torch.arange(width)
        rows = torch.cat([first, (H + G) * half + first, value], dim=1)
        columns = (query[:, :, None] * width + torch.arange(width)).flatten(1)
        return Units(((f"{name}.qkv.weight", 0, rows), (f"{name}.out.weight", 1, columns)))

    def neuron_units(self, name: str) -> Units:
        """The neurons: rows of `up`, and of `gate` where there is one, and columns of `down`."""
        neurons = torch.arange(self.up.out_features)[:, None]
        rows = [f"{name}.{part}.weight" for part in ("up", *(() if self.gate is None else ("gate",)))]
        return Units((*((row, 0, neurons) for row in rows), (f"{name}.down.weight", 1, neurons)))


def initialise_blocks(model: Model, layers: int, generator: torch.Generator) -> None:
    """Draw the prunable weights: variance 1 / inputs, those that write to the residual stream smaller."""
    residual = 1.0 / math.sqrt(2 * layers)
    for name, weight in model.prunable().items():
        scale = residual if name.endswith(("out.weight", "down.weight")) else 1.0
        weight.normal_(0.0, scale / math.sqrt(weight.shape[1]), generator=generator)


class Transformer(Model):
    """Embedding, blocks, a last norm and an untied head.

    Args:
        shape: Its shape.
        seed: Of the initial weights.
        causal: Whether a token sees only itself and those before it.
        embeddings: Rows of the embedding: the vocabulary, and what else a task feeds.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: GptShape | BertShape, *, seed: int, causal: bool, embeddings: int) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(embeddings, shape.width)
        self.blocks = nn.ModuleList(Block(shape, causal=causal) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.head = nn.Linear(shape.width, shape.vocab, bias=False)
        turned = shape.heads + shape.key_heads
        head_width = shape.width // shape.heads
        cos, sin = rotary_tables(shape.context, heads=turned, head_width=head_width, base=shape.rotary_base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise(torch.Generator().manual_seed(seed))
        self.check_counts(shape)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        self.embedding.weight.normal_(0.0, EMBEDDING_STD, generator=generator)
        initialise_blocks(self, self.shape.layers, generator)
        self.head.weight.normal_(0.0, 1.0 / self.shape.width, generator=generator)

    def units(self) -> Blocks:
        """The heads and the neurons of every block."""
        blocks = [(f"blocks.{index}", block) for index, block in enumerate(self.blocks) if isinstance(block, Block)]
        return tuple((block.head_units(name), block.neuron_units(name)) for name, block in blocks)

    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        """Matrices of blocks and head follow the width and decay; embedding and norms do neither."""
        return (
            ParameterGroup([*self.prunable().values(), self.head.weight], width=self.shape.width, decays=True),
            ParameterGroup([self.embedding.weight], width=None, decays=False),
            ParameterGroup(self.norms(), width=None, decays=False),
        )

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """What the blocks make of some tokens, normed, `(B, T, W)`: what the head reads."""
        x_BTW = self.embedding(tokens_BT)
        for block in self.blocks:
            x_BTW = block(x_BTW, (self.cos, self.sin))
        normed: Tensor = self.norm(x_BTW)
        return normed


def rotary_tables(context: int, *, heads: int, head_width: int, base: float = ROTARY_BASE) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, each `(context, heads x head_width / 2)`: one head's for all `heads`.

    Source: Su et al. 2021, arXiv:2104.09864.
    """
    rates = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), rates).repeat(1, heads)
    return angles.cos().float(), angles.sin().float()


def rotate(first: Tensor, second: Tensor, cos_TW: Tensor, sin_TW: Tensor) -> tuple[Tensor, Tensor]:
    """Turn pairs (first, second), each `(B, T, ...)`, by the angle of their position."""
    T = first.shape[1]
    cos, sin = cos_TW[:T], sin_TW[:T]
    return torch.addcmul(first * cos, second, sin, value=-1), torch.addcmul(second * cos, first, sin)
