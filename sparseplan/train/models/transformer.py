"""A stack of transformer blocks of plain modern parts: pre-norm, rotary positions, squared ReLU, no biases.

Shapes: B sequences, T tokens, W width, H heads, K = W / H.

Weights start so that sizes are comparable: every block matrix with variance 1 / inputs, the two that write to the
residual stream smaller by sqrt(2 layers), the head with variance 1 / W^2.
Source: Yang et al. 2022, arXiv:2203.03466, table 8; Radford et al. 2019 for the residual stream.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparseplan.shapes.base import MLP_RATIO
from sparseplan.shapes.families import Shape
from sparseplan.train.models.base import Blocks, Model, ParameterGroup, PrunableLinear, Units

EMBEDDING_STD = 1.0
ROTARY_BASE = 10_000.0


class Block(nn.Module):
    """Attention and MLP, each behind a norm and added to the residual stream.

    The outputs of `qkv` are ordered so that rotation works on long contiguous runs: the first halves of all query
    heads, then of all key heads, their second halves likewise, then the values.
    """

    def __init__(self, shape: Shape, *, causal: bool) -> None:
        super().__init__()
        w = shape.width
        self.heads, self.causal = shape.heads, causal
        self.norm1 = nn.RMSNorm(w, eps=1e-6)
        self.qkv = PrunableLinear(w, 3 * w)
        self.out = PrunableLinear(w, w)
        self.norm2 = nn.RMSNorm(w, eps=1e-6)
        self.up = PrunableLinear(w, MLP_RATIO * w)
        self.down = PrunableLinear(MLP_RATIO * w, w)

    def forward(self, x_BTW: Tensor, cos_TW: Tensor, sin_TW: Tensor) -> Tensor:
        """Apply the block; the result has the shape of `x_BTW`."""
        B, T, W = x_BTW.shape
        first, second, v = self.qkv(self.norm1(x_BTW)).split(W, dim=-1)
        turned = rotate(first, second, cos_TW, sin_TW)
        halves = [half.view(B, T, 2, self.heads, W // self.heads // 2) for half in turned]
        q, k = (part.transpose(1, 2) for part in torch.cat(halves, dim=-1).to(v.dtype).unbind(2))
        v = v.view(B, T, self.heads, W // self.heads).transpose(1, 2)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x_BTW = x_BTW + self.out(attended.transpose(1, 2).reshape(B, T, W))
        hidden = functional.relu(self.up(self.norm2(x_BTW)))
        # not .square(): autocast runs powers in float32 on CUDA, and the widest tensor of the block with them
        streamed: Tensor = x_BTW + self.down(hidden * hidden)
        return streamed

    def head_units(self, name: str) -> Units:
        """The heads: rows of `qkv`, in its order, and columns of `out`."""
        W, half = self.out.in_features, self.out.in_features // self.heads // 2
        heads = torch.arange(self.heads)[:, None]
        halves = heads * half + torch.arange(half)
        own = heads * 2 * half + torch.arange(2 * half)
        rotated = [start + halves for start in (0, W // 2, W, W + W // 2)]
        rows = torch.cat([*rotated, 2 * W + own], dim=1)
        return Units(((f"{name}.qkv.weight", 0, rows), (f"{name}.out.weight", 1, own)))

    def neuron_units(self, name: str) -> Units:
        """The neurons: rows of `up` and columns of `down`."""
        neurons = torch.arange(self.up.out_features)[:, None]
        return Units(((f"{name}.up.weight", 0, neurons), (f"{name}.down.weight", 1, neurons)))


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

    def __init__(self, shape: Shape, *, seed: int, causal: bool, embeddings: int) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(embeddings, shape.width)
        self.blocks = nn.ModuleList(Block(shape, causal=causal) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=1e-6)
        self.head = nn.Linear(shape.width, shape.vocab, bias=False)
        cos, sin = rotary_tables(shape.context, heads=shape.heads, head_width=shape.width // shape.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise(torch.Generator().manual_seed(seed))
        expected = {matrix.name: (matrix.outputs, matrix.inputs) for matrix in shape.matrices}
        assert {name: tuple(weight.shape) for name, weight in self.prunable().items()} == expected
        assert sum(p.numel() for p in self.parameters()) == shape.dense_params + shape.other_params

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        residual = 1.0 / math.sqrt(2 * self.shape.layers)
        self.embedding.weight.normal_(0.0, EMBEDDING_STD, generator=generator)
        for name, weight in self.prunable().items():
            scale = residual if name.endswith(("out.weight", "down.weight")) else 1.0
            weight.normal_(0.0, scale / math.sqrt(weight.shape[1]), generator=generator)
        self.head.weight.normal_(0.0, 1.0 / self.shape.width, generator=generator)

    def units(self) -> Blocks:
        """The heads and the neurons of every block."""
        blocks = [(f"blocks.{index}", block) for index, block in enumerate(self.blocks) if isinstance(block, Block)]
        return tuple((block.head_units(name), block.neuron_units(name)) for name, block in blocks)

    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        """Matrices of blocks and head follow the width and decay; embedding and norms do neither."""
        norms = [p for module in self.modules() if isinstance(module, nn.RMSNorm) for p in module.parameters()]
        return (
            ParameterGroup([*self.prunable().values(), self.head.weight], width=self.shape.width, decays=True),
            ParameterGroup([self.embedding.weight], width=None, decays=False),
            ParameterGroup(norms, width=None, decays=False),
        )

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """What the blocks make of some tokens, normed, `(B, T, W)`: what the head reads."""
        x_BTW = self.embedding(tokens_BT)
        for block in self.blocks:
            x_BTW = block(x_BTW, self.cos, self.sin)
        normed: Tensor = self.norm(x_BTW)
        return normed


def rotary_tables(context: int, *, heads: int, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, each `(context, W)`: one head's, for all query heads and all key heads.

    Source: Su et al. 2021, arXiv:2104.09864.
    """
    rates = ROTARY_BASE ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), rates).repeat(1, 2 * heads)
    return angles.cos().float(), angles.sin().float()


def rotate(first: Tensor, second: Tensor, cos_TW: Tensor, sin_TW: Tensor) -> tuple[Tensor, Tensor]:
    """Turn pairs (first, second), each `(B, T, W)`, by the angle of their position."""
    T = first.shape[1]
    cos, sin = cos_TW[:T], sin_TW[:T]
    return torch.addcmul(first * cos, second, sin, value=-1), torch.addcmul(second * cos, first, sin)
