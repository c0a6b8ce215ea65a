"""Decoders: causal attention, trained to predict the next token."""

import math

from sparseplan.shapes.base import Inputs
from sparseplan.shapes.transformer import TransformerModel, TransformerShape


class GptShape(TransformerShape, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gpt"):
    """A decoder-only transformer: pre-norm, rotary positions, no biases, untied head.

    >>> shape = GptShape(layers=2, width=64, heads=2, vocab=256, context=128)
    >>> shape.dense_params, shape.other_params
    (98304, 33088)
    """

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

    def shape(self, index: int, sparsity: float, inputs: Inputs) -> GptShape:
        """The shape that the size at `index` of the grid means at a sparsity, for tokens of a vocabulary.

        Raises:
            ValueError: if there is none.
        """
        assert isinstance(inputs, int), "a recipe's data are checked against what its family reads"
        size = self.sizes.size(index, sparsity, GptShape.prunable_params)
        return GptShape(
            layers=size.layers, width=size.width, heads=self.heads(size), vocab=inputs, context=self.context
        )
