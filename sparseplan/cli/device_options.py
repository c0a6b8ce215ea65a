"""Options of devices: hours and money of training, and what inference adds."""

from typing import Annotated

import typer

from sparseplan.cli.options import cost_names, read_positive, reader
from sparseplan.common.units import parse_money, parse_share

DeviceHoursOption = Annotated[
    float | None,
    typer.Option(
        "--device-hours",
        parser=read_positive,
        metavar="H",
        help="Training budget in hours of one device, as in 20k; instead of --flops.",
    ),
]
DaysOption = Annotated[
    float | None,
    typer.Option("--days", parser=read_positive, metavar="T", help="Training budget in days of all --devices."),
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
    typer.Option("--devices", parser=read_positive, metavar="K", help="Devices at once, for time and memory."),
]
PriceOption = Annotated[
    float | None,
    typer.Option("--price", parser=reader(parse_money), metavar="P", help="Price of one device hour, as in $2.50."),
]
InferenceTokensOption = Annotated[
    float | None,
    typer.Option(
        "--inference-tokens",
        parser=read_positive,
        metavar="T",
        help="Tokens to read or write once trained, as in 1T; then --flops is the total of training and inference.",
    ),
]
InferenceOption = Annotated[
    str | None,
    typer.Option(
        "--inference",
        metavar="sparse|dense|PROFILE",
        autocompletion=cost_names,
        help="What zeros cost in inference: nothing, as much as weights, or what a device does. Default: --cost.",
    ),
]
InferenceWeightOption = Annotated[
    float | None,
    typer.Option(
        "--inference-weight",
        parser=read_positive,
        metavar="R",
        help="What a FLOP of inference costs against one of training. Default: 1, or as hours or prices say.",
    ),
]
InferencePriceOption = Annotated[
    float | None,
    typer.Option(
        "--inference-price",
        parser=reader(parse_money),
        metavar="P",
        help="Price of one hour of a device that serves. With --price and --loss the least total is of money.",
    ),
]
InferenceUtilizationOption = Annotated[
    float | None,
    typer.Option(
        "--inference-utilization",
        parser=reader(parse_share),
        metavar="U",
        help="Share of its peak that inference reaches. Default: that of training, or its profile's.",
    ),
]
InferenceBatchOption = Annotated[
    float | None,
    typer.Option(
        "--inference-batch",
        parser=read_positive,
        metavar="B",
        help="Tokens processed at once; up to 64, as in decoding, memory bounds the rate. Default: many (prefill).",
    ),
]
