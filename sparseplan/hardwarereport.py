"""What people read about hardware: hours and money under a plan, and whether each kind of pattern pays."""

from rich.console import Console

from sparseplan.console import open_table, say
from sparseplan.plan.onhardware import DeviceUse, FamilyVerdict
from sparseplan.units import format_count, format_percent, format_sparsity

_FAMILIES = {"unstructured": "unstructured", "2:4": "2:4", "n:m": "other n:m"}


def print_device(console: Console, use: DeviceUse, *, sparse: bool) -> None:
    """Print the budget in hours, wall-clock time and money, and what a sparse plan saves."""
    line = f"Budget: {format_count(use.device_hours)} device hours on {use.name}"
    if use.wall_clock_hours is not None and use.devices is not None:
        line += f", {format_hours(use.wall_clock_hours)} on {use.devices:g} of them"
    if use.price is not None:
        line += f", {format_money(use.price)} in money"
    rate = f"{format_count(use.flops_per_second)} FLOP/s each"
    if use.utilization is not None:
        rate += f", {format_percent(use.utilization)} of the peak ({use.utilization_source})"
    say(console, f"{line}; {rate}.")
    if sparse and use.dense_device_hours_for_equal_loss is not None:
        equal = (
            f"The plan's loss costs a dense model {format_count(use.dense_device_hours_for_equal_loss)} device hours"
        )
        if use.dense_price_for_equal_loss is not None:
            equal += f", {format_money(use.dense_price_for_equal_loss)}"
        say(console, f"{equal}.")


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


def print_verdict(console: Console, device: str, verdict: list[FamilyVerdict]) -> None:
    """Print whether each kind of pattern pays on a device, what would make it pay, and the memory of the weights."""
    say(console, f"Does sparsity pay on {device}, under the same givens?")
    draws = any(each.p_pays is not None for each in verdict)
    columns = ["", "pays", *(["in draws"] if draws else []), "pattern", "S", "loss gain", "training", "break-even"]
    table = open_table(console, *columns, "few tokens", "many tokens")
    for each in verdict:
        dense = each.sparsity == 0
        table.add_row(
            _FAMILIES[each.family],
            "yes" if each.pays else "no",
            *([format_percent(each.p_pays)] if each.p_pays is not None else []),
            "dense" if dense else each.pattern,
            format_sparsity(each.sparsity),
            f"{each.loss_gain:+.4f}" if each.loss_gain else "0",
            _training(each),
            _break_even(each),
            _times(each.inference_speedup_small),
            _times(each.inference_speedup_large),
        )
    console.print(table)
    say(
        console, "Speed-ups over dense weights: in training after the ramp, the one at which the pattern begins to pay,"
    )
    say(console, "and at inference on few and on many tokens at once; 1x where nothing accelerates the pattern.")
    for each in verdict:
        if each.memory.inference_compressed is not None and each.memory.training_compressed is not None:
            before, after = format_bytes(each.memory.training_dense), format_bytes(each.memory.training_compressed)
            small = format_bytes(each.memory.inference_compressed)
            say(
                console,
                f"Weights of the {each.pattern} model: training {before} dense, {after} with the compressed copy; "
                f"inference {format_bytes(each.memory.inference_dense)} dense, {small} compressed.",
            )


def _training(each: FamilyVerdict) -> str:
    speed = each.training_speedup
    if speed is None:
        return "1x"
    if speed.low == speed.high:
        return _times(speed.median)
    return f"{speed.median:.2f}x ({speed.low:.2f} .. {speed.high:.2f})"


def _break_even(each: FamilyVerdict) -> str:
    if each.family == "unstructured":
        return "-"
    return "no speed" if each.break_even_speedup is None else _times(each.break_even_speedup)


def _times(speed: float | None) -> str:
    """Write a speed-up.

    >>> _times(None), _times(1.2), _times(0.004)
    ('1x', '1.20x', '0.004x')
    """
    if speed is None:
        return "1x"
    return f"{speed:.2f}x" if 0.1 <= speed < 1000 else f"{speed:.1g}x"


def format_bytes(count: float) -> str:
    """Write bytes in decimal units.

    >>> format_bytes(1.5e10), format_bytes(42e6)
    ('15.0 GB', '42.0 MB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e6:.1f} MB"
