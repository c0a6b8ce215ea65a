"""Llama and its relatives: gated MLPs, norms without biases, heads that may share keys and values.

Sources: the models' papers as named, and their code in transformers 4.57.1.
"""

from typing import Annotated

from msgspec import Meta

from sparseplan.shapes.real.architecture import Architecture, Attention, Embedding, Head, Stack
from sparseplan.shapes.real.config import Config, Heads, Layers, Length, Vocab, Width, attention_of

_FULL = "full_attention"


class GatedConfig(Config, frozen=True, kw_only=True):
    """What all of them have; the defaults are Llama's."""

    vocab_size: Vocab = 32_000
    hidden_size: Width = 4096
    intermediate_size: Width = 11_008
    num_hidden_layers: Layers = 32
    num_attention_heads: Heads = 32
    num_key_value_heads: Heads | None = None
    head_dim: Width | None = None
    max_position_embeddings: Length = 2048
    tie_word_embeddings: bool = False

    @property
    def attention(self) -> Attention:
        """The heads of a block."""
        return attention_of(self.hidden_size, self.num_attention_heads, self.num_key_value_heads, self.head_dim)

    @property
    def norms(self) -> int:
        """Norms of the stream's width in a block."""
        return 2

    @property
    def norms_of_heads(self) -> int:
        """Parameters of the norms of queries and keys in a block."""
        return 0

    @property
    def biases(self) -> int:
        """Biases of a block: none."""
        return 0

    @property
    def window(self) -> tuple[int | None, int]:
        """The window of attention, and how many blocks have it."""
        return None, 0

    def architecture(self, model_type: str) -> Architecture:
        """The model: blocks, one last norm, and a head that may be the embedding."""
        w = self.hidden_size
        window, windowed = self.window
        stack = Stack(
            name="decoder",
            layers=self.num_hidden_layers,
            width=w,
            attention=self.attention,
            hidden=self.intermediate_size,
            gated=True,
            causal=True,
            window=window,
            windowed_layers=windowed,
            norms=self.norms,
            others_per_layer=self.norms * w + self.norms_of_heads + self.biases,
        )
        table = self.vocab_size * w
        return Architecture(
            model_type=model_type,
            reads="token",
            stacks=(stack,),
            embedding=Embedding(params=table),
            head=Head(params=0 if self.tie_word_embeddings else table, weights=table, outputs=self.vocab_size),
            other_params=w,
            longest=self.max_position_embeddings,
        )


class BiasedConfig(GatedConfig, frozen=True, kw_only=True):
    """Those whose attention may have biases."""

    attention_bias: bool = False

    @property
    def biases(self) -> int:
        """Of queries, keys, values and output."""
        return self.attention.width + 2 * self.attention.key_width + self.hidden_size if self.attention_bias else 0


class LlamaConfig(BiasedConfig, frozen=True, kw_only=True):
    """Llama 1 to 3: Touvron et al. 2023, arXiv:2307.09288; Grattafiori et al. 2024, arXiv:2407.21783."""

    mlp_bias: bool = False

    @property
    def biases(self) -> int:
        """Of attention, and of the MLP."""
        return super().biases + (2 * self.intermediate_size + self.hidden_size if self.mlp_bias else 0)


class MistralConfig(GatedConfig, frozen=True, kw_only=True):
    """Mistral 7B: Jiang et al. 2023, arXiv:2310.06825; every block may have a sliding window."""

    intermediate_size: Width = 14_336
    num_key_value_heads: Heads | None = 8
    max_position_embeddings: Length = 4096 * 32
    sliding_window: Length | None = 4096

    @property
    def window(self) -> tuple[int | None, int]:
        """All blocks have it, where there is one."""
        return self.sliding_window, 0 if self.sliding_window is None else self.num_hidden_layers


class Phi3Config(GatedConfig, frozen=True, kw_only=True):
    """Phi-3: Abdin et al. 2024, arXiv:2404.14219."""

    vocab_size: Vocab = 32_064
    hidden_size: Width = 3072
    intermediate_size: Width = 8192
    max_position_embeddings: Length = 4096
    sliding_window: Length | None = None

    @property
    def window(self) -> tuple[int | None, int]:
        """All blocks have it, where there is one."""
        return self.sliding_window, 0 if self.sliding_window is None else self.num_hidden_layers


class LayeredConfig(BiasedConfig, frozen=True, kw_only=True):
    """Models whose config may list the kind of attention of every block."""

    layer_types: list[str] | None = None
    sliding_window: Length | None = 4096

    def __post_init__(self) -> None:
        if self.layer_types is not None and len(self.layer_types) != self.num_hidden_layers:
            found = len(self.layer_types)
            raise ValueError(f"expected one of layer_types for each of {self.num_hidden_layers} blocks, found {found}")
        other = set(self.layer_types or ()) - {_FULL, "sliding_attention"}
        if other:
            raise ValueError(f"expected full_attention or sliding_attention in layer_types, found {min(other)!r}")

    @property
    def sliding_layers(self) -> int:
        """Blocks with a window where `layer_types` says nothing."""
        return 0

    @property
    def window(self) -> tuple[int | None, int]:
        """As `layer_types` lists it, else by the model's own rule."""
        sliding = self.sliding_layers
        if self.layer_types is not None:
            sliding = sum(kind != _FULL for kind in self.layer_types)
        return (None, 0) if self.sliding_window is None or sliding == 0 else (self.sliding_window, sliding)


class QwenConfig(LayeredConfig, frozen=True, kw_only=True):
    """What Qwen2 and Qwen3 have in common: windows only where `use_sliding_window` says so."""

    vocab_size: Vocab = 151_936
    intermediate_size: Width = 22_016
    num_key_value_heads: Heads | None = 32
    max_position_embeddings: Length = 32_768
    use_sliding_window: bool = False
    max_window_layers: Annotated[int, Meta(ge=0)] = 28

    @property
    def sliding_layers(self) -> int:
        """Blocks from `max_window_layers` on."""
        return max(0, self.num_hidden_layers - self.max_window_layers)

    @property
    def window(self) -> tuple[int | None, int]:
        """None without `use_sliding_window`."""
        return super().window if self.use_sliding_window else (None, 0)


class Qwen2Config(QwenConfig, frozen=True, kw_only=True):
    """Qwen2 and Qwen2.5: Yang et al. 2024, arXiv:2407.10671; queries, keys and values have biases."""

    @property
    def biases(self) -> int:
        """Of queries, keys and values."""
        return self.attention.width + 2 * self.attention.key_width


class Qwen3Config(QwenConfig, frozen=True, kw_only=True):
    """Qwen3: Yang et al. 2025, arXiv:2505.09388; norms of queries and of keys, a head's width each."""

    head_dim: Width | None = 128

    @property
    def norms_of_heads(self) -> int:
        """One for queries, one for keys."""
        return 2 * self.attention.head_width


class GemmaConfig(BiasedConfig, frozen=True, kw_only=True):
    """Gemma: Gemma Team 2024, arXiv:2403.08295."""

    vocab_size: Vocab = 256_000
    hidden_size: Width = 3072
    intermediate_size: Width = 24_576
    num_hidden_layers: Layers = 28
    num_attention_heads: Heads = 16
    num_key_value_heads: Heads | None = 16
    head_dim: Width | None = 256
    max_position_embeddings: Length = 8192
    tie_word_embeddings: bool = True


class Gemma2Config(LayeredConfig, frozen=True, kw_only=True):
    """Gemma 2: Gemma Team 2024, arXiv:2408.00118; norms before and after, every second block has a window."""

    vocab_size: Vocab = 256_000
    hidden_size: Width = 2304
    intermediate_size: Width = 9216
    num_hidden_layers: Layers = 26
    num_attention_heads: Heads = 8
    num_key_value_heads: Heads | None = 4
    head_dim: Width | None = 256
    max_position_embeddings: Length = 8192
    tie_word_embeddings: bool = True

    @property
    def norms(self) -> int:
        """Before and after attention and MLP."""
        return 4

    @property
    def sliding_layers(self) -> int:
        """The first block and every second after it."""
        return (self.num_hidden_layers + 1) // 2


class Gemma3Config(Gemma2Config, frozen=True, kw_only=True):
    """The text model of Gemma 3: Gemma Team 2025, arXiv:2503.19786; five blocks of six have a window."""

    vocab_size: Vocab = 262_208
    max_position_embeddings: Length = 131_072
    sliding_window_pattern: Annotated[int, Meta(ge=1)] = 6
    use_bidirectional_attention: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.use_bidirectional_attention:
            raise ValueError("expected a decoder, found use_bidirectional_attention")

    @property
    def norms_of_heads(self) -> int:
        """One for queries, one for keys."""
        return 2 * self.attention.head_width

    @property
    def sliding_layers(self) -> int:
        """All but every sixth."""
        return self.num_hidden_layers - self.num_hidden_layers // self.sliding_window_pattern


class Olmo2Config(BiasedConfig, frozen=True, kw_only=True):
    """OLMo 2: OLMo Team 2024, arXiv:2501.00656; norms of all queries and of all keys."""

    vocab_size: Vocab = 50_304

    @property
    def norms_of_heads(self) -> int:
        """As wide as all queries, and as all keys."""
        return self.attention.width + self.attention.key_width
