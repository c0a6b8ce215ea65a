"""A decoder: causal blocks, and logits of the next token at every place.

Shapes: B sequences, T tokens, V vocabulary.
"""

from torch import Tensor

from sparseplan.shapes.gpt import GptShape
from sparseplan.train.models.transformer import Transformer


class Gpt(Transformer):
    """The model of a `GptShape`."""

    def __init__(self, shape: GptShape, *, seed: int) -> None:
        super().__init__(shape, seed=seed, causal=True, embeddings=shape.vocab)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Logits of the next token at every place, `(B, T, V)`."""
        logits_BTV: Tensor = self.head(self.hidden(tokens_BT))
        return logits_BTV
