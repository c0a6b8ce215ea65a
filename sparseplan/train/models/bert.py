"""An encoder: blocks that look both ways, and logits of the tokens at chosen places.

Positions are rotary and norms come first, as in the decoder, so that the two families differ in direction and task
alone. The head is untied and reads the chosen places only, which saves most of its cost.
Shapes: B sequences, T tokens, C chosen places of a sequence, W width, V vocabulary.
"""

import torch
from torch import Tensor

from sparseplan.shapes.bert import BertShape
from sparseplan.train.models.transformer import Transformer


class Bert(Transformer):
    """The model of a `BertShape`; its embedding has a row more than its head, [MASK]."""

    def __init__(self, shape: BertShape, *, seed: int) -> None:
        super().__init__(shape, seed=seed, causal=False, embeddings=shape.vocab + 1)

    def forward(self, tokens_BT: Tensor, places_BC: Tensor) -> Tensor:
        """Logits of the tokens at some places, `(B, C, V)`."""
        x_BTW = self.hidden(tokens_BT)
        chosen_BCW = torch.take_along_dim(x_BTW, places_BC[:, :, None], dim=1)
        logits_BCV: Tensor = self.head(chosen_BCW)
        return logits_BCV
