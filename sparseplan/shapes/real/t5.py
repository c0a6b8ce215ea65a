"""T5 in both versions: Raffel et al. 2019, arXiv:1910.10683, and the code in transformers 4.57.1.

The first T5 has plain MLPs and one table for embedding and head; T5.1.1 has gated MLPs and a head of its own.
"""

from typing import ClassVar

from sparseplan.shapes.real.architecture import Architecture, Attention, Embedding, Head, Stack
from sparseplan.shapes.real.config import Config, Heads, Layers, Length, Vocab, Width

_GATED = "gated-"


class T5Config(Config, frozen=True, kw_only=True):
    """T5, T5.1.1 and mT5's shapes; heads need not add up to the width."""

    other_names: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
    }

    vocab_size: Vocab = 32_128
    d_model: Width = 512
    d_kv: Width = 64
    d_ff: Width = 2048
    num_layers: Layers = 6
    num_decoder_layers: Layers | None = None
    num_heads: Heads = 8
    relative_attention_num_buckets: Length = 32
    feed_forward_proj: str = "relu"
    tie_word_embeddings: bool = True
    n_positions: Length | None = None

    def architecture(self, model_type: str) -> Architecture:
        """The model: both stacks, each with one table of relative places and a last norm."""
        w, table = self.d_model, self.vocab_size * self.d_model
        attention = Attention(heads=self.num_heads, key_heads=self.num_heads, head_width=self.d_kv)

        def stack(name: str, layers: int, *, writes: bool) -> Stack:
            norms = 3 if writes else 2
            return Stack(
                name=name,
                layers=layers,
                width=w,
                attention=attention,
                hidden=self.d_ff,
                gated=self.feed_forward_proj.startswith(_GATED),
                causal=writes,
                reads_encoder=writes,
                norms=norms,
                others_per_layer=norms * w,
            )

        return Architecture(
            model_type=model_type,
            reads="token",
            stacks=(
                stack("encoder", self.num_layers, writes=False),
                stack("decoder", self.num_decoder_layers or self.num_layers, writes=True),
            ),
            embedding=Embedding(params=table),
            head=Head(params=0 if self.tie_word_embeddings else table, weights=table, outputs=self.vocab_size),
            other_params=2 * (w + self.relative_attention_num_buckets * self.num_heads),
            longest=self.n_positions,
        )


class Mt5Config(T5Config, frozen=True, kw_only=True):
    """mT5: Xue et al. 2020, arXiv:2010.11934."""

    vocab_size: Vocab = 250_112
    d_ff: Width = 1024
    num_layers: Layers = 8
    num_heads: Heads = 6
    feed_forward_proj: str = "gated-gelu"
    tie_word_embeddings: bool = False
