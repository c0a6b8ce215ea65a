"""What transformers of one stack have in common: the matrices of their blocks, and what a recipe says of them.

Prunable are the linear layers of the blocks; embeddings, norms and the head stay dense and aren't counted
(Frantar et al. 2023, arXiv:2309.08520). For a block of width w that is

    query, key, value   3w x w     3 w^2
    attention output     w x w       w^2
    MLP up              4w x w     4 w^2
    MLP down             w x 4w    4 w^2      so 12 w^2 per block,

unless a family says otherwise of its heads for keys and values or of its MLP.
"""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from sparseplan.shapes.base import MLP_RATIO, Matrix, pruned_weights
from sparseplan.shapes.sizes import MAX_WIDTH, Size, Sizes

ROTARY_BASE = 10_000.0
NORM_EPSILON = 1e-6


def block_params(width: int, *, key_width: int, hidden: int, gated: bool) -> int:
    """Prunable weights of a block: queries and output, keys and values of `key_width` each, an MLP of two or three.

    >>> block_params(64, key_width=64, hidden=256, gated=False) == 12 * 64**2
    True
    """
    return 2 * width * (width + key_width) + (3 if gated else 2) * width * hidden


class BlockStack(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="family"):
    """A stack of equal blocks over one sequence.

    Defaults are left out of what is written and hashed: a choice that is added later moves no run's identity.
    """

    layers: Annotated[int, Meta(ge=1, le=1000, description="Transformer blocks.")]
    width: Annotated[
        int, Meta(ge=8, le=MAX_WIDTH, description="Width of the residual stream; multiples of 64 on a GPU.")
    ]
    heads: Annotated[int, Meta(ge=1, description="Attention heads; they divide the width into even parts.")]

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(
                f"expected heads that divide the width into even parts, found width {self.width} and {self.heads} heads"
            )

    @staticmethod
    def prunable_params(layers: int, width: int) -> int:
        """Prunable weights of a number of blocks of a width: 12 w^2 per block."""
        return (4 + 2 * MLP_RATIO) * layers * width * width

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.heads

    @property
    def hidden(self) -> int:
        """Width of the MLP."""
        return MLP_RATIO * self.width

    @property
    def rotary_base(self) -> float:
        """Base of the rotary rates, where positions are rotary."""
        return ROTARY_BASE

    @property
    def norm_epsilon(self) -> float:
        """What norms add to the mean square."""
        return NORM_EPSILON

    @property
    def gated(self) -> bool:
        """Whether a gate multiplies the MLP's hidden values, by a third matrix."""
        return False

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """The prunable weights, named as the model's parameters are."""
        w, hidden = self.width, self.hidden
        qkv = w + 2 * self.key_heads * (w // self.heads)
        gate = (("gate", hidden, w),) if self.gated else ()
        parts = (("qkv", qkv, w), ("out", w, w), *gate, ("up", hidden, w), ("down", w, hidden))
        return tuple(
            Matrix(f"blocks.{layer}.{name}.weight", outputs, inputs)
            for layer in range(self.layers)
            for name, outputs, inputs in parts
        )

    @property
    def dense_params(self) -> int:
        """Prunable weights before pruning."""
        key_width = self.key_heads * (self.width // self.heads)
        return self.layers * block_params(self.width, key_width=key_width, hidden=self.hidden, gated=self.gated)

    def nonzero_params(self, sparsity: float) -> int:
        """Prunable weights left at a sparsity, every matrix pruned to it and rounded on its own."""
        return sum(matrix.numel - pruned_weights(matrix.numel, sparsity) for matrix in self.matrices)


class TransformerShape(BlockStack, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="family"):
    """A stack of equal blocks over one sequence of tokens."""

    vocab: Annotated[int, Meta(ge=2, le=2**24, description="Tokens of the vocabulary; 256 for bytes.")]
    context: Annotated[int, Meta(ge=2, description="Tokens of a training sequence.")]

    @property
    def tokens_per_sequence(self) -> int:
        """Tokens of one sequence that the blocks see."""
        return self.context

    @property
    def data_per_sequence(self) -> int:
        """What one sequence adds to D: its tokens."""
        return self.context

    @property
    def entries_per_sequence(self) -> int:
        """Entries of the training data that one sequence is made of."""
        return self.context


class StackModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="family"):
    """What a recipe says of a family of such models."""

    sizes: Sizes
    head_width: Annotated[int, Meta(ge=2, le=65536, description="Width of an attention head; divides every width.")] = (
        64
    )

    def heads(self, size: Size) -> int:
        """How many heads a size has.

        Raises:
            ValueError: if `head_width` doesn't divide its width.
        """
        if size.width % self.head_width:
            raise ValueError(f"expected a width that head_width {self.head_width} divides, found {size.width}")
        return size.width // self.head_width


class TransformerModel(StackModel, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="family"):
    """What a recipe says of a family over sequences of tokens."""

    reads: ClassVar[type] = int

    context: Annotated[int, Meta(ge=2, le=2**24, description="Tokens of a training sequence.")]
