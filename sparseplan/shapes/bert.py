"""Encoders: attention in both directions, trained to restore masked tokens.

The blocks are a decoder's, so 12 w^2 prunable weights each. [MASK] is one more entry of the embedding, after the
data's own tokens: the head never predicts it.
"""

import math

from sparseplan.shapes.base import Inputs
from sparseplan.shapes.transformer import TransformerModel, TransformerShape

CHOSEN_SHARE = 0.15
"""Share of the tokens that a model is asked for. Source: Devlin et al. 2018, arXiv:1810.04805, section 3.1."""


class BertShape(TransformerShape, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="bert"):
    """An encoder-only transformer: pre-norm, rotary positions, no biases, untied head.

    >>> shape = BertShape(layers=2, width=64, heads=2, vocab=256, context=128)
    >>> shape.dense_params, shape.other_params, shape.mask_token, shape.chosen_per_sequence
    (98304, 33152, 256, 19)
    """

    @property
    def other_params(self) -> int:
        """What is never pruned: embedding with [MASK], head without, two norms per block and the last one."""
        return (2 * self.vocab + 1) * self.width + (2 * self.layers + 1) * self.width

    @property
    def mask_token(self) -> int:
        """The number of [MASK]."""
        return self.vocab

    @property
    def chosen_per_sequence(self) -> int:
        """Tokens of a sequence that the model is asked for: the same number in each, one at the least."""
        return max(1, round(CHOSEN_SHARE * self.context))

    @property
    def loss_of_a_guess(self) -> float:
        """Loss in nats of a model that takes every token for equally likely."""
        return math.log(self.vocab)

    @staticmethod
    def loss_per(data_unit: str) -> str:
        """What the loss is a mean over: the chosen tokens, most of them masked."""
        return f"masked {data_unit}"

    def machine_flops_per_token(self) -> float:
        """FLOPs of one token's forward and backward pass as a dense machine does them, for utilization.

        6 per weight of the blocks, 12 w T per block for attention in both directions (PaLM, arXiv:2204.02311,
        appendix B), and the head for the chosen tokens only.
        """
        head = self.vocab * self.width * self.chosen_per_sequence / self.context
        return 6.0 * (self.dense_params + head) + 12.0 * self.layers * self.width * self.context


class BertModel(TransformerModel, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="bert"):
    """Encoders of a recipe."""

    def shape(self, index: int, sparsity: float, inputs: Inputs) -> BertShape:
        """The shape that the size at `index` of the grid means at a sparsity, for tokens of a vocabulary.

        Raises:
            ValueError: if there is none.
        """
        assert isinstance(inputs, int), "a recipe's data are checked against what its family reads"
        size = self.sizes.size(index, sparsity, BertShape.prunable_params)
        return BertShape(
            layers=size.layers, width=size.width, heads=self.heads(size), vocab=inputs, context=self.context
        )
