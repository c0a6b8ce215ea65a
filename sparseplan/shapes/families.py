"""The model families, without torch: a new one is a file here, a place in `Shape` and in `Model`.

A shape has the members of `GptShape`: layers, width, matrices, dense_params, other_params, nonzero_params,
tokens_per_sequence, data_per_sequence, entries_per_sequence, loss_of_a_guess, loss_per and machine_flops_per_token. A
model of a recipe has `sizes`, `shape`, and `reads`, the kind of `Inputs` that it takes. Both carry the family's tag.
What trains it is `sparseplan.train.families`, under the same tag.
"""

from typing import get_args

from sparseplan.shapes.bert import BertModel, BertShape
from sparseplan.shapes.gpt import GptModel, GptShape
from sparseplan.shapes.gpt2 import Gpt2Model, Gpt2Shape
from sparseplan.shapes.t5 import T5Model, T5Shape
from sparseplan.shapes.vit import VitModel, VitShape

Shape = GptShape | Gpt2Shape | BertShape | VitShape | T5Shape
Model = GptModel | Gpt2Model | BertModel | VitModel | T5Model
DEFAULT_MODEL = GptModel
"""What a recipe means that names no family."""


def tag_of(shape: type[Shape] | type[Model]) -> str:
    """The tag of a family's shape or model."""
    return str(shape.__struct_config__.tag)


SHAPES: dict[str, type[Shape]] = {tag_of(shape): shape for shape in get_args(Shape)}
