"""Pictures of what was measured on a device."""

from pathlib import Path
from typing import TYPE_CHECKING

from sparseplan.errors import HardwareError
from sparseplan.figures import palette
from sparseplan.figures.base import TITLE, WIDTHS, in_style, new_figure, save_figure
from sparseplan.figures.labels import wrapped
from sparseplan.hardware.profile import Batch, Curve, MeasuredProfile, Part, Phase, Profile, speedup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SERIES: tuple[tuple[Phase, Batch, str], ...] = (
    ("forward", "large", "forward pass"),
    ("training", "large", "forward and backward"),
    ("inference", "large", "inference, prefill"),
    ("inference", "small", "inference, decoding"),
)
_PANELS: tuple[tuple[Part, str], ...] = (("linear", "one layer"), ("block", "a whole block"))
_SHIFT = 0.012  # of the width, between series, so that their spreads don't cover each other


def measured_speedups(profile: Profile) -> dict[tuple[Part, str], Curve]:
    """The measured speed-ups by part and label; empty where 2:4 wasn't measured."""
    if not isinstance(profile, MeasuredProfile):
        return {}
    found = {}
    for part, _ in _PANELS:
        for phase, batch, label in _SERIES:
            curve = speedup(profile, phase, batch, part=part)
            if curve is not None:
                found[part, label] = curve
    return found


@in_style
def draw_speedups(profile: Profile, path: Path) -> None:
    """Draw the speed-up of 2:4 over dense against the width, with percentiles 10 and 90.

    Raises:
        HardwareError: if the profile holds no times of 2:4.
    """
    curves = measured_speedups(profile)
    if not curves:
        raise HardwareError(f"{profile.name}: expected times of 2:4 to draw, found none; see `hardware.show`.")
    panels = [(part, title) for part, title in _PANELS if any(key[0] == part for key in curves)]
    figure = new_figure(WIDTHS["page"] if len(panels) > 1 else WIDTHS["column"], 2.9)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (part, title) in zip(axes, panels, strict=True):
        _fill(panel, curves, part)
        panel.set_title(title)
        panel.label_outer()
    axes[0].set_ylabel("time of dense over time of 2:4")
    entries = {
        label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=2 * len(panels), frameon=False)
    title = f"Speed-up of 2:4, {profile.hardware.device}, {profile.dtype}"
    title = wrapped(title, figure.get_figwidth() - 0.3, TITLE, most=2, weight="bold")
    figure.suptitle(title, fontsize=TITLE, weight="bold")
    save_figure(figure, path)


def _fill(axes: "Axes", curves: dict[tuple[Part, str], Curve], part: Part) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log", base=2)
    axes.axhline(1.0, color="black", linewidth=0.8)
    widths: set[float] = set()
    for index, (_, _, label) in enumerate(_SERIES):
        curve = curves.get((part, label))
        if curve is None or curve.widths is None:
            continue
        widths |= set(curve.widths.tolist())
        spread = [curve.median - curve.low, curve.high - curve.median]
        axes.errorbar(
            curve.widths * (1 + _SHIFT * index),
            curve.median,
            yerr=spread,
            label=label,
            color=palette.SERIES[index],
            marker=palette.MARKERS[index],
            linestyle=palette.LINES[index],
            markersize=3.5,
            linewidth=1.1,
            capsize=2.0,
        )
    ticks = sorted(widths)
    axes.set_xticks(ticks, [f"{width:g}" for width in ticks], rotation=45)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("width of the model")
    axes.grid(visible=True, axis="y", linewidth=0.4, color="0.85")
