"""Decoders: causal attention, trained to predict the next token.

Plain ones have the stack's block. A recipe may give them fewer heads for keys and values, and a gated MLP of a width of
its own, as Llama and its relatives have (Touvron et al. 2023, arXiv:2307.09288): with G heads of width w / H for keys
and values and an MLP of width h, a block has 2 w^2 (1 + G / H) + 3 w h prunable weights.
"""

import math
from typing import Annotated, Literal

from msgspec import Meta

from sparseplan.shapes.base import MLP_RATIO, Inputs
from sparseplan.shapes.sizes import MAX_WIDTH
from sparseplan.shapes.transformer import (
    NORM_EPSILON,
    ROTARY_BASE,
    TransformerModel,
    TransformerShape,
    block_params,
)

Mlp = Annotated[
    Literal["squared-relu", "gated"], Meta(description="gated multiplies by the SiLU of a third matrix, as Llama does.")
]
RotaryBase = Annotated[
    float, Meta(gt=1, description="Base of the rotary rates: the longest turns once in about 2 pi bases of tokens.")
]
NormEpsilon = Annotated[float, Meta(gt=0, lt=1, description="Added to the mean square in every norm.")]
_HIDDEN_STEP = 8  # so that groups of up to 8 inputs divide the MLP's width


class GptShape(TransformerShape, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gpt"):
    """A decoder-only transformer: pre-norm, rotary positions, no biases, untied head.

    >>> shape = GptShape(layers=2, width=64, heads=2, vocab=256, context=128)
    >>> shape.dense_params, shape.other_params
    (98304, 33088)
    >>> llama = GptShape(layers=32, width=4096, heads=32, kv_heads=8, mlp="gated", mlp_width=14336, vocab=128256,
    ...                  context=8192)  # Llama 3 8B, embedding and head apart
    >>> llama.dense_params
    6979321856
    """

    kv_heads: Annotated[int, Meta(ge=1, description="Heads of keys and values; they divide the heads.")] | None = None
    mlp: Mlp = "squared-relu"
    mlp_width: (
        Annotated[int, Meta(ge=1, le=16 * MAX_WIDTH, description="Width of the MLP; four widths where not given.")]
        | None
    ) = None
    rotary_base: RotaryBase = ROTARY_BASE
    norm_epsilon: NormEpsilon = NORM_EPSILON

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads % self.key_heads:
            raise ValueError(f"expected kv_heads that divide the {self.heads} heads, found {self.kv_heads}")

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def hidden(self) -> int:
        """Width of the MLP."""
        return MLP_RATIO * self.width if self.mlp_width is None else self.mlp_width

    @property
    def gated(self) -> bool:
        """Whether a gate multiplies the MLP's hidden values."""
        return self.mlp == "gated"

    @property
    def other_params(self) -> int:
        """What is never pruned: embedding, head, two norms per block and the last one."""
        return 2 * self.vocab * self.width + (2 * self.layers + 1) * self.width

    @property
    def loss_of_a_guess(self) -> float:
        """Loss in nats of a model that takes every token for equally likely."""
        return math.log(self.vocab)

    @staticmethod
    def loss_per(data_unit: str) -> str:
        """What the loss is a mean over: every token."""
        return data_unit

    def machine_flops_per_token(self) -> float:
        """FLOPs of one token's forward and backward pass as a dense machine does them, for utilization.

        6 per weight of every matrix product, the head included, and 6 w T per block for causal attention: half of the
        12 w T that is often quoted (PaLM, arXiv:2204.02311, appendix B), since half of the scores are masked.
        """
        matmul_params = self.dense_params + self.vocab * self.width
        return 6.0 * matmul_params + 6.0 * self.layers * self.width * self.context


class GptModel(TransformerModel, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gpt"):
    """Decoders of a recipe."""

    queries_per_kv: Annotated[
        int, Meta(ge=1, le=65536, description="Query heads that share a head of keys and values; divides the heads.")
    ] = 1
    mlp: Mlp = "squared-relu"
    mlp_ratio: (
        Annotated[
            float,
            Meta(gt=0, le=64, description="Width of the MLP over the width, in multiples of 8; 4 if not given."),
        ]
        | None
    ) = None
    rotary_base: RotaryBase = ROTARY_BASE
    norm_epsilon: NormEpsilon = NORM_EPSILON

    def shape(self, index: int, sparsity: float, inputs: Inputs) -> GptShape:
        """The shape that the size at `index` of the grid means at a sparsity, for tokens of a vocabulary.

        Raises:
            ValueError: if there is none.
        """
        assert isinstance(inputs, int), "a recipe's data are checked against what its family reads"
        size = self.sizes.size(index, sparsity, self._params)
        heads = self.heads(size)
        if heads % self.queries_per_kv:
            raise ValueError(f"expected heads that queries_per_kv {self.queries_per_kv} divides, found {heads}")
        return GptShape(
            layers=size.layers,
            width=size.width,
            heads=heads,
            kv_heads=None if self.queries_per_kv == 1 else heads // self.queries_per_kv,
            mlp=self.mlp,
            mlp_width=self._mlp_width(size.width),
            vocab=inputs,
            context=self.context,
            rotary_base=self.rotary_base,
            norm_epsilon=self.norm_epsilon,
        )

    def _mlp_width(self, width: int) -> int | None:
        if self.mlp_ratio is None:
            return None
        return max(1, round(self.mlp_ratio * width / _HIDDEN_STEP)) * _HIDDEN_STEP

    def _params(self, layers: int, width: int) -> int:
        hidden = self._mlp_width(width) or MLP_RATIO * width
        key_width = width // self.queries_per_kv
        return layers * block_params(width, key_width=key_width, hidden=hidden, gated=self.mlp == "gated")
