"""GPT-2 and its relatives: plain MLPs of usually four widths, norms and matrices with biases.

Sources: the models' papers as named, and their code in transformers 4.57.1.
"""

from typing import ClassVar

from sparseplan.shapes.real.architecture import Architecture, Embedding, Head, Stack
from sparseplan.shapes.real.config import Config, Heads, Layers, Length, Vocab, Width, attention_of


def plain_stack(
    width: int, layers: int, heads: int, hidden: int, *, causal: bool, name: str = "decoder", others: int | None = None
) -> Stack:
    """Blocks with two norms with biases, and a bias for every output of a matrix if `others` doesn't say less."""
    return Stack(
        name=name,
        layers=layers,
        width=width,
        attention=attention_of(width, heads),
        hidden=hidden,
        gated=False,
        causal=causal,
        others_per_layer=9 * width + hidden if others is None else others,
    )


class Gpt2Config(Config, frozen=True, kw_only=True):
    """GPT-2: Radford et al. 2019, Language Models are Unsupervised Multitask Learners; learned places, tied head."""

    other_names: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    vocab_size: Vocab = 50_257
    n_positions: Length = 1024
    n_embd: Width = 768
    n_layer: Layers = 12
    n_head: Heads = 12
    n_inner: Width | None = None
    tie_word_embeddings: bool = True

    def architecture(self, model_type: str) -> Architecture:
        """The model."""
        w, table = self.n_embd, self.vocab_size * self.n_embd
        return Architecture(
            model_type=model_type,
            reads="token",
            stacks=(plain_stack(w, self.n_layer, self.n_head, self.n_inner or 4 * w, causal=True),),
            embedding=Embedding(params=table + self.n_positions * w),
            head=Head(params=0 if self.tie_word_embeddings else table, weights=table, outputs=self.vocab_size),
            other_params=2 * w,
            longest=self.n_positions,
        )


class GptNeoxConfig(Config, frozen=True, kw_only=True):
    """GPT-NeoX, Pythia: Biderman et al. 2023, arXiv:2304.01373; rotary places."""

    vocab_size: Vocab = 50_432
    hidden_size: Width = 6144
    num_hidden_layers: Layers = 44
    num_attention_heads: Heads = 64
    intermediate_size: Width = 24_576
    max_position_embeddings: Length = 2048
    tie_word_embeddings: bool = False
    attention_bias: bool = True

    def architecture(self, model_type: str) -> Architecture:
        """The model; the MLP's biases are always there."""
        w, hidden, table = self.hidden_size, self.intermediate_size, self.vocab_size * self.hidden_size
        others = 4 * w + (4 * w if self.attention_bias else 0) + hidden + w
        stack = plain_stack(w, self.num_hidden_layers, self.num_attention_heads, hidden, causal=True, others=others)
        return Architecture(
            model_type=model_type,
            reads="token",
            stacks=(stack,),
            embedding=Embedding(params=table),
            head=Head(params=0 if self.tie_word_embeddings else table, weights=table, outputs=self.vocab_size),
            other_params=2 * w,
            longest=self.max_position_embeddings,
        )


_EMPTY_PLACES = 2
"""Places that OPT's table has before the first token's."""


class OptConfig(Config, frozen=True, kw_only=True):
    """OPT: Zhang et al. 2022, arXiv:2205.01068; learned places; the smallest but one embeds in half its width."""

    vocab_size: Vocab = 50_272
    hidden_size: Width = 768
    num_hidden_layers: Layers = 12
    ffn_dim: Width = 3072
    max_position_embeddings: Length = 2048
    do_layer_norm_before: bool = True
    remove_final_layer_norm: bool = False
    word_embed_proj_dim: Width | None = None
    num_attention_heads: Heads = 12
    enable_bias: bool = True
    layer_norm_elementwise_affine: bool = True
    tie_word_embeddings: bool = True
    other_names: ClassVar[dict[str, str]] = {"_remove_final_layer_norm": "remove_final_layer_norm"}

    def architecture(self, model_type: str) -> Architecture:
        """The model; projections between embedding and stream are the head's."""
        w, narrow = self.hidden_size, self.word_embed_proj_dim or self.hidden_size
        stack = plain_stack(
            w,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.ffn_dim,
            causal=True,
            others=(5 * w + self.ffn_dim if self.enable_bias else 0)
            + (4 * w if self.layer_norm_elementwise_affine else 0),
        )
        table, projections = self.vocab_size * narrow, 0 if narrow == w else 2 * narrow * w
        has_last_norm = (
            self.do_layer_norm_before and not self.remove_final_layer_norm and self.layer_norm_elementwise_affine
        )
        return Architecture(
            model_type=model_type,
            reads="token",
            stacks=(stack,),
            embedding=Embedding(params=table + (self.max_position_embeddings + _EMPTY_PLACES) * w),
            head=Head(
                params=projections + (0 if self.tie_word_embeddings else table),
                weights=table + projections,
                outputs=self.vocab_size,
            ),
            other_params=2 * w if has_last_norm else 0,
            longest=self.max_position_embeddings,
        )
