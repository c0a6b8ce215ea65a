"""A vision transformer: blocks over the patches of an image, and logits of its class.

The blocks are the other families', without rotation: a learned vector per place says where a patch lies. Pooling by a
learned query is a layer of attention with one query and an MLP behind it (MAP, Zhai et al. 2021, arXiv:2106.04560;
google-research/scenic, projects/baselines/plainvit), with the block's norm and squared ReLU; it is never pruned.

Weights of what is never pruned start like those around them: variance 1 / inputs, 1 / W^2 in the head, and places with
the deviation of embedded tokens. Shapes: B images, T patches, P numbers of a patch, W width, V classes.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparseplan.shapes.base import MLP_RATIO
from sparseplan.shapes.vit import VitShape
from sparseplan.train.models.base import Model, ParameterGroup
from sparseplan.train.models.transformer import EMBEDDING_STD, Block, initialise_blocks


class AttentionPool(nn.Module):
    """One learned query that attends to all patches, and an MLP added to what it finds."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.probe = nn.Parameter(torch.empty(width))
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.up = nn.Linear(width, MLP_RATIO * width, bias=False)
        self.down = nn.Linear(MLP_RATIO * width, width, bias=False)

    def forward(self, x_BTW: Tensor) -> Tensor:
        """What the query makes of the patches, `(B, W)`."""
        B, T, W = x_BTW.shape
        K = W // self.heads
        q = self.query(self.probe.expand(B, 1, W)).view(B, 1, self.heads, K).transpose(1, 2)
        k, v = self.key_value(x_BTW).view(B, T, 2, self.heads, K).permute(2, 0, 3, 1, 4)
        found: Tensor = self.out(functional.scaled_dot_product_attention(q, k, v).reshape(B, W))
        hidden = functional.relu(self.up(self.norm(found)))
        pooled: Tensor = found + self.down(hidden * hidden)
        return pooled

    @property
    def matrices(self) -> list[Tensor]:
        """Its linear layers."""
        return [module.weight for module in self.children() if isinstance(module, nn.Linear)]


class Vit(Model):
    """The model of a `VitShape`."""

    def __init__(self, shape: VitShape, *, seed: int) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Linear(shape.patch_values, shape.width, bias=False)
        self.places = nn.Parameter(torch.empty(shape.tokens_per_sequence, shape.width))
        self.blocks = nn.ModuleList(Block(shape, causal=False) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=1e-6)
        self.pool = AttentionPool(shape.width, shape.heads) if shape.pooling == "map" else None
        self.head = nn.Linear(shape.width, shape.classes, bias=False)
        self._initialise(torch.Generator().manual_seed(seed))
        self.check_counts(shape)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        inner = [self.embedding.weight, *(self.pool.matrices if self.pool is not None else ())]
        for weight in inner:
            weight.normal_(0.0, 1.0 / math.sqrt(weight.shape[1]), generator=generator)
        for learned in (self.places, *((self.pool.probe,) if self.pool is not None else ())):
            learned.normal_(0.0, EMBEDDING_STD, generator=generator)
        initialise_blocks(self, self.shape.layers, generator)
        self.head.weight.normal_(0.0, 1.0 / self.shape.width, generator=generator)

    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        """Matrices over the width follow it and decay; the embedding of patches and places, and norms, do neither."""
        pool = self.pool.matrices if self.pool is not None else []
        probe = [self.pool.probe] if self.pool is not None else []
        wide = [*self.prunable().values(), *pool, self.head.weight]
        return (
            ParameterGroup(wide, width=self.shape.width, decays=True),
            ParameterGroup([self.embedding.weight, self.places, *probe], width=None, decays=False),
            ParameterGroup(self.norms(), width=None, decays=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes, `(B, V)`, of images `(B, channels, side, side)`."""
        shape = self.shape
        cells = shape.side // shape.patch
        grid = images.view(-1, shape.channels, cells, shape.patch, cells, shape.patch)
        patches_BTP = grid.permute(0, 2, 4, 1, 3, 5).reshape(-1, shape.tokens_per_sequence, shape.patch_values)
        x_BTW = self.embedding(patches_BTP) + self.places
        for block in self.blocks:
            x_BTW = block(x_BTW)
        x_BTW = self.norm(x_BTW)
        logits_BV: Tensor = self.head(x_BTW.mean(1) if self.pool is None else self.pool(x_BTW))
        return logits_BV
