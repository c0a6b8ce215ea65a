"""BERT and the vision transformer: attention in both directions.

Sources: the models' papers as named, and their code in transformers 4.57.1, with the heads that they are trained with.
"""

from typing import Annotated

from msgspec import Meta

from sparseplan.shapes.bert import CHOSEN_SHARE
from sparseplan.shapes.real.architecture import Architecture, Embedding, Head, Stack
from sparseplan.shapes.real.config import Config, Heads, Layers, Length, Vocab, Width, attention_of
from sparseplan.shapes.real.gpts import plain_stack

_CLASSES = 2
"""Classes where a config names none, as transformers has it."""
_PADDING_PLACES = 2
"""Places of RoBERTa's table that no token of a text takes."""


class BertConfig(Config, frozen=True, kw_only=True):
    """BERT: Devlin et al. 2018, arXiv:1810.04805, with the pooler and both heads of its pretraining."""

    vocab_size: Vocab = 30_522
    hidden_size: Width = 768
    num_hidden_layers: Layers = 12
    num_attention_heads: Heads = 12
    intermediate_size: Width = 3072
    max_position_embeddings: Length = 512
    type_vocab_size: Annotated[int, Meta(ge=0, le=2**16)] = 2
    tie_word_embeddings: bool = True

    @property
    def places(self) -> int:
        """Longest text."""
        return self.max_position_embeddings

    @property
    def pooled(self) -> int:
        """The pooler, and the head that tells whether one sentence follows another."""
        w = self.hidden_size
        return w * w + w + 2 * w + 2

    def architecture(self, model_type: str) -> Architecture:
        """The model; the head for chosen tokens is a matrix, a norm, and the embedding with biases."""
        w, table = self.hidden_size, self.vocab_size * self.hidden_size
        blocks = self.num_hidden_layers, self.num_attention_heads, self.intermediate_size
        own = w * w + w + 2 * w + self.vocab_size
        return Architecture(
            model_type=model_type,
            reads="token",
            stacks=(plain_stack(w, *blocks, causal=False, name="encoder"),),
            embedding=Embedding(params=table + (self.max_position_embeddings + self.type_vocab_size) * w + 2 * w),
            head=Head(
                params=own + (0 if self.tie_word_embeddings else table),
                weights=w * w + table,
                outputs=self.vocab_size,
                share=CHOSEN_SHARE,
            ),
            other_params=self.pooled,
            longest=self.places,
        )


class RobertaConfig(BertConfig, frozen=True, kw_only=True):
    """RoBERTa: Liu et al. 2019, arXiv:1907.11692, with the one head of its pretraining."""

    vocab_size: Vocab = 50_265

    @property
    def places(self) -> int:
        """Longest text."""
        return max(1, self.max_position_embeddings - _PADDING_PLACES)

    @property
    def pooled(self) -> int:
        """There is no pooler."""
        return 0


class VitConfig(Config, frozen=True, kw_only=True):
    """Vision transformers: Dosovitskiy et al. 2020, arXiv:2010.11929, with a class token and a linear head."""

    hidden_size: Width = 768
    num_hidden_layers: Layers = 12
    num_attention_heads: Heads = 12
    intermediate_size: Width = 3072
    image_size: Length = 224
    patch_size: Length = 16
    num_channels: Annotated[int, Meta(ge=1, le=2**16)] = 3
    qkv_bias: bool = True
    num_labels: Annotated[int, Meta(ge=1, le=2**24)] | None = None
    id2label: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if self.image_size < self.patch_size:
            raise ValueError(f"expected a patch_size of at most image_size {self.image_size}, found {self.patch_size}")

    @property
    def classes(self) -> int:
        """Classes of the head: those that the config lists."""
        return len(self.id2label) if self.id2label else self.num_labels or _CLASSES

    def architecture(self, model_type: str) -> Architecture:
        """The model; whole patches only, and one token for the class, which alone the head reads."""
        w, hidden = self.hidden_size, self.intermediate_size
        patch = self.num_channels * self.patch_size**2 * w
        tokens = (self.image_size // self.patch_size) ** 2 + 1
        head = self.classes * w
        stack = Stack(
            name="encoder",
            layers=self.num_hidden_layers,
            width=w,
            attention=attention_of(w, self.num_attention_heads),
            hidden=hidden,
            gated=False,
            causal=False,
            others_per_layer=4 * w + (3 * w if self.qkv_bias else 0) + 2 * w + hidden,
        )
        return Architecture(
            model_type=model_type,
            reads="image",
            stacks=(stack,),
            embedding=Embedding(params=patch + w + w + tokens * w, weights=patch),
            head=Head(params=head + self.classes, weights=head, outputs=self.classes, share=1 / tokens),
            other_params=2 * w,
            longest=tokens,
        )
