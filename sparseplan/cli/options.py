"""Options that several commands share, and how their words are read."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sparseplan.errors import SparseplanError
from sparseplan.pattern import parse_pattern
from sparseplan.units import parse_positive, parse_sparsity

if TYPE_CHECKING:
    from sparseplan.cost import Cost
    from sparseplan.law import Law

T = TypeVar("T")


def reader(parse: Callable[[str], T]) -> Callable[[Any], T]:
    """Make a parser of ours a parser of the command line, whose errors name the option."""

    def read(value: Any) -> T:
        try:
            return parse(value) if isinstance(value, str) else value
        except SparseplanError as problem:
            raise typer.BadParameter(str(problem)) from None

    read.__name__ = parse.__name__.removeprefix("parse_").upper()
    return read


def law_names() -> list[str]:
    """Names that `--law` completes."""
    from sparseplan.lawfile import law_files

    return sorted({name for name, _ in law_files()})


read_positive = reader(parse_positive)

FlopsOption = Annotated[
    float,
    typer.Option(
        "--flops", parser=read_positive, metavar="C", help="Training budget in FLOPs, as in 1e23.", show_default=False
    ),
]
ParamsOption = Annotated[
    float | None,
    typer.Option(
        "--params", parser=read_positive, metavar="N", help="Non-zero prunable parameters at the end, as in 7B."
    ),
]
DenseParamsOption = Annotated[
    float | None,
    typer.Option(
        "--dense-params", parser=read_positive, metavar="N", help="Prunable parameters before pruning, as in 14B."
    ),
]
PatternOption = Annotated[
    Any,
    typer.Option(
        "--pattern",
        parser=reader(parse_pattern),
        metavar="P",
        help="unstructured, one pattern such as 2:4 (S = 0.5), or a family such as n:4 (S from what it can make).",
    ),
]
SparsityOption = Annotated[
    float,
    typer.Option(
        "--sparsity", parser=reader(parse_sparsity), metavar="S", help="Fraction of weights that are zero: 0.75 or 75%."
    ),
]
LawOption = Annotated[
    str,
    typer.Option(
        "--law", metavar="LAW", autocompletion=law_names, help="Law by name (sparseplan laws list) or by path."
    ),
]
CostOption = Annotated[
    str,
    typer.Option(
        "--cost",
        metavar="sparse|dense",
        help="What zeros cost in training: nothing (sparse) or as much as weights (dense).",
    ),
]
MaxSparsityOption = Annotated[
    float | None,
    typer.Option(
        "--max-sparsity",
        parser=reader(parse_sparsity),
        metavar="S",
        help="Highest sparsity to consider. Default: the highest among the law's runs.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead.")]


def load_cost(word: str, law: "Law") -> "Cost":
    """The cost that `--cost` means under a law, whose ramp decides what sparse FLOPs save."""
    from sparseplan.cost import FLOPS_COSTS, flops_cost
    from sparseplan.law import SparseLaw
    from sparseplan.schedule import Schedule

    if word not in FLOPS_COSTS:
        raise typer.BadParameter(f"expected sparse or dense, found {word!r}.", param_hint="--cost")
    return flops_cost(word, law.schedule if isinstance(law, SparseLaw) else Schedule())
