"""What the readers of Hugging Face configs share: types of their fields, and the struct that all of them are.

A field has the name and the default of the config class in transformers 4.57.1
(src/transformers/models/*/configuration_*.py), so that a key that a file leaves out means what it means there.
"""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from sparseplan.shapes.real.architecture import Architecture, Attention

MOST_LAYERS = 10_000
Width = Annotated[int, Meta(ge=1, le=2**24)]
Layers = Annotated[int, Meta(ge=1, le=MOST_LAYERS)]
Heads = Annotated[int, Meta(ge=1, le=2**16)]
Vocab = Annotated[int, Meta(ge=1, le=2**28)]
Length = Annotated[int, Meta(ge=1, le=2**31)]


class Config(Struct, frozen=True, kw_only=True):
    """The fields of a config that decide shapes; all others are left unread.

    Attributes:
        other_names: Names that transformers takes for a field as well (`attribute_map`), and the field's own.
    """

    other_names: ClassVar[dict[str, str]] = {}

    def architecture(self, model_type: str) -> Architecture:
        """The model.

        Raises:
            ValueError: if the fields contradict each other.
        """
        raise NotImplementedError


def attention_of(width: int, heads: int, key_heads: int | None = None, head_width: int | None = None) -> Attention:
    """The heads of a block, of width / heads each where nothing else is said.

    Raises:
        ValueError: if the counts don't divide.
    """
    keys = heads if key_heads is None else key_heads
    if heads % keys:
        raise ValueError(f"expected heads for keys and values that divide the {heads} heads, found {keys}")
    if head_width is None:
        if width % heads:
            raise ValueError(f"expected heads that divide the width {width}, found {heads}")
        head_width = width // heads
    return Attention(heads=heads, key_heads=keys, head_width=head_width)
