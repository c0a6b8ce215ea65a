"""Weights of Hugging Face models whose blocks ours can be, read from safetensors: Llama, GPT-2 and T5.1.1.

Only what computes the same is taken, so that a run starts with the model's own outputs; a test compares them. BERT and
ViT have biases, LayerNorm and other activations, which our blocks for them don't have: they are refused. A head that is
tied to the embedding starts as its copy, and trains by itself from there; GPT-2's stays tied.

Rows of ours that lie in another order: `qkv` of a decoder holds first the first halves of all query and key heads, then
their second halves, then the values (`models/transformer.py`); start, end and sentinels follow the data's tokens in T5.
Source: transformers, modeling_llama.py, modeling_gpt2.py and modeling_t5.py; its rotary pairs are places i and
i + K / 2, as ours.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparseplan.common.files import read_regular
from sparseplan.errors import BrokenFileError, SparseplanError
from sparseplan.runs.start import files_of
from sparseplan.shapes.families import Shape, tag_of
from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.gpt2 import Gpt2Shape
from sparseplan.shapes.t5 import BIAS_BUCKETS, MAX_DISTANCE, T5Shape
from sparseplan.train.models.gpt2 import EPSILON

_T5_PAD, _T5_END = 0, 1
_T5_FIRST_SENTINEL = 32_099
"""Tokens of T5's own vocabulary; <extra_id_0>, and sentinels descend from it. A padding token starts the targets."""
_DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {"hidden_act": "silu", "rms_norm_eps": 1e-6},
    "gpt2": {
        "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new",
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "tie_word_embeddings": True,
    },
    "t5": {
        "layer_norm_epsilon": 1e-6,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
    },
}
"""What transformers takes where a config, as older ones, doesn't say."""
_OTHERS = "biases, LayerNorm or other activations, which the blocks here don't have"


class Source(NamedTuple):
    """A model as it lies there.

    Attributes:
        path: Where.
        config: Its config.json.
        tensors: Its weights by their names, float32.
    """

    path: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    def take(self, name: str) -> Tensor:
        """A weight.

        Raises:
            SparseplanError: if there is none.
        """
        if name not in self.tensors:
            raise SparseplanError(f"{self.path}: expected a weight {name}, found none among {len(self.tensors)}.")
        return self.tensors[name]

    def require(self, **expected: Any) -> None:
        """Refuse a config that says something else.

        Raises:
            SparseplanError: naming the key.
        """
        config = _DEFAULTS[self.config["model_type"]] | self.config
        for key, value in expected.items():
            if (found := config.get(key)) != value:
                raise SparseplanError(f"{self.path}: config.json: expected {key} {value!r}, found {found!r}.")


def read_huggingface(path: Path, shape: Shape) -> dict[str, Tensor]:
    """The weights of our model of a shape, from a folder or file of safetensors.

    Raises:
        BrokenFileError: if a file is broken.
        SparseplanError: if they can't be read, or are of a model that this shape can't be.
    """
    config, *files = files_of(path)
    said = _config(config)
    kind = str(said.get("model_type"))
    if kind not in _READERS:
        known = ", ".join(_READERS)
        why = f": it has {_OTHERS}" if kind in ("bert", "vit") else ""
        raise SparseplanError(f"{path}: expected a model of type {known}, found {kind}{why}.")
    wanted, read = _READERS[kind]
    if not isinstance(shape, wanted):
        family = tag_of(wanted)
        raise SparseplanError(f"{path}: expected a recipe of the family {family} for a {kind} model, found another.")
    return read(Source(path, said, _tensors([file for file in files if file.suffix == ".safetensors"], path)), shape)


def _config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_regular(path))
    except OSError as problem:
        raise SparseplanError(f"{path}: can't read this config: {problem.strerror or problem}.") from None
    except (ValueError, RecursionError) as problem:
        raise BrokenFileError(f"{path}: expected a model's config.json, found no JSON: {problem}.") from None
    if not isinstance(found, dict):
        raise BrokenFileError(f"{path}: expected a model's config.json, found a {type(found).__name__}.")
    return found


def _tensors(files: list[Path], path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError  # noqa: PLC0415 - an extra
        from safetensors.torch import load_file  # noqa: PLC0415
    except ImportError:
        raise SparseplanError(
            f"{path}: reading safetensors needs a package: pip install 'sparseplan[safetensors]'."
        ) from None
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors |= {name: weight.float() for name, weight in load_file(file).items()}
        except (SafetensorError, OSError) as problem:
            raise BrokenFileError(f"{file}: expected safetensors, found: {problem}.") from None
    return tensors


def _llama(source: Source, shape: Shape) -> dict[str, Tensor]:
    assert isinstance(shape, GptShape)
    source.require(
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.hidden,
        vocab_size=shape.vocab,
        hidden_act="silu",
        rms_norm_eps=shape.norm_epsilon,
    )
    for key, value in (("num_key_value_heads", shape.key_heads), ("head_dim", shape.width // shape.heads)):
        if source.config.get(key) is not None:
            source.require(**{key: value})
    for key in ("attention_bias", "mlp_bias", "rope_scaling"):
        if source.config.get(key):
            raise SparseplanError(f"{source.path}: config.json: expected no {key}, found {source.config[key]!r}.")
    # transformers 5 keeps the base among `rope_parameters`, with the kind of scaling
    rotary = source.config.get("rope_parameters") or {"rope_theta": source.config.get("rope_theta", 10_000.0)}
    if rotary.get("rope_type", "default") != "default" or rotary.get("rope_theta") != shape.rotary_base:
        raise SparseplanError(
            f"{source.path}: config.json: expected plain rotary positions of the recipe's rotary_base "
            f"{shape.rotary_base:g}, found {rotary!r}."
        )
    if not shape.gated:
        raise SparseplanError(f"{source.path}: expected a recipe with mlp gated, as Llama's is, found squared-relu.")
    tied = source.config.get("tie_word_embeddings", False)
    embedding = source.take("model.embed_tokens.weight")
    ours = {
        "embedding.weight": embedding,
        "norm.weight": source.take("model.norm.weight"),
        "head.weight": embedding.clone() if tied else source.take("lm_head.weight"),
    }
    for layer in range(shape.layers):
        theirs, block = f"model.layers.{layer}", f"blocks.{layer}"
        q, k, v, out = (source.take(f"{theirs}.self_attn.{name}_proj.weight") for name in "qkvo")
        ours |= {
            f"{block}.norm1.weight": source.take(f"{theirs}.input_layernorm.weight"),
            f"{block}.norm2.weight": source.take(f"{theirs}.post_attention_layernorm.weight"),
            f"{block}.qkv.weight": _joined(q, k, v, shape),
            f"{block}.out.weight": out,
        }
        for name in ("gate", "up", "down"):
            ours[f"{block}.{name}.weight"] = source.take(f"{theirs}.mlp.{name}_proj.weight")
    return ours


def _joined(q: Tensor, k: Tensor, v: Tensor, shape: GptShape) -> Tensor:
    """Query, key and value as one matrix whose rotated rows lie in halves."""
    half = shape.width // shape.heads // 2
    parts = [weight.view(-1, 2, half, shape.width) for weight in (q, k)]
    halves = [part[:, which].reshape(-1, shape.width) for which in (0, 1) for part in parts]
    return torch.cat([*halves, v])


def _t5(source: Source, shape: Shape) -> dict[str, Tensor]:
    assert isinstance(shape, T5Shape)
    source.require(
        d_model=shape.width,
        num_layers=shape.layers,
        num_heads=shape.heads,
        d_kv=shape.width // shape.heads,
        d_ff=shape.mlp_width,
        feed_forward_proj="gated-gelu",
        layer_norm_epsilon=shape.norm_epsilon,
        relative_attention_num_buckets=BIAS_BUCKETS,
        relative_attention_max_distance=MAX_DISTANCE,
    )
    # transformers 5 says it in a key of its own; before, a tied T5 was one whose outputs are scaled
    if source.config.get("scale_decoder_outputs", source.config.get("tie_word_embeddings") is not False):
        raise SparseplanError(f"{source.path}: config.json: expected T5.1.1, found a T5 that scales its outputs.")
    if source.config.get("num_decoder_layers", shape.layers) != shape.layers:
        raise SparseplanError(f"{source.path}: config.json: expected as many decoder layers as encoder layers.")
    sentinels = range(_T5_FIRST_SENTINEL, _T5_FIRST_SENTINEL - shape.spans.spans, -1)
    rows = torch.tensor([*range(shape.vocab), _T5_PAD, _T5_END, *reversed(sentinels)])
    if shape.vocab > sentinels[-1] or source.config.get("vocab_size", 0) <= _T5_FIRST_SENTINEL:
        raise SparseplanError(
            f"{source.path}: expected T5's vocabulary, data of up to {sentinels[-1]} tokens and sentinels up to "
            f"{_T5_FIRST_SENTINEL}, found data of {shape.vocab} and a model of {source.config.get('vocab_size')}."
        )
    relative = "block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    ours = {
        "embedding.weight": source.take("shared.weight")[rows],
        "head.weight": source.tensors.get("lm_head.weight", source.take("shared.weight"))[rows],
        "encoder_bias.weight": source.take(f"encoder.{relative}"),
        "decoder_bias.weight": source.take(f"decoder.{relative}"),
        "encoder_norm.weight": source.take("encoder.final_layer_norm.weight"),
        "decoder_norm.weight": source.take("decoder.final_layer_norm.weight"),
    }
    for stack, parts in (
        ("encoder", ("itself", "mlp")),
        ("decoder", ("itself", "other", "mlp")),
    ):
        for layer in range(shape.layers):
            for index, part in enumerate(parts):
                theirs, block = f"{stack}.block.{layer}.layer.{index}", f"{stack}.{layer}"
                ours[f"{block}.norm{index + 1}.weight"] = source.take(f"{theirs}.layer_norm.weight")
                for mine, name in _T5_PARTS[part].items():
                    ours[f"{block}.{part}.{mine}.weight"] = source.take(f"{theirs}.{name}.weight")
    return ours


def _gpt2(source: Source, shape: Shape) -> dict[str, Tensor]:
    assert isinstance(shape, Gpt2Shape)
    source.require(
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        vocab_size=shape.vocab,
        n_inner=None,
        activation_function="gelu_new",
        layer_norm_epsilon=EPSILON,
        scale_attn_weights=True,
        scale_attn_by_inverse_layer_idx=False,
        tie_word_embeddings=True,
    )
    # the language model's weights lie below `transformer`, those that OpenAI released don't
    root = "transformer." if "transformer.wte.weight" in source.tensors else ""
    places = source.take(f"{root}wpe.weight")
    if len(places) < shape.context:
        raise SparseplanError(f"{source.path}: expected a context of at most {len(places)}, found {shape.context}.")
    ours = {"embedding.weight": source.take(f"{root}wte.weight"), "positions.weight": places[: shape.context]}
    for name in ("weight", "bias"):
        ours[f"norm.{name}"] = source.take(f"{root}ln_f.{name}")
    for layer in range(shape.layers):
        theirs, block = f"{root}h.{layer}", f"blocks.{layer}"
        for mine, name in (("norm1", "ln_1"), ("norm2", "ln_2")):
            ours |= {f"{block}.{mine}.{part}": source.take(f"{theirs}.{name}.{part}") for part in ("weight", "bias")}
        for mine, name in (("qkv", "attn.c_attn"), ("out", "attn.c_proj"), ("up", "mlp.c_fc"), ("down", "mlp.c_proj")):
            # stored as (inputs, outputs)
            ours[f"{block}.{mine}.weight"] = source.take(f"{theirs}.{name}.weight").t().contiguous()
            ours[f"{block}.{mine}_bias"] = source.take(f"{theirs}.{name}.bias")
    return ours


_T5_PARTS = {
    part: {mine: f"{module}.{name}" for mine, name in names.items()}
    for part, module, names in (
        ("itself", "SelfAttention", {"query": "q", "key": "k", "value": "v", "out": "o"}),
        ("other", "EncDecAttention", {"query": "q", "key": "k", "value": "v", "out": "o"}),
        ("mlp", "DenseReluDense", {"gate": "wi_0", "up": "wi_1", "down": "wo"}),
    )
}
_READERS: dict[str, tuple[type[Shape], Callable[[Source, Shape], dict[str, Tensor]]]] = {
    "llama": (GptShape, _llama),
    "gpt2": (Gpt2Shape, _gpt2),
    "t5": (T5Shape, _t5),
}
