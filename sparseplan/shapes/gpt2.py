"""GPT-2: the decoder whose published weights one may start from (Radford et al. 2019).

Blocks are the stack's, 12 w^2 prunable weights each. Beside them it has a bias on every matrix, LayerNorms with scale
and shift, a learned place for every position of the context, and a head that is the embedding itself.
"""

import math

from sparseplan.shapes.base import MLP_RATIO, Inputs
from sparseplan.shapes.transformer import TransformerModel, TransformerShape


class Gpt2Shape(TransformerShape, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gpt2"):
    """A decoder-only transformer: pre-norm, learned positions, biases, tied head.

    >>> small = Gpt2Shape(layers=12, width=768, heads=12, vocab=50257, context=1024)
    >>> small.dense_params == 12 * 12 * 768**2, small.dense_params + small.other_params  # published as 124M
    (True, 124439808)
    """

    @property
    def other_params(self) -> int:
        """What is never pruned: embedding, positions; biases and two norms of every block, and the last norm."""
        biases, norm = (3 + 1 + MLP_RATIO + 1) * self.width, 2 * self.width
        return (self.vocab + self.context) * self.width + self.layers * (biases + 2 * norm) + norm

    @property
    def loss_of_a_guess(self) -> float:
        """Loss in nats of a model that takes every token for equally likely."""
        return math.log(self.vocab)

    @staticmethod
    def loss_per(data_unit: str) -> str:
        """What the loss is a mean over: every token."""
        return data_unit

    def machine_flops_per_token(self) -> float:
        """FLOPs of one token's forward and backward pass as a dense machine does them: as of `GptShape`."""
        matmul_params = self.dense_params + self.vocab * self.width
        return 6.0 * matmul_params + 6.0 * self.layers * self.width * self.context


class Gpt2Model(TransformerModel, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gpt2"):
    """GPT-2s of a recipe."""

    def shape(self, index: int, sparsity: float, inputs: Inputs) -> Gpt2Shape:
        """The shape that the size at `index` of the grid means at a sparsity, for tokens of a vocabulary.

        Raises:
            ValueError: if there is none.
        """
        assert isinstance(inputs, int), "a recipe's data are checked against what its family reads"
        size = self.sizes.size(index, sparsity, Gpt2Shape.prunable_params)
        return Gpt2Shape(
            layers=size.layers, width=size.width, heads=self.heads(size), vocab=inputs, context=self.context
        )
