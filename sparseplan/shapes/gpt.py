"""Shapes of the models that are trained, without torch: what is prunable, and what a token costs.

Prunable are the linear layers of the blocks; embeddings, norms and the head stay dense and aren't counted
(Frantar et al. 2023, arXiv:2309.08520). For a GPT block of width w that is

    query, key, value   3w x w     3 w^2
    attention output     w x w       w^2
    MLP up              4w x w     4 w^2
    MLP down             w x 4w    4 w^2      so 12 w^2 a block.

Every family is one struct with a tag; a new one needs the members of `GptShape` and a place in `Shape`.
"""

from typing import Annotated

from msgspec import Meta, Struct

from sparseplan.shapes.base import MLP_RATIO, Matrix, pruned_weights


class GptShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="family", tag="gpt"):
    """A decoder-only transformer: pre-norm, rotary positions, no biases, untied head.

    >>> shape = GptShape(layers=2, width=64, heads=2, vocab=256, context=128)
    >>> shape.dense_params, shape.other_params
    (98304, 33088)
    """

    layers: Annotated[int, Meta(ge=1, le=1000, description="Transformer blocks.")]
    width: Annotated[int, Meta(ge=8, le=65536, description="Width of the residual stream; multiples of 64 on a GPU.")]
    heads: Annotated[int, Meta(ge=1, description="Attention heads; they divide the width into even parts.")]
    vocab: Annotated[int, Meta(ge=2, le=2**24, description="Tokens of the vocabulary; 256 for bytes.")]
    context: Annotated[int, Meta(ge=2, description="Tokens of a training sequence.")]

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(
                f"expected heads that divide the width into even parts, found width {self.width} and {self.heads} heads"
            )

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """The prunable weights, named as the model's parameters are."""
        w, hidden = self.width, MLP_RATIO * self.width
        parts = (("qkv", 3 * w, w), ("out", w, w), ("up", hidden, w), ("down", w, hidden))
        return tuple(
            Matrix(f"blocks.{layer}.{name}.weight", outputs, inputs)
            for layer in range(self.layers)
            for name, outputs, inputs in parts
        )

    @property
    def dense_params(self) -> int:
        """Prunable weights before pruning: 12 w^2 a block."""
        return sum(matrix.numel for matrix in self.matrices)

    @property
    def other_params(self) -> int:
        """What is never pruned: embedding, head, two norms a block and the last one."""
        return 2 * self.vocab * self.width + (2 * self.layers + 1) * self.width

    @property
    def tokens_per_sequence(self) -> int:
        """Tokens that one sequence is trained on."""
        return self.context

    def nonzero_params(self, sparsity: float) -> int:
        """Prunable weights left at a sparsity, every matrix pruned alike and rounded by itself."""
        return sum(matrix.numel - pruned_weights(matrix.numel, sparsity) for matrix in self.matrices)

    def machine_flops_per_token(self) -> float:
        """FLOPs of one token's forward and backward pass as a dense machine does them, for utilisation.

        6 a weight of every matrix product, the head included, and 6 w T a block for causal attention: half of the
        12 w T that is often quoted (PaLM, arXiv:2204.02311, appendix B), since half of the scores are masked.
        """
        matmul_params = self.dense_params + self.vocab * self.width
        return 6.0 * matmul_params + 6.0 * self.layers * self.width * self.context


Shape = GptShape
