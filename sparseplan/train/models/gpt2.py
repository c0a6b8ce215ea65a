"""GPT-2 as its authors released it: pre-norm, learned positions, biases, GELU by its tanh, the embedding as head.

Sizes start alike as in the other decoders: block matrices with variance 1 / inputs, those that write to the residual
stream smaller; embedding and positions with GPT-2's .02 and .01, biases at 0.
Source: Radford et al. 2019; openai/gpt-2, src/model.py.

Shapes: B sequences, T tokens, W width, H heads, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparseplan.shapes.gpt2 import Gpt2Shape
from sparseplan.train.models.base import Model, ParameterGroup, PrunableLinear
from sparseplan.train.models.transformer import initialise_blocks

EMBEDDING_STD, POSITION_STD, EPSILON = 0.02, 0.01, 1e-5


class Gpt2Block(nn.Module):
    """Attention and MLP, each behind a norm and added to the residual stream; biases beside the prunable weights."""

    def __init__(self, shape: Gpt2Shape) -> None:
        super().__init__()
        w, hidden = shape.width, shape.hidden
        self.heads = shape.heads
        self.norm1, self.norm2 = nn.LayerNorm(w, eps=EPSILON), nn.LayerNorm(w, eps=EPSILON)
        self.qkv, self.out = PrunableLinear(w, 3 * w), PrunableLinear(w, w)
        self.up, self.down = PrunableLinear(w, hidden), PrunableLinear(hidden, w)
        self.qkv_bias, self.out_bias = nn.Parameter(torch.zeros(3 * w)), nn.Parameter(torch.zeros(w))
        self.up_bias, self.down_bias = nn.Parameter(torch.zeros(hidden)), nn.Parameter(torch.zeros(w))

    def forward(self, x_BTW: Tensor) -> Tensor:
        """Apply the block; the result has the shape of `x_BTW`."""
        B, T, W = x_BTW.shape
        projected = self.qkv(self.norm1(x_BTW)) + self.qkv_bias
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in projected.chunk(3, dim=-1))
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BTW = x_BTW + self.out(attended.transpose(1, 2).reshape(B, T, W)) + self.out_bias
        hidden = functional.gelu(self.up(self.norm2(x_BTW)) + self.up_bias, approximate="tanh")
        streamed: Tensor = x_BTW + self.down(hidden) + self.down_bias
        return streamed


class Gpt2(Model):
    """The model of a `Gpt2Shape`."""

    def __init__(self, shape: Gpt2Shape, *, seed: int) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Gpt2Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, eps=EPSILON)
        self._initialise(torch.Generator().manual_seed(seed))
        self.check_counts(shape)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        self.embedding.weight.normal_(0.0, EMBEDDING_STD, generator=generator)
        self.positions.weight.normal_(0.0, POSITION_STD, generator=generator)
        initialise_blocks(self, self.shape.layers, generator)

    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        """Matrices of the blocks follow the width and decay; embedding, positions, biases and norms do neither."""
        matrices = list(self.prunable().values())
        taken = {id(weight) for weight in matrices}
        aside = [parameter for parameter in self.parameters() if id(parameter) not in taken]
        return (
            ParameterGroup(matrices, width=self.shape.width, decays=True),
            ParameterGroup(aside, width=None, decays=False),
        )

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Logits of the next token at every place, `(B, T, V)`."""
        x_BTW = self.embedding(tokens_BT) + self.positions.weight[: tokens_BT.shape[1]]
        for block in self.blocks:
            x_BTW = block(x_BTW)
        return functional.linear(self.norm(x_BTW), self.embedding.weight)
