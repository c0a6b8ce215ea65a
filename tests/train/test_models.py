"""Claims about the models: what they count, where they look, how they start."""

import math
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch")

import torch

from benchmarks.plain_models import PlainT5, PlainVit
from benchmarks.train_throughput import PlainGpt
from sparseplan.runs.spec import DataSpec
from sparseplan.runs.trunks import plan_segments
from sparseplan.shapes.bert import BertShape
from sparseplan.shapes.families import SHAPES, Shape, tag_of
from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.gpt2 import Gpt2Shape
from sparseplan.train.families import FAMILIES, build_model, open_task
from sparseplan.train.loop import StoppedError
from sparseplan.train.models.bert import Bert
from sparseplan.train.models.gpt import Gpt
from sparseplan.train.models.t5 import Attention
from sparseplan.train.models.transformer import Block, rotary_tables, rotate
from tests.helpers.flops import counted_flops
from tests.helpers.specs import GPT2, LLAMA, T5, VIT
from tests.helpers.training import BERT, SHAPE, StopAfter, tiny_run, train_alone, train_segment

POOLED = msgspec.structs.replace(VIT, pooling="map")

TEXT = pytest.mark.parametrize("shape", [SHAPE, BERT], ids=["gpt", "bert"])
NAMED = {"gpt": SHAPE, "llama": LLAMA, "gpt2": GPT2, "bert": BERT, "vit": VIT, "vit-map": POOLED, "t5": T5}
EVERY = pytest.mark.parametrize("shape", NAMED.values(), ids=NAMED.keys())
PATTERNS = ("2:4", "1:4", "4:8", "2:8")


def tokens_of(rows: int) -> torch.Tensor:
    return torch.randint(0, 256, (rows, 32), generator=torch.Generator().manual_seed(0))


def test_every_family_has_a_shape_a_model_and_a_task_under_one_tag() -> None:
    assert SHAPES.keys() == FAMILIES.keys()
    assert {tag: tag_of(shape) for tag, shape in SHAPES.items()} == {tag: tag for tag in FAMILIES}


@EVERY
def test_a_model_has_the_weights_that_its_shape_counts(shape: Shape) -> None:
    model = build_model(shape, seed=0)
    assert sum(p.numel() for p in model.parameters()) == shape.dense_params + shape.other_params
    named = {matrix.name: (matrix.outputs, matrix.inputs) for matrix in shape.matrices}
    assert {name: tuple(p.shape) for name, p in model.prunable().items()} == named


@EVERY
@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_prunable_weight_divides_into_the_papers_groups(shape: Shape, pattern: str) -> None:
    group = int(pattern[2:])
    assert all(weight.shape[1] % group == 0 for weight in build_model(shape, seed=0).prunable().values())


@EVERY
def test_every_parameter_is_in_one_group_and_what_decays_is_what_follows_the_width(shape: Shape) -> None:
    model = build_model(shape, seed=0)
    groups = model.parameter_groups()
    grouped = [id(p) for group in groups for p in group.parameters]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    decayed = {id(p) for group in groups if group.decays for p in group.parameters}
    assert decayed == {id(p) for group in groups if group.width == shape.width for p in group.parameters}
    assert {id(p) for p in model.prunable().values()} <= decayed  # and the head's, where it is one of its own


def test_a_later_token_never_moves_an_earlier_prediction_of_a_decoder() -> None:
    model, tokens = Gpt(SHAPE, seed=0), tokens_of(1)
    changed = tokens.clone()
    changed[0, 20] = (changed[0, 20] + 1) % 256
    before, after = model.hidden(tokens), model.hidden(changed)
    assert torch.equal(before[0, :20], after[0, :20])
    assert not torch.equal(before[0, 20:], after[0, 20:])


def test_a_token_moves_predictions_on_both_sides_of_an_encoder() -> None:
    model, tokens = Bert(BERT, seed=0), tokens_of(1)
    changed = tokens.clone()
    changed[0, 20] = (changed[0, 20] + 1) % 256
    before, after = model.hidden(tokens), model.hidden(changed)
    assert bool((before != after).any(-1).all())


def test_an_encoder_predicts_at_the_chosen_places_what_it_would_predict_there_among_all() -> None:
    model, tokens = Bert(BERT, seed=0), tokens_of(3)
    places = torch.tensor([[0, 5, 31], [1, 2, 3], [7, 7, 7]])
    everywhere = model.head(model.hidden(tokens))
    expected = torch.stack([everywhere[row, where] for row, where in enumerate(places)])
    assert torch.allclose(model(tokens, places), expected, atol=1e-6)


def test_the_encoder_takes_the_mask_token_and_never_predicts_it() -> None:
    model = Bert(BERT, seed=0)
    shown = torch.full((1, 32), BERT.mask_token)
    assert model(shown, torch.tensor([[3]])).shape == (1, 1, BERT.vocab)


def test_attention_sees_relative_positions_only() -> None:
    # rotary positions: the score of a query and a key, both turned, depends on how far apart they are
    cos, sin = rotary_tables(40, heads=4, head_width=8)  # 16 numbers a half: 2 heads x 4 of queries, then of keys
    halves = torch.randn(2, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second = (half.expand(1, 40, 16) for half in halves)
    turned = torch.stack(rotate(first, second, cos.double(), sin.double()))[:, 0]
    score = torch.einsum("htw,hsw->wts", turned[..., :4], turned[..., 8:12]).sum(0)  # head 0: queries with keys
    assert torch.allclose(score[3, 7], score[20, 24])
    assert torch.allclose(score[30, 5], score[35, 10])
    assert not torch.allclose(score[3, 7], score[3, 8])
    assert torch.allclose(turned.square().sum(0), halves.square().sum(0).expand(40, 16))  # a rotation


@TEXT
def test_initial_weights_have_the_documented_variances(shape: Shape) -> None:
    wide = msgspec.structs.replace(shape, width=128, layers=2)
    weights = {name: p.detach() for name, p in build_model(wide, seed=3).named_parameters()}
    assert weights["blocks.0.qkv.weight"].std().item() == pytest.approx(128**-0.5, rel=0.03)
    assert weights["blocks.1.down.weight"].std().item() == pytest.approx((4 * 128) ** -0.5 / 2, rel=0.03)
    assert weights["head.weight"].std().item() == pytest.approx(1 / 128, rel=0.03)


def test_families_of_one_size_start_with_blocks_of_equal_size() -> None:
    gpt = GptShape(layers=2, width=64, heads=2, vocab=256, context=32)
    bert = BertShape(layers=2, width=64, heads=2, vocab=256, context=32)
    assert gpt.matrices == bert.matrices
    assert bert.other_params - gpt.other_params == 64  # the row of [MASK]
    assert gpt.loss_of_a_guess == bert.loss_of_a_guess == math.log(256)


def test_the_benchmarks_plain_decoder_computes_what_ours_does() -> None:
    # It shares no code with ours, so that a slip in ours can't hide in both columns of the benchmark.
    model, plain, tokens = Gpt(SHAPE, seed=0), PlainGpt(SHAPE), tokens_of(3)
    state = model.state_dict()
    for name in [name for name in state if "qkv" in name]:
        # ours: first halves of all query heads, then of all key heads, their second halves likewise, then values
        both = [half.view(2, 2, 8, 32) for half in state[name][:64].split(32)]  # query or key, head, K / 2, W
        halves = torch.stack(both, dim=2)
        state[name] = torch.cat([halves.reshape(64, 32), state[name][64:]])
    plain.load_state_dict(state, strict=False)
    ours = torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
    assert plain(tokens, tokens).item() == pytest.approx(ours.item(), rel=1e-5)


def test_a_llama_like_decoder_computes_what_the_formulas_say() -> None:
    # Written out again, one head at a time: rotary positions, two query heads a key head, SwiGLU.
    model, tokens = Gpt(LLAMA, seed=1), tokens_of(1)
    state = {name: p.detach().double() for name, p in model.state_dict().items()}
    T, W, H, G, K = 32, 32, 4, 2, 8
    angles = torch.outer(torch.arange(T).double(), 10_000.0 ** (-torch.arange(0, K, 2).double() / K))

    def normed(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * scale

    def turned(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    x = state["embedding.weight"][tokens[0]]
    for layer in range(2):
        part = {name.split(".", 2)[2]: p for name, p in state.items() if name.startswith(f"blocks.{layer}.")}
        projected = normed(x, part["norm1.weight"]) @ part["qkv.weight"].T
        half = (H + G) * K // 2
        heads = [
            turned(projected[:, at : at + K // 2], projected[:, half + at : half + at + K // 2])
            for at in range(0, half, K // 2)
        ]
        found = []
        for head in range(H):
            key = H + head // 2
            value = projected[:, 2 * half + (head // 2) * K :][:, :K]
            scores = (heads[head] @ heads[key].T / K**0.5).masked_fill(torch.ones(T, T).triu(1).bool(), -torch.inf)
            found.append(scores.softmax(-1) @ value)
        x = x + torch.cat(found, dim=-1) @ part["out.weight"].T
        y = normed(x, part["norm2.weight"])
        gate = y @ part["gate.weight"].T
        x = x + (gate / (1 + (-gate).exp()) * (y @ part["up.weight"].T)) @ part["down.weight"].T
    expected = normed(x, state["norm.weight"]) @ state["head.weight"].T
    assert expected.shape == (T, 256)
    assert LLAMA.width == W
    assert torch.allclose(model(tokens)[0].double(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [SHAPE, LLAMA, GPT2, BERT], ids=["gpt", "llama", "gpt2", "bert"])
def test_machine_flops_on_text_are_those_that_torch_counts(
    data: DataSpec, shape: GptShape | Gpt2Shape | BertShape
) -> None:
    task = open_task(tiny_run(data, shape=shape), torch.device("cpu"))
    counted = counted_flops(build_model(shape, seed=0), task, task.batch(0))
    # torch counts all scores of causal attention, a machine computes half of them
    skipped = 0.0 if isinstance(shape, BertShape) else 6.0 * shape.layers * shape.width * 32
    assert (shape.machine_flops_per_token() + skipped) * 4 * 32 == pytest.approx(counted, rel=1e-9)


@pytest.mark.parametrize("shape", [LLAMA, GPT2], ids=["llama", "gpt2"])
def test_a_sparse_decoder_of_another_kind_learns_and_resumes_bit_for_bit(
    data: DataSpec, tmp_path: Path, shape: GptShape | Gpt2Shape
) -> None:
    run = tiny_run(data, 0.5, "2:4", shape=shape)
    segment = plan_segments([run]).segments[0]
    whole = train_alone(run, tmp_path / "whole")
    assert whole.loss is not None
    assert whole.loss < shape.loss_of_a_guess - 1
    assert whole.nonzero_params == shape.dense_params // 2
    with pytest.raises(StoppedError):
        train_segment(segment, tmp_path / "stopped", stop=StopAfter(25))
    assert train_segment(segment, tmp_path / "stopped").loss == whole.loss  # type: ignore[union-attr]


def test_the_benchmarks_plain_models_compute_what_ours_do(data: DataSpec, images: DataSpec) -> None:
    # They share no code with ours: T5's relative positions and attention written out, patches by convolution.
    task = open_task(tiny_run(data, shape=T5), torch.device("cpu"))
    ours, plain, batch = build_model(T5, seed=0), PlainT5(T5), task.batch(0)
    names = {"itself.": "itself_", "other.": "other_", "mlp.": ""}
    state = ours.state_dict()
    for old, new in names.items():
        state = {name.replace(old, new): value for name, value in state.items()}
    plain.load_state_dict(state)
    assert plain(*batch).item() == pytest.approx(task.loss(ours, batch).item(), rel=1e-5)
    task = open_task(tiny_run(images, shape=VIT), torch.device("cpu"))
    ours, vision, batch = build_model(VIT, seed=0), PlainVit(VIT), task.batch(0)
    state = ours.state_dict()
    state["patches.weight"] = state.pop("embedding.weight").view(32, 1, 2, 2)
    vision.load_state_dict(state)
    assert vision(*batch).item() == pytest.approx(task.loss(ours, batch).item(), rel=1e-5)


def test_on_a_gpu_t5s_fused_attention_is_the_one_written_out_for_the_cpu() -> None:
    attention, generator = Attention(32, 2), torch.Generator().manual_seed(0)
    x, memory = (torch.randn(3, length, 32, generator=generator) for length in (5, 7))
    bias = torch.randn(2, 5, 7, generator=generator)
    q, k, v = (attention._split(each) for each in (attention.query(x), attention.key(memory), attention.value(memory)))
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    expected = attention.out(fused.transpose(1, 2).reshape(3, 5, 32))
    assert torch.allclose(attention(x, memory, bias), expected, atol=1e-6)


@pytest.mark.gpu
def test_no_product_of_a_block_reads_float32_activations_under_cuda_autocast() -> None:
    # Autocast runs powers in float32 on CUDA, where .square() would make the widest activation twice as large.
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device can be reached from here")
    seen: list[torch.dtype] = []
    block, cos = Block(SHAPE, causal=True).cuda(), torch.ones(32, 32, device="cuda")
    block.down.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].dtype))
    with torch.autocast("cuda", dtype=torch.bfloat16):
        block(torch.ones(2, 32, 32, device="cuda"), (cos, cos))
    assert seen == [torch.bfloat16]
