"""The table of a fit of several strategies: their coefficients, size multipliers and losses, and which of them differ.

The size multiplier m(S) = (f(0) / f(S))^(1 / b_N), where the form has these, says by how much larger a dense model does
as well as a sparse one of the same non-zero size and data. Strategies train at different costs, c_mul; so each one's
loss at equal training FLOPs is given as well, at one non-zero size: what it saves buys data.

Differences are of the logarithms, draw by draw, so that what strategies have in common cancels. A family of many
comparisons finds differences by chance alone; a difference counts as real where its simultaneous interval excludes 0.
All simultaneous intervals are the single ones, each side stretched by the one factor with which all of them hold
together in as many draws as a single one does by itself.

Source: Westfall & Young 1993, Resampling-Based Multiple Testing (the single-step maximum).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import msgspec
import numpy as np

from sparseplan.common.intervals import LEVEL, bounds, quantiles
from sparseplan.cost.flops import flops_cost
from sparseplan.errors import FitError, nearest
from sparseplan.fit.choose_form import AUTO
from sparseplan.fit.fit_caveats import schedule_caveats
from sparseplan.fit.fit_table import FitJob, FitResult, fit_runs
from sparseplan.fit.strategies import StrategiesFit, StrategyPart, fit_strategies, schedules_of
from sparseplan.fit.strategy_answer import AtSparsity, Difference, Kind, SetRow, StrategyTable, Valued
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.runs.table import Runs, set_name

SPARSITIES = (0.5, 0.75, 0.875)
"""Where strategies are compared, as far as runs of them reach."""
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Point:
    """One set of coefficients at one sparsity, and what a budget of training FLOPs buys there."""

    name: str
    sparsity: float
    theta: Theta
    drawn: Theta | None
    nonzero_params: float
    bought: float | None
    bought_dense: float

    def multiplier(self, theta: Theta) -> Array:
        return theta.size_multiplier(self.sparsity, self.nonzero_params)

    def loss(self, theta: Theta) -> Array:
        assert self.bought is not None, "asked only where the cost is known"
        return theta.loss(self.sparsity, self.nonzero_params, self.bought)

    def above_dense(self, theta: Theta) -> Array:
        return self.loss(theta) - theta.loss(0.0, self.nonzero_params, self.bought_dense)

    def valued(self, asked: Callable[[Theta], Array]) -> Valued:
        drawn = None if self.drawn is None else bounds(np.asarray(asked(self.drawn)))
        return Valued(value=float(asked(self.theta)), interval=drawn)

    def row(self) -> AtSparsity:
        return AtSparsity(
            sparsity=self.sparsity,
            multiplier=self.valued(self.multiplier),
            cost=None if self.bought is None else self.bought_dense / self.bought,
            loss=None if self.bought is None else self.valued(self.loss),
            above_dense=None if self.bought is None else self.valued(self.above_dense),
        )


_ASKED: dict[Kind, Callable[[_Point, Theta], Array]] = {"multiplier": _Point.multiplier, "loss": _Point.loss}


def strategy_table(found: StrategiesFit) -> StrategyTable:
    """Compare the strategies of a fit; by costs as well, where it is known when they prune.

    Losses at equal training FLOPs are those of a dense training of the geometric means of the runs' non-zero sizes and
    lengths.
    """
    runs, first = found.fit.runs, found.parts[0]
    N, D = (float(np.exp(np.mean(np.log(axis)))) for axis in (runs.nonzero_params, runs.data_seen))
    C = float(flops_cost("sparse", first.law.schedule, tokens_per_unit=first.law.tokens_per_unit).flops_for(D, 0.0, N))
    rows: list[SetRow] = []
    points: list[_Point] = []
    for part in found.parts:
        for family in part.fit.design.families:
            some = list(_points(part, family, N, D, C))
            rows.append(_row(part, family, some))
            points += some
    differences: list[Difference] = []
    stretch: dict[str, float] = {}
    for kind in _ASKED:
        pairs, factor = _differences(kind, points)
        differences += pairs
        if factor is not None:
            stretch[kind] = factor
    return StrategyTable(
        form=found.fit.form.name,
        status=found.fit.certificate.status,
        level=LEVEL,
        base=_coefficients(*_thetas(first, first.fit.design.families[0]), per_family=False),
        nonzero_params=N,
        train_flops=C,
        data_unit=first.law.data_unit,
        sets=rows,
        differences=differences,
        stretch=stretch or None,
    )


def fit_one_of(runs: Runs, job: FitJob, strategy: str) -> FitResult:
    """Fit runs of several strategies, and take the law of one, under the job's name; what is said is of all.

    Forms are not told apart here: what a job leaves to choose, as `fit` does by default, is the plain law.

    Raises:
        FitError: if the table has no sparse runs of the strategy, or as `fit_strategies`.
    """
    known = [] if runs.strategies is None else list(schedules_of(runs, strategy, None))
    if runs.strategies is None and runs.strategy == strategy:
        return fit_runs(runs, job)
    if strategy not in known:
        found = ", ".join(known) or runs.strategy or "none"
        raise FitError(f"`strategy` {strategy}: expected one of the table's, {found}{nearest(strategy, known)}.")
    job = replace(job, form=None if job.form == AUTO else job.form)
    found_all = fit_strategies(runs, job, schedules_of(runs, strategy, job.schedule))
    part = next(one for one in found_all.parts if one.name == strategy)
    answer = msgspec.structs.replace(found_all.answer, strategies=strategy_table(found_all))
    if part.schedule is None:
        answer.warnings.extend(schedule_caveats(part.fit, part.law.schedule))
    law = msgspec.structs.replace(part.law, name=job.name)
    return FitResult(fit=part.fit, drawn=part.drawn, law=law, answer=answer)


def _thetas(part: StrategyPart, family: str) -> tuple[Theta, Theta | None]:
    """A set's coefficients, and their draws."""
    drawn = None if part.drawn is None else part.fit.coefficients(family, part.drawn.theta)
    return part.fit.coefficients(family), drawn


def _points(part: StrategyPart, family: str, N: float, D: float, C: float) -> Iterator[_Point]:
    """A set at each sparsity that its runs reach."""
    theta, drawn = _thetas(part, family)
    tokens = part.law.tokens_per_unit
    cost = None if part.schedule is None else flops_cost("sparse", part.schedule, tokens_per_unit=tokens)
    levels = part.sparsities(family)
    for S in SPARSITIES:
        if levels[0] - _ROUNDING <= S <= levels[-1] + _ROUNDING:
            yield _Point(
                name=set_name(part.name, family),
                sparsity=S,
                theta=theta,
                drawn=drawn,
                nonzero_params=N,
                bought=None if cost is None else float(cost.data_for(C, S, N)),
                bought_dense=D,
            )


def _row(part: StrategyPart, family: str, points: list[_Point]) -> SetRow:
    mine = part.rows_of(family)
    theta, drawn = _thetas(part, family)
    error = np.log(part.fit.predicted[mine] / part.fit.runs.loss[mine])
    return SetRow(
        strategy=part.name,
        pattern=family,
        runs=int(mine.sum()),
        sparsities=part.sparsities(family),
        determined=family not in part.open,
        coefficients=_coefficients(theta, None if family in part.open else drawn, per_family=True),
        error=float(np.sqrt(np.mean(error**2))),
        at=[point.row() for point in points],
    )


def _coefficients(theta: Theta, drawn: Theta | None, *, per_family: bool) -> dict[str, Valued]:
    values, draws = theta.as_dict(), {} if drawn is None else drawn.as_dict()
    return {
        one.name: Valued(
            value=float(values[one.name]),
            interval=bounds(np.asarray(draws[one.name])) if one.name in draws else None,
        )
        for one in (theta.form.per_family if per_family else theta.form.base)
    }


def _differences(kind: Kind, points: list[_Point]) -> tuple[list[Difference], float | None]:
    """All pairs of sets at each sparsity, and the factor that makes their intervals simultaneous."""
    asked = _ASKED[kind]
    points = [one for one in points if kind == "multiplier" or one.bought is not None]
    pairs = [(a, b) for a, b in combinations(points, 2) if a.sparsity == b.sparsity]
    drawn = [
        np.log(asked(a, a.drawn) / asked(b, b.drawn)) for a, b in pairs if a.drawn is not None and b.drawn is not None
    ]
    if not drawn:
        return [], None
    values = np.array([float(np.log(asked(a, a.theta) / asked(b, b.theta))) for a, b in pairs])
    draws = np.stack(drawn, axis=1)
    single = [bounds(column) for column in draws.T]
    below = np.maximum(values - np.array([low for low, _ in single]), _ROUNDING)
    above = np.maximum(np.array([high for _, high in single]) - values, _ROUNDING)
    away = np.where(draws < values, (values - draws) / below, (draws - values) / above)
    factor = max(1.0, quantiles(away.max(axis=1), [LEVEL])[0])
    low, high = values - factor * below, values + factor * above
    found = [
        Difference(
            of=kind,
            sparsity=a.sparsity,
            first=a.name,
            second=b.name,
            log_ratio=float(values[index]),
            interval=single[index],
            simultaneous=(float(low[index]), float(high[index])),
            real=not low[index] <= 0.0 <= high[index],
        )
        for index, (a, b) in enumerate(pairs)
    ]
    return found, factor
