"""Options that several commands share, and how their words are read."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sparseplan.common.units import parse_positive, parse_share, parse_sparsity
from sparseplan.errors import SparseplanError
from sparseplan.sparsity.pattern import parse_pattern

if TYPE_CHECKING:
    from pathlib import Path

    from sparseplan.cost.flops import Cost
    from sparseplan.hardware.profile import Profile
    from sparseplan.laws.law import Law
    from sparseplan.plan.device_hours import Device
    from sparseplan.sparsity.pattern import Pattern

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


def require_yaml(out: "Path | None") -> None:
    """Refuse, before any work, a file to write that could not be named as a law or profile again.

    Raises:
        SparseplanError: if it doesn't end in .yaml or .yml.
    """
    if out is not None and out.suffix not in (".yaml", ".yml"):
        raise SparseplanError(f"--out: expected a file ending in .yaml, found {out}.")


def law_names() -> list[str]:
    """Names that `--law` completes."""
    from sparseplan.laws.file import law_files

    return sorted({name for name, _ in law_files()})


def profile_names() -> list[str]:
    """Names of hardware profiles."""
    from sparseplan.hardware.file import profile_files

    return sorted({name for name, _ in profile_files()})


def cost_names() -> list[str]:
    """Words that `--cost` completes."""
    return ["sparse", "dense", *profile_names()]


read_positive = reader(parse_positive)

OptionalFlopsOption = Annotated[
    float | None,
    typer.Option("--flops", parser=read_positive, metavar="C", help="Training budget in FLOPs, as in 1e23."),
]
DeviceHoursOption = Annotated[
    float | None,
    typer.Option(
        "--device-hours",
        parser=read_positive,
        metavar="H",
        help="Training budget in hours of one device, as in 20k; instead of --flops.",
    ),
]
PeakOption = Annotated[
    float | None,
    typer.Option(
        "--peak", parser=read_positive, metavar="F", help="Peak dense FLOP/s of one device, as in 989T, if no profile."
    ),
]
UtilizationOption = Annotated[
    float | None,
    typer.Option(
        "--utilization",
        parser=reader(parse_share),
        metavar="U",
        help="Share of the peak that training reaches, as in 40%. Default: the profile's.",
    ),
]
DevicesOption = Annotated[
    float | None,
    typer.Option("--devices", parser=read_positive, metavar="K", help="Devices at work at once, for wall-clock time."),
]
PriceOption = Annotated[
    float | None,
    typer.Option("--price", parser=read_positive, metavar="P", help="Money for one device for one hour."),
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
        metavar="sparse|dense|PROFILE",
        autocompletion=cost_names,
        help="What zeros cost in training: nothing (sparse), as much as weights (dense), or what a device makes of it: "
        "a hardware profile by name (sparseplan hardware list) or path.",
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


def load_cost_profile(word: str) -> "Profile | None":
    """The hardware profile that `--cost` means; None where it means a FLOP count."""
    from sparseplan.cost.flops import FLOPS_COSTS

    if word in FLOPS_COSTS:
        return None
    from sparseplan.errors import HardwareError
    from sparseplan.hardware.file import load_profile

    try:
        return load_profile(word)
    except HardwareError as problem:
        raise HardwareError(f"--cost: expected sparse, dense or a hardware profile: {problem}") from None


def load_cost(word: str, law: "Law", pattern: "Pattern", profile: "Profile | None") -> "Cost":
    """The cost that `--cost` means under a law, whose ramp decides what sparse FLOPs save and when 2:4 begins."""
    from sparseplan.cost.flops import flops_cost

    if profile is None:
        return flops_cost(word, law.schedule, tokens_per_unit=law.tokens_per_unit)
    from sparseplan.cost.device import device_cost

    return device_cost(profile, pattern, law.schedule, tokens_per_unit=law.tokens_per_unit)


def require_one_budget(flops: float | None, device_hours: float | None) -> None:
    """Refuse a question without a budget, or with two."""
    if flops is None and device_hours is None:
        raise typer.BadParameter("expected a budget: --flops, or --device-hours with a device.", param_hint="--flops")
    if flops is not None and device_hours is not None:
        raise typer.BadParameter("expected one budget, found --device-hours beside it.", param_hint="--flops")


def describe_device(
    profile: "Profile | None",
    device_hours: float | None,
    peak: float | None,
    utilization: float | None,
    devices: float | None,
    price: float | None,
) -> "Device | None":
    """The device that the options describe; None where they name none."""
    if profile is None and peak is None:
        for option, value in (
            ("--device-hours", device_hours),
            ("--utilization", utilization),
            ("--devices", devices),
            ("--price", price),
        ):
            if value is not None:
                raise typer.BadParameter(
                    "expected a device: a hardware profile as --cost, such as h100, or --peak and --utilization.",
                    param_hint=option,
                )
        return None
    from sparseplan.plan.device_hours import Device

    return Device(
        name=profile.name if profile is not None else "the device",
        profile=profile,
        peak_flops=peak,
        utilization=utilization,
        devices=devices,
        price_per_hour=price,
    )
