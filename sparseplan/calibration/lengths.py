"""How long the runs of a recipe are trained."""

from typing import Annotated

from msgspec import Meta, Struct

from sparseplan.shapes.families import Shape

MAX_STEPS = 10**9
"""Optimizer updates of a run, sequences of a batch: far beyond any training, and within every integer."""

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1, le=MAX_STEPS)]


class Lengths(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to train, in exactly one way."""

    steps: Annotated[tuple[Count, ...], Meta(description="Optimizer updates.")] = ()
    tokens: Annotated[
        tuple[Positive, ...], Meta(description="Tokens, bytes or images seen, rounded to whole updates.")
    ] = ()
    tokens_per_dense_param: Annotated[
        tuple[Positive, ...], Meta(description="The same per prunable parameter before pruning.")
    ] = ()

    def __post_init__(self) -> None:
        given = [name for name in self.__struct_fields__ if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                "expected exactly one of steps, tokens and tokens_per_dense_param, "
                f"found {' and '.join(given) or 'none'}"
            )

    def in_steps(self, shape: Shape, batch: int) -> list[int]:
        """The lengths of a shape's runs, in updates.

        Raises:
            ValueError: if one is beyond `MAX_STEPS`.
        """
        per_step = batch * shape.data_per_sequence
        tokens = list(self.tokens) or [ratio * shape.dense_params for ratio in self.tokens_per_dense_param]
        longest = max(tokens, default=0.0) / per_step
        if longest > MAX_STEPS:
            raise ValueError(f"expected lengths of at most {MAX_STEPS:.0e} updates, found {longest:.3g}")
        return list(self.steps) or [max(1, round(wanted / per_step)) for wanted in tokens]
