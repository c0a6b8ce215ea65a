"""What a fit cannot vouch for, each with its code and this fit's numbers; some of it travels in the law's file."""

import numpy as np

from sparseplan.common.caveat import TRAVELS, Caveat
from sparseplan.common.intervals import Bounds, bounds
from sparseplan.common.units import format_percent, format_sparsity
from sparseplan.fit.bootstrap import FEWEST_GROUPS, Bootstrap
from sparseplan.fit.compare import Dependence, Rival
from sparseplan.fit.fitting import Fit, single_sparsities
from sparseplan.fit.influence import Outlier, typical_error
from sparseplan.fit.levels import has_one_ratio
from sparseplan.fit.read_back import slips
from sparseplan.fit.status import counted_before_pruning
from sparseplan.fit.trends import trends
from sparseplan.laws.forms.base import dense_numerator
from sparseplan.laws.law import coefficients, poor_fit
from sparseplan.runs.row_values import LeftOut
from sparseplan.sparsity.schedule import Schedule

_WIDE = 3.0
SIGNIFICANT = 0.05
"""A p-value below it is said to be one."""
_SHOWN_ROWS = 3
_GROSS = 0.03
"""Half of the runs missed by more: published laws miss half of theirs by 0.3 to 0.6 %."""


def fit_caveats(
    fit: Fit,
    drawn: Bootstrap | None,
    intervals: dict[str, Bounds] | None,
    dependence: list[Dependence],
    rival: Rival | None,
    outliers: list[Outlier],
) -> list[Caveat]:
    """Everything, the gravest first."""
    found: list[Caveat] = []

    def warn(code: str, message: str) -> None:
        found.append(Caveat(code=code, message=message))

    certificate, runs = fit.certificate, fit.runs
    if certificate.status != "converged" or certificate.starts_at_optimum < 2:
        warn("status", f"{certificate.status}: {certificate.explanation}")
    found += slips(runs)
    found += _of_the_runs(fit)
    if outliers:
        warn("outliers", _outliers(fit, outliers))
    if runs.left_out:
        warn("left-out", _left_out(runs.left_out))
    for remark in runs.remarks:
        warn("group-unused", remark)
    if certificate.bounds_hit:
        warn("bound", f"at the edge of what the law allows: {', '.join(certificate.bounds_hit)}.")
    if len(fit.free) < len(runs) < 3 * len(fit.free):
        warn(
            "few-runs", f"{len(runs)} runs for {len(fit.free)} coefficients: intervals are rough below three runs each."
        )
    if drawn is not None:
        found += _of_the_groups(fit, drawn)
    if drawn is not None and len(drawn.theta) < drawn.asked:
        warn(
            "draws",
            f"{drawn.asked - len(drawn.theta)} of {drawn.asked} refits found no usable law and were left out.",
        )
    scales = {one.name for one in fit.form.coefficients if one.low is not None}  # a factor says nothing of others
    wide = [
        name
        for name, (low, high) in (intervals or {}).items()
        if name.rpartition(".")[2] in scales and high > _WIDE * low
    ]
    if wide:
        listed = ", ".join(f"{name} {intervals[name][0]:.3g} .. {intervals[name][1]:.3g}" for name in wide if intervals)
        warn("wide", f"these runs don't pin down {listed}: trust plans with their intervals, not these coefficients.")
    for one in dependence:
        if one.p_value < SIGNIFICANT:
            change = f"from {one.at_zero:.3f} at S = 0 to {one.at_highest:.3f} at the highest S"
            warn("dependence", f"{one.exponent} seems to depend on sparsity ({change}, p = {one.p_value:.3f}).")
    if rival is not None and rival.p_law_better < 1 - SIGNIFICANT:
        share = f"{100 * rival.p_law_better:.0f}%"
        warn("rival", f"the average-parameter law may do as well: the sparse law is better in {share} of the draws.")
    found += _base_caveats(fit, drawn)
    return found


def travelling(found: list[Caveat]) -> list[Caveat]:
    """Those that every plan made with the law should know of."""
    return [one for one in found if one.code in TRAVELS]


def schedule_caveats(fit: Fit, assumed: Schedule | None) -> list[Caveat]:
    """That sparse runs were assumed to be pruned by this ramp; None where it is known."""
    if assumed is None or not fit.design.families:
        return []
    message = (
        f"nothing says how the runs were pruned; assumed: {assumed.describe()}. It sets what sparse training costs, "
        "and so the best sparsity; `schedule` says it, as in linear:0..50%."
    )
    return [Caveat(code="schedule-assumed", message=message)]


def _of_the_runs(fit: Fit) -> list[Caveat]:
    """What the runs do that the law does not expect, or leave to its form alone."""
    found: list[Caveat] = []

    def warn(code: str, message: str) -> None:
        found.append(Caveat(code=code, message=message))

    slopes = trends(fit.design, fit.runs.loss)
    rising = [axis for axis in ("N", "D") if axis in slopes and slopes[axis].rises]
    level = [axis for axis in ("N", "D") if axis in slopes and not (slopes[axis].rises or slopes[axis].falls)]
    if rising:
        warn("trend", f"the losses rise with {' and '.join(rising)}: is the loss a loss, and are the columns right?")
    elif counted_before_pruning(slopes):
        warn(
            "dense-counts",
            "at equal N and D the sparser runs have the higher losses: if nonzero_params counts weights before "
            "pruning, read that column as dense_params.",
        )
    if level:
        warn("trend", f"no fall of the losses with {' and '.join(level)} can be seen among these runs.")
    if has_one_ratio(fit.design):
        warn(
            "one-ratio",
            "all runs have the same data per parameter: how to split a budget between size and data rests on the "
            "law's form alone. Train runs off that line.",
        )
    if fit.base is None and fit.design.families and not np.any(fit.runs.sparsity == 0):
        lowest = format_sparsity(float(fit.runs.sparsity.min()))
        warn("no-dense-runs", f"no run is below {lowest} sparsity: the law's dense model is extrapolated.")
    for index in single_sparsities(fit.design) if fit.base is not None and fit.base.tied else ():
        family = fit.design.families[index]
        at = format_sparsity(float(fit.runs.sparsity[(fit.runs.sparsity > 0) & (fit.design.family == index)].mean()))
        message = f"{family} was run at {at} only: what the law says of other sparsities of {family} is assumed."
        warn("one-sparsity", message)
    typical = typical_error(fit)
    if typical > _GROSS:
        warn("misfit", f"the law misses half of its runs by more than {format_percent(typical)}: it does not fit them.")
    return found


def _outliers(fit: Fit, outliers: list[Outlier]) -> str:
    """How many runs lie far off, and the first few of them by row and line."""
    shown = "; ".join(
        f"{one.run}: loss {one.loss:.4g}, the law has {one.predicted:.4g}" for one in outliers[:_SHOWN_ROWS]
    )
    more = f"; and {len(outliers) - _SHOWN_ROWS} more" if len(outliers) > _SHOWN_ROWS else ""
    lie = "runs lie" if len(outliers) > 1 else "run lies"
    return (
        f"{len(outliers)} {lie} far off, where half of the runs are within {format_percent(typical_error(fit))}: "
        f"{shown}{more}. Check these rows for a slip or a run that broke; an empty loss leaves a row out."
    )


def _left_out(rows: tuple[LeftOut, ...]) -> str:
    """How many rows were left out, and the first few of them."""
    shown = "; ".join(f"{row.where}: {row.reason}" for row in rows[:_SHOWN_ROWS])
    more = f"; and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    return f"{len(rows)} row{'s were' if len(rows) > 1 else ' was'} left out: {shown}{more}."


def _of_the_groups(fit: Fit, drawn: Bootstrap) -> list[Caveat]:
    found: list[Caveat] = []
    if few := _few_groups(fit):
        found.append(Caveat(code="few-groups", message=few))
    if shared := _shared_errors(drawn):
        found.append(Caveat(code="shared-errors", message=shared))
    return found


def _few_groups(fit: Fit) -> str:
    """What draws from few independent units can't know; empty where there are enough of them."""
    runs = fit.runs
    if runs.group is None:
        few = f"the draws rest on {runs.groups} independent runs; intervals may be too narrow."
        return few if runs.groups < 2 * len(fit.free) else ""
    by = f" (column {runs.grouped_by})" if runs.grouped_by else ""
    if runs.groups == 1:
        return f"all runs are in one group{by}: an error that they share can't be seen and is not in the intervals."
    if runs.groups < FEWEST_GROUPS:
        return (
            f"the runs share {runs.groups} groups{by}, too few to show well how much groups differ: the intervals "
            "also rest on what is plausible for such an error."
        )
    return ""


def _shared_errors(drawn: Bootstrap) -> str:
    """By what errors turned out to be shared besides the groups that were given; empty where nothing shows it."""
    seen = [one for one in drawn.errors.found if one.used and one.shared_by != drawn.errors.given]
    if not seen:
        return ""
    words = "; ".join(f"of one {one.shared_by} (probability {format_percent(one.probability)})" for one in seen)
    return f"errors seem to be alike among runs {words}: the intervals take them so."


def _base_caveats(fit: Fit, drawn: Bootstrap | None) -> list[Caveat]:
    """Whether f(0) came out at the dense value of a frozen base, as it must if the setups are the same."""
    if fit.base is None:
        return []
    found = []
    if (ended := poor_fit(fit.base.law)) is not None:
        found.append(Caveat(code="base", message=f"the base {fit.base.law.name!r} is no law to rest on: its {ended}"))
    if fit.base.tied:
        return found
    family = fit.design.families[0]
    known = float(dense_numerator(coefficients(fit.base.law)))
    f0 = float(dense_numerator(fit.coefficients(family)))
    if drawn is not None:
        low, high = bounds(dense_numerator(fit.coefficients(family, drawn.theta)))
    else:
        low, high = 0.98 * f0, 1.02 * f0
    if not low <= known <= high:
        words = fit.form.numerator_words
        message = (
            f"{words} came out at {f0:.4g} ({low:.4g} .. {high:.4g}), the base's dense value is "
            f"{known:.4g}: are these runs from the base's setup? `tie_dense` imposes it."
        )
        found.append(Caveat(code="base", message=message))
    if fit.base.law.draws is None:
        message = f"the base {fit.base.law.name!r} carries no draws: the intervals leave its own uncertainty out."
        found.append(Caveat(code="base-draws", message=message))
    return found
