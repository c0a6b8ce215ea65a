"""What people read about hardware: profiles, hours and money under a plan, and whether each kind of pattern pays."""

from collections.abc import Sequence

from rich.console import Console

from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.units import format_bytes, format_count, format_difference, format_percent, format_sparsity
from sparseplan.hardware.acceleration import runs_2to4
from sparseplan.hardware.doubts import doubts
from sparseplan.hardware.file import ProfileRow
from sparseplan.hardware.profile import (
    Curve,
    DatasheetProfile,
    MeasuredProfile,
    Part,
    Point,
    Profile,
    speedup,
    training_rate,
    training_utilization,
)
from sparseplan.plan.hardware_answer import DeviceUse, FamilyVerdict, InferenceUse
from sparseplan.sparsity.pattern import parse_pattern

_FAMILIES = {"unstructured": "unstructured", "2:4": "2:4", "n:m": "other n:m"}


def print_device(console: Console, use: DeviceUse, *, sparse: bool, what: str = "Budget") -> None:
    """Print the budget (or `what`) in hours, wall-clock time and money, and what a sparse plan saves."""
    line = f"{what}: {format_count(use.device_hours)} device hours on {use.name}"
    served = use.inference
    if use.wall_clock_hours is not None and use.devices is not None:
        line += (
            f", {format_hours(use.wall_clock_hours)} on {use.devices:g} {'device' if use.devices == 1 else 'devices'}"
        )
    if use.price is not None:
        line += f", price {format_money(use.price)}"
    say_wrapped(console, f"{line}; {_rate(use)}.")
    if served is not None:
        line = f"Inference: {format_count(served.device_hours)} device hours on {served.name}"
        line += "" if served.price is None else f", price {format_money(served.price)}"
        batch = "" if served.tokens_at_once is None else f", {format_count(served.tokens_at_once)} tokens at once"
        say_wrapped(console, f"{line}; {_rate(served)}{batch}.")
        both = f"Both: {format_count(served.total_device_hours)} device hours"
        say_wrapped(
            console, both + ("." if served.total_price is None else f", price {format_money(served.total_price)}.")
        )
    total = served or use
    if sparse and total.dense_device_hours_for_equal_loss is not None:
        equal = f"A dense model needs {format_count(total.dense_device_hours_for_equal_loss)} device hours"
        if total.dense_price_for_equal_loss is not None:
            equal += f", price {format_money(total.dense_price_for_equal_loss)},"
        say_wrapped(console, f"{equal} for the plan's loss.")


def _rate(use: DeviceUse | InferenceUse) -> str:
    rate = f"{format_count(use.flops_per_second)} FLOP/s each"
    if use.utilization is None:
        return rate
    return f"{rate}, {format_percent(use.utilization)} of the peak ({use.utilization_source})"


def format_hours(hours: float) -> str:
    """Write wall-clock time in the unit that fits.

    >>> format_hours(0.5), format_hours(30.0), format_hours(400.0)
    ('30 minutes', '30.0 hours', '16.7 days')
    """
    if hours < 1.0:
        return f"{60 * hours:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 72.0 else f"{hours / 24:.1f} days"


def format_money(amount: float) -> str:
    """Write money without a currency, in whole units from a thousand on.

    >>> format_money(12.5), format_money(1234567.8)
    ('12.50', '1,234,568')
    """
    return f"{amount:,.2f}" if amount < 1000 else f"{amount:,.0f}"


def print_verdict(console: Console, device: str, verdict: list[FamilyVerdict], *, plan_loss: float) -> None:
    """Print whether each kind of pattern pays on a device, what would make it pay, and the memory of the weights.

    Args:
        console: Where to.
        device: The name of its profile.
        verdict: One for each kind of pattern.
        plan_loss: Loss of the plan that the answer is about, nats; a row with a lower one is named.
    """
    say(console, f"Does sparsity pay on {device}, under the same givens?")
    draws = any(each.p_pays is not None for each in verdict)
    table = open_table(
        console, "", "pays", *(["in draws"] if draws else []), "pattern", "S", "loss (nats)", "loss gain"
    )
    for each in verdict:
        table.add_row(
            _FAMILIES[each.family],
            "yes" if each.pays else "no",
            *(["" if each.p_pays is None else format_percent(each.p_pays)] if draws else []),
            "dense" if each.sparsity == 0 else each.pattern,
            format_sparsity(each.sparsity),
            f"{each.loss:.4f}",
            "0" if each.loss_gain == 0 else "+" * (each.loss_gain > 0) + format_difference(each.loss_gain),
        )
    print_table(console, table)
    best = min(verdict, key=lambda each: each.loss)
    if round(best.loss, 4) < round(plan_loss, 4):
        say_wrapped(console, _lowest_loss(best))
    say(console)
    _print_speedups(console, verdict)
    for each in verdict:
        if each.memory.inference_compressed is not None and each.memory.training_compressed is not None:
            before, after = format_bytes(each.memory.training_dense), format_bytes(each.memory.training_compressed)
            small = format_bytes(each.memory.inference_compressed)
            say_wrapped(
                console,
                f"Weights of the {each.pattern} model: training {before} dense, {after} with the compressed copy; "
                f"inference {format_bytes(each.memory.inference_dense)} dense, {small} compressed.",
            )


def _lowest_loss(best: FamilyVerdict) -> str:
    """What to ask for the row of the lowest loss, and whether other coefficients stand in for the pattern's own."""
    if best.sparsity == 0:
        return f"Lowest loss here: dense ({best.loss:.4f} nats)."
    own = best.coefficients == parse_pattern(best.pattern).family
    loss = f"{best.loss:.4f} nats" + ("" if own else f", by the {best.coefficients} coefficients")
    return f"Lowest loss here: {best.pattern} ({loss}), with `pattern` {best.pattern}."


def _print_speedups(console: Console, verdict: list[FamilyVerdict]) -> None:
    table = open_table(console, "speed-up over dense", "training", "decoding", "prefill")
    for each in verdict:
        table.add_row(
            _FAMILIES[each.family],
            _training(each),
            _times(each.inference_speedup_small),
            _times(each.inference_speedup_large),
        )
    print_table(console, table)
    say_wrapped(
        console,
        "1x: nothing accelerates the pattern. Training: after the ramp. Decoding: inference on few tokens at once; "
        "prefill: on many.",
    )
    for each in verdict:
        if each.family != "unstructured" and each.sparsity > 0:
            say_wrapped(console, _break_even(each))


def _training(each: FamilyVerdict) -> str:
    speed = each.training_speedup
    if speed is None:
        return "1x"
    if speed.low == speed.high:
        return _times(speed.median)
    return f"{speed.median:.2f}x ({speed.low:.2f} .. {speed.high:.2f})"


def _break_even(each: FamilyVerdict) -> str:
    """How fast training after the ramp has to be for a pattern to pay, beside how fast it is here."""
    needed, speed = each.break_even_speedup, each.training_speedup
    if needed is None:
        return f"{each.pattern} pays at no speed here: its ramp alone costs too much."
    if needed <= 1:
        return f"{each.pattern} pays even at {_times(needed)} dense speed in training."
    here = "nothing here speeds it up" if speed is None else f"here it has {_times(speed.median)}"
    return f"{each.pattern} needs {_times(needed)} dense speed in training to pay; {here}."


def _times(speed: float | None) -> str:
    """Write a speed-up.

    >>> _times(None), _times(1.2), _times(0.004)
    ('1x', '1.20x', '0.004x')
    """
    if speed is None:
        return "1x"
    return f"{speed:.2f}x" if 0.1 <= speed < 1000 else f"{speed:.1g}x"


def print_profile_rows(console: Console, rows: list[ProfileRow]) -> None:
    """Print the profiles that are found by name."""
    table = open_table(console, "name", "kind", "device", "dtype", "peak FLOP/s", text_columns=4)
    for row in rows:
        peak = "" if row.peak_flops is None else format_count(row.peak_flops)
        table.add_row(row.name, row.kind, row.device, row.dtype, peak)
    print_table(console, table)
    for row in rows:
        if row.problem is not None:
            say_wrapped(console, f"! {row.problem}", style="yellow", indent="  ")


def print_profile(console: Console, profile: Profile) -> None:
    """Print a profile: the device, and by width its speed and what 2:4 gains."""
    say(console, f"{profile.name}: {profile.hardware.device}, {profile.dtype}", style="bold")
    if isinstance(profile, DatasheetProfile):
        when = f" Looked up in {profile.date}." if profile.date else ""
        say_wrapped(console, f"Datasheet, nothing measured. {profile.source}.{when}")
        say_wrapped(
            console,
            f"Peak {format_count(profile.peak_flops)} FLOP/s, of which training is assumed to reach "
            f"{format_percent(profile.utilization)}.",
        )
        if not runs_2to4(profile):
            say(console, "It has no units for 2:4.")
    else:
        made = [profile.date, f"driver {profile.driver}" if profile.driver else ""]
        made += [f"{name} {version}" for name, version in profile.versions.items()]
        facts = ", ".join(part for part in made if part)
        say_wrapped(console, f"Measured {facts}." if facts else "Measured; the profile does not say when.")
        if profile.two_to_four.backend is None:
            say_wrapped(
                console,
                f"2:4 cannot be accelerated here: {profile.two_to_four.reason or 'the profile gives no reason'}.",
            )
        else:
            say(console, f"2:4 runs on {profile.two_to_four.backend}.")
    say(console)
    rate, used, gains = training_rate(profile), training_utilization(profile), _columns(profile)
    table = open_table(
        console, "width", "FLOP/s", *(["of peak"] if used is not None else []), *(name for name, _ in gains)
    )
    for width in _measured_widths([rate, *(curve for _, curve in gains)]):
        speed = _cell_value(rate, width)
        cells = ["any" if width is None else f"{width:g}", "" if speed is None else format_count(speed)]
        share = _cell_value(used, width)
        if used is not None:
            cells.append("" if share is None else format_percent(share))
        table.add_row(*cells, *(_speedup_cell(curve, width) for _, curve in gains))
    print_table(console, table, in_parts=True)
    counted = "; of the peak: with those of attention" if used is not None else ""
    say_wrapped(console, f"FLOP/s: training dense blocks, 6 per prunable weight and token{counted}.")
    if gains:
        spread = ", with percentiles 10 and 90 of the repeats" if isinstance(profile, MeasuredProfile) else ""
        say_wrapped(
            console,
            f"The rest: how many times faster 2:4 is than dense{spread}. Decoding: inference on few tokens at once; "
            "prefill: on many.",
        )
    _print_kernels(console, profile)
    for fault in sorted({point.note for point in _points(profile) if point.note}):
        say_wrapped(console, f"! {fault}", style="yellow", indent="  ")
    for doubt in doubts(profile):
        say_wrapped(console, f"! {doubt}", style="yellow", indent="  ")


def _print_kernels(console: Console, profile: Profile) -> None:
    """What software makes of sparsity on the device, beside what its peaks or times of 2:4 say."""
    if not profile.kernels:
        return
    say(console)
    table = open_table(console, "kernels for", "work", "S", "speed-up", "evidence", text_columns=2)
    rows = sorted(profile.kernels, key=lambda row: (row.pattern, row.work, row.at_sparsity))
    for row in rows:
        low, high = row.speedup.ends
        spread = "" if low == high else f" ({low:.2f} .. {high:.2f})"
        speed = f"{row.speedup.median:.2f}x{spread}"
        table.add_row(row.pattern, row.work, format_sparsity(row.at_sparsity), speed, row.evidence)
    print_table(console, table)
    for source in dict.fromkeys(row.source for row in rows):
        say_wrapped(console, f"{source}.")


def _points(profile: Profile) -> list[Point]:
    return profile.points if isinstance(profile, MeasuredProfile) else []


def _measured_widths(curves: Sequence[Curve | None]) -> list[float] | list[None]:
    """Every width of the curves, ascending; one None where they hold at any width."""
    found = {
        float(width) for curve in curves if curve is not None and curve.widths is not None for width in curve.widths
    }
    return sorted(found) or [None]


def _columns(profile: Profile) -> list[tuple[str, Curve]]:
    """What a profile says of 2:4, by what is timed; a datasheet says the same of layers and blocks."""
    layer: Part | None = "linear" if isinstance(profile, MeasuredProfile) else None
    columns = [
        ("layer fwd", speedup(profile, "forward", part=layer)),
        ("layer train", speedup(profile, "training", part=layer)),
        ("block train", speedup(profile, "training", part="block")),
        ("decoding", speedup(profile, "inference", "small", part=layer)),
        ("prefill", speedup(profile, "inference", "large", part=layer)),
    ]
    return [(name, curve) for name, curve in columns if curve is not None]


def _cell_value(curve: Curve | None, width: float | None) -> float | None:
    """A curve at a width that it holds; None elsewhere, since a table shows what was measured."""
    if curve is None:
        return None
    if width is None or curve.widths is None:
        return float(curve.median[0])
    return float(curve.at(width)) if width in curve.widths else None


def _speedup_cell(curve: Curve, width: float | None) -> str:
    median = _cell_value(curve, width)
    if median is None:
        return ""
    if width is None or curve.widths is None:
        return f"{median:.2f}x"
    low, high = curve.spread_at(width).ends
    return f"{median:.2f}x ({low:.2f} .. {high:.2f})"
