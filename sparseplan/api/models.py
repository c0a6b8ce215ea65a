"""Real models: `load_model`, which `optimal` takes as `model`, and what is to be said of one."""

from math import ceil
from pathlib import Path
from typing import Literal, TypeAlias

from sparseplan.api import arguments
from sparseplan.api.arguments import Number
from sparseplan.api.givens import Givens
from sparseplan.common.json_struct import to_json
from sparseplan.common.units import format_bytes, format_count
from sparseplan.errors import PlanError
from sparseplan.laws.law import Law
from sparseplan.plan.on_model import Sized, sized
from sparseplan.shapes.real import facts as model_facts
from sparseplan.shapes.real import file as model_files
from sparseplan.shapes.real.file import RealModel
from sparseplan.shapes.real.memory import STATE_BYTES

ModelLike: TypeAlias = str | Path | RealModel


class Model(model_facts.Facts, frozen=True, kw_only=True):
    """A real model at a context; its fields are the keys of `models show --json`; it prints as the terminal does."""

    format: Literal["sparseplan-model/1"] = "sparseplan-model/1"

    def __str__(self) -> str:
        from sparseplan.api.rendering import printed
        from sparseplan.report.models import print_model

        return printed(lambda console: print_model(console, self))

    def _repr_html_(self) -> str:
        from sparseplan.api.rendering import preformatted

        return preformatted(str(self))

    def to_json(self) -> str:
        """As `sparseplan models show --json` prints it."""
        return to_json(self)


def load_model(model: ModelLike) -> RealModel:
    """A model by name (as `sparseplan models list` shows them) or by the path of its Hugging Face config.

    Raises:
        ModelError: if there is no such model, or its config is broken.

    >>> load_model("gpt2").architecture.prunable_params == 12 * 12 * 768**2
    True
    """
    return model if isinstance(model, RealModel) else model_files.load_model(model)


def describe_model(
    model: ModelLike,
    *,
    context: Number | None = None,
    devices: Number = 1,
    sparsity: Number = 0.0,
) -> Model:
    """Parameters of a real model, its FLOPs per token, and the memory that it takes.

    Args:
        model: By name, by the path of its Hugging Face config, or as `load_model` gives it.
        context: Tokens of a sequence; by default those of its pretraining, else the longest of its config.
        devices: Over how many devices weights, gradients and the optimizer are split.
        sparsity: Of the weights in inference.

    Raises:
        SparseplanError: for arguments out of range, an unknown model, or a broken config.

    >>> model = describe_model("llama-3-8b")
    >>> model.total_params, round(model.flops_per_token.total / 1e9, 1)
    (8030261248, 51.5)
    """
    chosen, S = load_model(model), arguments.share("sparsity", sparsity)
    length = model_facts.context_of(chosen, tokens("context", context))
    found = model_facts.facts(
        chosen, length, devices=arguments.needed("devices", devices), sparsity=S, two_of_four=S == 0.5
    )
    return Model(**{name: getattr(found, name) for name in found.__struct_fields__})


def describe_models() -> list[Model]:
    """Every built-in model at its own context."""
    return [describe_model(path.stem) for path in model_files.builtin_models()]


def sized_model(
    model: ModelLike,
    law: Law,
    *,
    context: Number | None,
    max_memory: float | None,
    devices: float | None,
) -> Sized:
    """The real model that a plan is about, counted as its law counts.

    Raises:
        SparseplanError: if it is not known, does not go with the law, or takes more memory than is allowed.
    """
    length = tokens("context", context)
    return sized(load_model(model), length, law, devices=devices or 1.0, max_memory=max_memory)


def most_dense_params(max_memory: float, devices: float | None, given: Givens) -> float:
    """The most dense parameters whose weights, gradients and optimizer fit into a memory per device.

    Raises:
        PlanError: if the size that is given does not.
    """
    most = max_memory * (devices or 1.0) / STATE_BYTES
    for name, size in (("params", given.params), ("dense_params", given.dense_params)):
        if size is not None and size > most:
            takes, count = STATE_BYTES * size, format_count(size)
            raise PlanError(
                f"`max_memory`: expected at least {format_bytes(takes / (devices or 1.0))} per device, found "
                f"{format_bytes(max_memory)}: weights, gradients and optimizer take {STATE_BYTES} bytes for each of "
                f"the {count} of `{name}`; {ceil(takes / max_memory):,} devices would hold them, see `devices`."
            )
    return most


def tokens(name: str, value: Number | None) -> int | None:
    """A whole number of tokens of a sequence, 8192 or "8k"; None stays None.

    Raises:
        QuantityError: naming the argument.
    """
    number = arguments.positive(name, value)
    if number is None:
        return None
    arguments.whole(name, int(number) if number == int(number) else number, least=1, most=model_files.MOST_CONTEXT)  # type: ignore[arg-type]
    return int(number)
