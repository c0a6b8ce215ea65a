"""Weights of Hugging Face models: the same outputs, or a refusal that says why."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch
from safetensors.torch import save_file

from sparseplan.errors import BrokenFileError, SparseplanError
from sparseplan.runs.spec import DataSpec
from sparseplan.runs.start import Checkpoint, digest_of
from sparseplan.shapes.families import Shape
from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.t5 import T5Shape
from sparseplan.train.families import build_model
from sparseplan.train.huggingface import read_huggingface
from tests.helpers.specs import GPT2
from tests.helpers.training import tiny_run, train_alone

LLAMA = GptShape(layers=2, width=32, heads=4, kv_heads=2, mlp="gated", mlp_width=88, vocab=256, context=32)
T5 = T5Shape(layers=2, width=32, heads=2, mlp_width=88, vocab=256, context=64)


def llama_config(**changes: Any) -> dict[str, Any]:
    """What a small Llama of `LLAMA`'s shape says of itself."""
    return {
        "model_type": "llama",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 88,
        "vocab_size": 256,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
    } | changes


def llama_folder(folder: Path, **changes: Any) -> Path:
    """Random weights of such a model, as transformers lays them down."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (256, 32),
        "lm_head.weight": (256, 32),
        "model.norm.weight": (32,),
    }
    for layer in range(2):
        at = f"model.layers.{layer}"
        shapes |= {f"{at}.{norm}.weight": (32,) for norm in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {f"{at}.self_attn.{name}_proj.weight": (32, 32) for name in "qo"}
        shapes |= {f"{at}.self_attn.{name}_proj.weight": (16, 32) for name in "kv"}
        shapes |= {f"{at}.mlp.{name}_proj.weight": (88, 32) for name in ("gate", "up")}
        shapes[f"{at}.mlp.down_proj.weight"] = (32, 88)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(llama_config(**changes)))
    weights = {
        name: torch.randn(size, generator=generator) * 0.1 if len(size) > 1 else torch.ones(size)
        for name, size in shapes.items()
    }
    save_file(weights, folder / "a.safetensors")
    return folder


def ours(shape: Shape, path: Path) -> Any:
    model = build_model(shape, seed=1)
    model.load_state_dict(read_huggingface(path, shape))
    return model.eval()


@pytest.mark.slow  # transformers takes seconds to import
@pytest.mark.parametrize(
    "changes", [{}, {"norm_epsilon": 1e-5, "rotary_base": 500_000.0}, {"kv_heads": None}], ids=["1", "3", "alone"]
)
@torch.no_grad()
def test_a_llama_gives_the_logits_that_transformers_gives(tmp_path: Path, changes: dict[str, Any]) -> None:
    transformers = pytest.importorskip("transformers")
    shape = msgspec.structs.replace(LLAMA, **changes)
    config = transformers.LlamaConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=shape.key_heads,
        intermediate_size=88,
        vocab_size=256,
        max_position_embeddings=32,
        rms_norm_eps=shape.norm_epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rotary_base},
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(config).eval()
    for parameter in theirs.parameters():
        parameter.normal_(0.0, 0.3)  # larger than they start, so that every part shows in the logits
    theirs.save_pretrained(tmp_path)
    tokens = torch.randint(256, (3, 32))
    expected = theirs(tokens).logits
    assert expected.std() > 0.1
    # rounding of float32 through two blocks, relative to the logits' size
    torch.testing.assert_close(ours(shape, tmp_path)(tokens), expected, rtol=1e-4, atol=1e-4 * float(expected.std()))


@pytest.mark.slow
@torch.no_grad()
def test_a_gpt2_gives_the_logits_that_transformers_gives(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=256, n_positions=48)
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    for parameter in theirs.parameters():
        parameter.normal_(0.0, 0.3)
    theirs.save_pretrained(tmp_path)
    tokens = torch.randint(256, (3, 32))
    expected = theirs(tokens).logits
    found = ours(GPT2, tmp_path)(tokens)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_a_t5_gives_the_logits_that_transformers_gives_for_the_same_text_and_sentinels(
    tmp_path: Path, tied: bool
) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(
        d_model=32,
        d_kv=16,
        d_ff=88,
        num_layers=2,
        num_heads=2,
        vocab_size=32_128,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        dropout_rate=0.0,
    )
    torch.manual_seed(0)
    theirs = transformers.T5ForConditionalGeneration(config).eval()
    if not tied:  # as the published ones are, which transformers 5 ties
        theirs.lm_head.weight = torch.nn.Parameter(theirs.lm_head.weight.clone())
    for parameter in theirs.parameters():
        parameter.normal_(0.0, 0.3)
    config.save_pretrained(tmp_path)
    stored = {name: weight.clone() for name, weight in theirs.state_dict().items()}
    if tied:
        del stored["lm_head.weight"]
    save_file(stored, tmp_path / "model.safetensors")
    model = ours(T5, tmp_path)
    spans = T5.spans
    # what stands for our tokens in T5's vocabulary: start is its padding, end 1, <extra_id_0> 32099 and down
    meaning = torch.arange(T5.tokens)
    meaning[T5.start_token], meaning[T5.end_token] = 0, 1
    meaning[T5.end_token + 1 :] = 32_099 - torch.arange(spans.spans - 1, -1, -1)
    assert meaning[T5.first_sentinel] == 32_099
    inputs = torch.randint(T5.tokens, (3, spans.inputs))
    before = torch.randint(T5.tokens, (3, spans.targets))
    expected = theirs(input_ids=meaning[inputs], decoder_input_ids=meaning[before]).logits[..., meaning]
    torch.testing.assert_close(model(inputs, before), expected, rtol=1e-4, atol=1e-4 * float(expected.std()))


def test_a_run_starts_from_a_folder_of_safetensors_and_prunes_it(data: DataSpec, tmp_path: Path) -> None:
    folder = llama_folder(tmp_path / "llama")
    start = Checkpoint(path=str(folder), sha256=digest_of(folder), data_seen=1e9)
    record = train_alone(tiny_run(data, 0.5, shape=LLAMA, start=start, steps=8), tmp_path / "out")
    assert record.loss is not None
    assert record.nonzero_params == LLAMA.dense_params // 2
    assert record.dense_train_flops == pytest.approx(6 * LLAMA.dense_params * 1e9)
    (folder / "config.json").write_text(json.dumps(llama_config(), indent=1))
    with pytest.raises(SparseplanError, match="the weights changed since this run was specified"):
        train_alone(tiny_run(data, 0.5, shape=LLAMA, start=start, steps=9), tmp_path / "out")


def test_one_file_of_a_folder_is_the_model_too_and_several_files_are_one(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path / "llama")
    whole = read_huggingface(folder, LLAMA)
    alone = read_huggingface(folder / "a.safetensors", LLAMA)
    assert all(torch.equal(whole[name], alone[name]) for name in whole)
    from safetensors.torch import load_file

    tensors = load_file(folder / "a.safetensors")
    names = sorted(tensors)
    for part, chosen in (("a", names[:5]), ("b", names[5:])):
        save_file({name: tensors[name] for name in chosen}, folder / f"{part}.safetensors")
    parted = read_huggingface(folder, LLAMA)
    assert all(torch.equal(whole[name], parted[name]) for name in whole)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "bert"}, "expected a model of type llama, gpt2, t5, found bert: it has biases, LayerNorm"),
        ({"model_type": "mamba"}, "expected a model of type llama, gpt2, t5, found mamba"),
        ({"model_type": "t5"}, "expected a recipe of the family t5 for a t5 model"),
        ({"num_attention_heads": 2}, "expected num_attention_heads 4, found 2"),
        ({"num_key_value_heads": 4}, "expected num_key_value_heads 2, found 4"),
        ({"vocab_size": 32000}, "expected vocab_size 256, found 32000"),
        ({"rms_norm_eps": 1e-5}, "expected rms_norm_eps 1e-06, found 1e-05"),
        ({"rope_theta": 5e5}, "expected plain rotary positions of the recipe's rotary_base 10000, found"),
        ({"rope_scaling": {"factor": 8.0}}, "expected no rope_scaling"),
        ({"attention_bias": True}, "expected no attention_bias, found True"),
        ({"hidden_act": "gelu"}, "expected hidden_act 'silu', found 'gelu'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_model_that_computes_something_else_is_refused_by_key(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SparseplanError, match=r".*") as caught:
        read_huggingface(llama_folder(tmp_path / "llama", **changes), LLAMA)
    assert said in str(caught.value)


def test_broken_files_are_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path / "llama")
    weights = folder / "a.safetensors"
    whole = weights.read_bytes()
    for damage in (b"", whole[:1000], b"\0" * 100, whole[:-1]):
        weights.write_bytes(damage)
        with pytest.raises(BrokenFileError, match=r"a\.safetensors: expected safetensors"):
            read_huggingface(folder, LLAMA)
    weights.write_bytes(whole)
    (folder / "config.json").write_text("{")
    with pytest.raises(BrokenFileError, match=r"expected a model's config\.json"):
        read_huggingface(folder, LLAMA)
    (folder / "config.json").unlink()
    with pytest.raises(SparseplanError, match="can't read this config"):
        read_huggingface(folder, LLAMA)


def test_choices_that_came_later_name_no_run_and_no_recipe_of_before() -> None:
    assert set(msgspec.to_builtins(LLAMA)) & {"rotary_base", "norm_epsilon"} == set()
    assert msgspec.to_builtins(msgspec.structs.replace(LLAMA, rotary_base=5e5))["rotary_base"] == 5e5
