"""The model families with torch: what trains the shapes of `sparseplan.shapes.families`, under the same tags."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from sparseplan.runs.spec import RunSpec
from sparseplan.shapes.families import Shape, tag_of
from sparseplan.train.models.base import Model
from sparseplan.train.models.bert import Bert
from sparseplan.train.models.gpt import Gpt
from sparseplan.train.models.gpt2 import Gpt2
from sparseplan.train.models.t5 import T5
from sparseplan.train.models.vit import Vit
from sparseplan.train.tasks.base import Task
from sparseplan.train.tasks.classify_images import ClassifyImages
from sparseplan.train.tasks.masked_tokens import MaskedTokens
from sparseplan.train.tasks.next_token import NextToken
from sparseplan.train.tasks.span_corruption import SpanCorruption


class Family(NamedTuple):
    """A family's model, built from its shape and a seed, and the task that it is trained on."""

    model: Callable[..., Model]
    task: Callable[[RunSpec, torch.device], Task]


FAMILIES: dict[str, Family] = {
    "gpt": Family(Gpt, NextToken),
    "gpt2": Family(Gpt2, NextToken),
    "bert": Family(Bert, MaskedTokens),
    "vit": Family(Vit, ClassifyImages),
    "t5": Family(T5, SpanCorruption),
}


def build_model(shape: Shape, *, seed: int) -> Model:
    """A model of a shape with fresh weights."""
    return FAMILIES[tag_of(type(shape))].model(shape, seed=seed)


def open_task(run: RunSpec, device: torch.device) -> Task:
    """The task of a run with its data.

    Raises:
        SparseplanError: if the data are missing or unfit.
    """
    return FAMILIES[tag_of(type(run.shape))].task(run, device)
