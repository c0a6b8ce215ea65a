"""Specified runs for tests."""

from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import DataSpec, RunSpec, Split
from sparseplan.shapes.gpt import GptShape
from sparseplan.shapes.gpt2 import Gpt2Shape
from sparseplan.shapes.t5 import T5Shape
from sparseplan.shapes.vit import VitShape

DATA = DataSpec(
    train=Split(path="train.bin", sha256="a" * 64, tokens=10**7),
    valid=Split(path="valid.bin", sha256="b" * 64, tokens=10**5),
    dtype="uint8",
    unit="byte",
    bytes_per_token=1.0,
)


SHAPE = GptShape(layers=2, width=64, heads=2, vocab=256, context=32)
VIT = VitShape(layers=2, width=32, heads=2, side=8, channels=1, patch=2, classes=10, pooling="mean")
LLAMA = GptShape(layers=2, width=32, heads=4, kv_heads=2, mlp="gated", mlp_width=88, vocab=256, context=32)
GPT2 = Gpt2Shape(layers=2, width=32, heads=2, vocab=256, context=32)
T5 = T5Shape(layers=2, width=32, heads=2, mlp_width=88, vocab=256, context=64)


def spec(sparsity: float = 0.0, pattern: str = "unstructured", *, steps: int = 100, seed: int = 0) -> RunSpec:
    return pruned_run(Pruning(sparsity=sparsity, pattern=pattern), steps=steps, seed=seed)


def pruned_run(pruning: Pruning, *, steps: int = 100, seed: int = 0) -> RunSpec:
    return RunSpec(shape=SHAPE, data=DATA, batch=4, steps=steps, pruning=pruning, seed=seed)
