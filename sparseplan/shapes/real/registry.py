"""Every kind of model whose config is read: a new one is a struct of its fields, and a line here."""

from collections.abc import Mapping
from dataclasses import replace

from sparseplan.common.yaml_document import Key
from sparseplan.common.yaml_struct import Document, convert
from sparseplan.errors import ModelError, nearest
from sparseplan.shapes.real import decoders, encoders, gpts, t5
from sparseplan.shapes.real.architecture import Architecture
from sparseplan.shapes.real.config import Config

READERS: Mapping[str, type[Config]] = {
    "bert": encoders.BertConfig,
    "gemma": decoders.GemmaConfig,
    "gemma2": decoders.Gemma2Config,
    "gemma3_text": decoders.Gemma3Config,
    "gpt2": gpts.Gpt2Config,
    "gpt_neox": gpts.GptNeoxConfig,
    "llama": decoders.LlamaConfig,
    "mistral": decoders.MistralConfig,
    "mt5": t5.Mt5Config,
    "olmo2": decoders.Olmo2Config,
    "opt": gpts.OptConfig,
    "phi3": decoders.Phi3Config,
    "qwen2": decoders.Qwen2Config,
    "qwen3": decoders.Qwen3Config,
    "roberta": encoders.RobertaConfig,
    "t5": t5.T5Config,
    "vit": encoders.VitConfig,
}
"""`model_type` of a config to the struct that reads it."""

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_experts_per_tok")
"""Keys by which configs of mixtures of experts say how many there are."""


def read_config(document: Document, *, at: Key = ()) -> Architecture:
    """The model that a config describes.

    Args:
        document: The file.
        at: Where in it the config stands; its top level by default.

    Raises:
        ModelError: with file, line and key, for a kind that is not known, a mixture of experts, or fields that are no
            sizes or contradict each other.
    """
    fields = document.data
    for key in at:
        fields = fields[key]
    if not isinstance(fields, dict):
        raise ModelError(f"{document.where(at)}expected the config of a model, a mapping with `model_type`.")
    model_type = fields.get("model_type")
    experts = next((key for key in _EXPERTS if isinstance(fields.get(key), int) and fields[key] > 1), None)
    if experts is not None:
        raise ModelError(
            f"{document.where((*at, experts))}expected a dense model, found a mixture of experts: a token meets some "
            "of its weights only, and the laws here are of models whose weights meet every token."
        )
    if not isinstance(model_type, str) or model_type not in READERS:
        raise ModelError(_unknown(document, at, model_type, fields))
    reader = READERS[model_type]
    names: list[str] = list(fields)
    named = {reader.other_names.get(name, name): name for name in names}
    lines: dict[Key, int] = {(own,): document.lines[*at, key] for own, key in named.items()}
    part = replace(document, data={own: fields[key] for own, key in named.items()}, lines=lines)
    config: Config = convert(part, reader, error=ModelError)
    try:
        return config.architecture(model_type)
    except ValueError as problem:
        raise ModelError(f"{document.where(at)}{problem}. A key that is left out is as in transformers.") from None


def _unknown(document: Document, at: Key, model_type: object, fields: Mapping[str, object]) -> str:
    known = list(READERS)
    inner = fields.get("text_config")
    if isinstance(inner, dict) and inner.get("model_type") in READERS:
        return (
            f"{document.where((*at, 'model_type'))}expected the config of one model, found one of several; save its "
            f"text_config, a {inner['model_type']}, as a file of its own."
        )
    found = "none" if model_type is None else repr(model_type)[:60]
    close = nearest(model_type, known) if isinstance(model_type, str) else ""
    where = document.where((*at, "model_type") if model_type is not None else at)
    return f"{where}expected a model_type of {', '.join(known)}, found {found}{close}."
