"""Options that several commands share, and how their words are read."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from sparseplan.cli.flags import in_flags
from sparseplan.common.several import parse_budgets, split
from sparseplan.common.text import shown, shown_json
from sparseplan.common.units import parse_bytes, parse_positive, parse_sparsity
from sparseplan.errors import SparseplanError
from sparseplan.laws import DEFAULT_LAW
from sparseplan.sparsity.pattern import BEST, parse_pattern, parse_patterns

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")


def reader(parse: Callable[[str], T]) -> Callable[[Any], T]:
    """Make a parser of ours a parser of the command line, whose errors name the option."""

    def read(value: Any) -> T:
        try:
            return parse(value) if isinstance(value, str) else value
        except SparseplanError as problem:
            raise typer.BadParameter(in_flags(str(problem))) from None

    read.__name__ = parse.__name__.removeprefix("parse_").upper()
    return read


def require_yaml(out: Path | None) -> None:
    """Refuse, before any work, a file to write that could not be named as a law or profile again.

    Raises:
        SparseplanError: if it doesn't end in .yaml or .yml.
    """
    if out is not None and out.suffix not in (".yaml", ".yml"):
        raise SparseplanError(f"--out: expected a file ending in .yaml, found {out}.")


def require_place(option: str, path: Path) -> None:
    """Refuse, before any work, a file that could not be written after it: no folder, no permission, a full disk.

    A folder that is not there may be a slip, and nothing would say so.

    Raises:
        SparseplanError: naming the folder or the file.
    """
    from sparseplan.common.files import try_writing

    if not path.parent.is_dir():
        raise SparseplanError(f"{option} {path}: there is no folder {path.parent}; make it first, or correct the name.")
    try_writing(path)


def require_new(option: str, path: Path | None, *, force: bool) -> None:
    """Refuse, before any work, to write over a file that is there: one rule for every command that writes one.

    Raises:
        SparseplanError: naming the file.
    """
    if path is not None and not force and (path.exists() or path.is_symlink()):
        raise SparseplanError(f"{option} {path}: there is a file already; --force replaces it, {option} names another.")


def law_names() -> list[str]:
    """Names that `--law` completes."""
    from sparseplan.laws.file import law_files

    return sorted({name for name, _ in law_files() if name.isprintable()})


def profile_names() -> list[str]:
    """Names of hardware profiles."""
    from sparseplan.hardware.file import profile_files

    return sorted({name for name, _ in profile_files() if name.isprintable()})


def model_names() -> list[str]:
    """Names that `--model` completes."""
    from sparseplan.shapes.real.file import builtin_models

    return [path.stem for path in builtin_models()]


def pattern_names() -> list[str]:
    """Words that `--pattern` completes."""
    return ["unstructured", "2:4", "1:4", "n:4", "n:8", "n:16"]


def cost_names() -> list[str]:
    """Words that `--cost` completes."""
    return ["sparse", "dense", *profile_names()]


def flat(given: list[list[T]] | None) -> list[T] | None:
    """The values of an option that is repeated and holds several each time; None where it is not given."""
    return None if given is None else [value for values in given for value in values]


read_positive = reader(parse_positive)

BudgetsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--flops",
        parser=reader(parse_budgets),
        metavar="C",
        help="Training budget in FLOPs, as in 1e23; several as in 1e21,1e22 or 1e21..1e24 (1, 2 and 5 of each power "
        "of ten).",
    ),
]
LossOption = Annotated[
    float | None,
    typer.Option(
        "--loss",
        parser=read_positive,
        metavar="L",
        help="Loss to reach with the least compute, in nats, as in 2.1; instead of a budget.",
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
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        autocompletion=model_names,
        help="A real model whose dense size is meant: by name (sparseplan models list), or the path of its Hugging "
        "Face config.json.",
    ),
]
ContextOption = Annotated[
    float | None,
    typer.Option(
        "--context",
        parser=read_positive,
        metavar="T",
        help="Tokens of a sequence, as in 8192. Default: those of the model's pretraining, else its config's longest.",
    ),
]
MaxMemoryOption = Annotated[
    float | None,
    typer.Option(
        "--max-memory",
        parser=reader(parse_bytes),
        metavar="M",
        help="The most memory that training may take on each of the --devices, as in 80GB; without --model it limits "
        "the size by 16 bytes per dense parameter.",
    ),
]
PatternOption = Annotated[
    Any,
    typer.Option(
        "--pattern",
        parser=reader(parse_pattern),
        metavar="P",
        autocompletion=pattern_names,
        help="unstructured, one pattern such as 2:4 (S = 0.5), or a family such as n:4 (S from what it can make).",
    ),
]
PatternsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--pattern",
        parser=reader(parse_patterns),
        metavar="P",
        autocompletion=lambda: [*pattern_names(), BEST],
        help="unstructured, one pattern such as 2:4 (S = 0.5), a family such as n:4 (S from what it can make), or "
        "best: the best of all that the law and the device know; several with commas.",
    ),
]
SparsityOption = Annotated[
    float | None,
    typer.Option(
        "--sparsity",
        parser=reader(parse_sparsity),
        metavar="S",
        help="Fraction of weights that are zero: 0.75 or 75%. One pattern, such as 2:4, says it too.",
    ),
]
LawOption = Annotated[
    str,
    typer.Option(
        "--law", metavar="LAW", autocompletion=law_names, help="Law by name (sparseplan laws list) or by path."
    ),
]
LawsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--law",
        parser=reader(split),
        metavar="LAW",
        autocompletion=law_names,
        show_default=DEFAULT_LAW,
        help="Law by name (sparseplan laws list) or by path; several with commas.",
    ),
]
_STRATEGY_HELP = "How it is pruned, where the law's calibration knows several ways, as in rigl"
StrategyOption = Annotated[
    str | None,
    typer.Option("--strategy", metavar="STRATEGY", help=f"{_STRATEGY_HELP}. Default: the law's own."),
]
StrategiesOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--strategy",
        parser=reader(split),
        metavar="STRATEGY",
        help=f"{_STRATEGY_HELP}; several with commas. Default: the law's own.",
        show_default=False,
    ),
]
CostOption = Annotated[
    str,
    typer.Option(
        "--cost",
        metavar="sparse|dense|PROFILE",
        autocompletion=cost_names,
        help="What zeros cost in training: nothing (sparse), as much as weights (dense), or what a device makes of it: "
        "a hardware profile by name (sparseplan hardware list) or path.",
    ),
]
CostsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--cost",
        parser=reader(split),
        metavar="sparse|dense|PROFILE",
        autocompletion=cost_names,
        show_default="sparse",
        help="What zeros cost in training: nothing (sparse), as much as weights (dense), or what a device makes of "
        "it: a hardware profile by name (sparseplan hardware list) or path; several with commas.",
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
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]
FixedDataOption = Annotated[
    float | None,
    typer.Option(
        "--data",
        parser=read_positive,
        metavar="D",
        help="Data seen in the law's unit, repeats counted, as in 300B; the size follows.",
    ),
]
FromDenseOption = Annotated[
    float | None,
    typer.Option(
        "--from-dense",
        parser=read_positive,
        metavar="T",
        help="A dense model of --dense-params exists that has seen this much data: prune it, train it on, or train "
        "from scratch? With --flops to spend; --law may be given twice, the second of runs from dense checkpoints.",
    ),
]
MaxDataOption = Annotated[
    float | None,
    typer.Option("--max-data", parser=read_positive, metavar="D", help="The most data that may be seen, as in 300B."),
]
TokensPerParamOption = Annotated[
    float | None,
    typer.Option(
        "--tokens-per-param",
        parser=read_positive,
        metavar="R",
        help="Data seen per non-zero parameter, as in 20; size and data follow.",
    ),
]
UniqueDataOption = Annotated[
    float | None,
    typer.Option(
        "--unique-data",
        parser=read_positive,
        metavar="U",
        help="Unique data in the law's unit, as in 1.3B; beyond it data is repeated. Default: all data are unique.",
    ),
]
ObjectiveOption = Annotated[
    Literal["point", "mean"],
    typer.Option(
        "--objective",
        help="What is made lowest: the loss by the law's values (point), or its mean over the law's draws (mean), "
        "which loses least on average if another draw is true.",
    ),
]
ExplainOption = Annotated[bool, typer.Option("--explain", help="Print every warning, not only the two gravest.")]
CsvOption = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write the figures to a file too, a row a plan.")
]
PlotOption = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw too: sparsity and gain of several plans, or what every sparsity reaches. A .png, .svg or .pdf.",
    ),
]
PictureWidthOption = Annotated[
    Literal["column", "page"] | None,
    typer.Option("--width", help="Of a picture: a journal's column (3.3 in) or page (6.8 in, the default)."),
]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print a Markdown table instead.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead.")]


def print_json(text: str) -> None:
    """Print an answer as JSON, which speaks of options and commands too."""
    print(shown_json(in_flags(text)))


def print_schema(schema: dict[str, Any]) -> None:
    """Print a JSON Schema as it is: its words are those of the files that it describes."""
    import json

    print(json.dumps(schema, indent=2))


def note(text: str) -> None:
    """Say on standard error what was done beside the answer."""
    typer.echo(shown(text), err=True)


def open_console() -> "Console":
    """The console of a command: it speaks of options and commands."""
    from sparseplan.common import console

    return console.open_console(in_flags)
