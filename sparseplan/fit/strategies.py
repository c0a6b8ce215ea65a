"""Several strategies on one dense base: a fit that has the base in common, and a law for each strategy.

Every strategy, and every pattern family that it was run with, has its own sparsity coefficients, as families have in a
fit of one strategy. The base is that of the dense runs where these determine it, else that of all runs. All come from
one minimum and one set of draws: draw k of one strategy's law and draw k of another's saw the same simulated losses or
weights, and the same draw of the base, so that what all have in common cancels in a difference.

Where the runs leave a strategy's own coefficients open, its losses at the sparsities that were run are known all the
same, and so are the other strategies: it is compared, and its law carries no draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparseplan.errors import FitError
from sparseplan.fit.answer import FitAnswer, diagnose
from sparseplan.fit.bootstrap import Bootstrap, bootstrap
from sparseplan.fit.choose_form import AUTO, AVERAGE
from sparseplan.fit.fit_caveats import travelling
from sparseplan.fit.fitting import DenseBase, Fit, fit_law
from sparseplan.fit.job import FitJob
from sparseplan.fit.law_from_fit import to_law
from sparseplan.fit.made import base_of, make_law, metadata, objective_of
from sparseplan.fit.objective import Problem
from sparseplan.fit.repeats import repeats_data
from sparseplan.fit.run_error import Part, run_error
from sparseplan.laws.forms.fitting import SPARSE
from sparseplan.laws.forms.fitting.coordinates import BASE, kappa_of, make_design
from sparseplan.laws.law import Law
from sparseplan.runs.strategies import schedule_of
from sparseplan.runs.table import Runs, of_strategy, set_name
from sparseplan.sparsity.schedule import Schedule

_OTHERS = "a minimum with vanishing gradient that determines every coefficient; of another strategy some are open."


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StrategyPart:
    """What a fit of several strategies says of one.

    Attributes:
        name: The strategy.
        fit: The fit as of this strategy's runs and the dense ones: the families are those of its patterns.
        drawn: Its draws, row by row those of the other strategies; None where there are none.
        schedule: When it prunes; None where nobody said.
        law: Its law, of that schedule, else the default one.
        open: The families whose own coefficients the runs leave open.
    """

    name: str
    fit: Fit
    drawn: Bootstrap | None
    schedule: Schedule | None
    law: Law
    open: frozenset[str] = frozenset()

    def rows_of(self, family: str) -> NDArray[np.bool_]:
        """Which of the part's runs are sparse ones of a family, shape (n,)."""
        runs = self.fit.runs
        return np.array([S > 0 and one == family for S, one in zip(runs.sparsity, runs.family, strict=True)])

    def sparsities(self, family: str) -> list[float]:
        """The sparsities that a family was run at, ascending."""
        return sorted(set(self.fit.runs.sparsity[self.rows_of(family)].tolist()))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StrategiesFit:
    """A fit of several strategies: all of it, judged, and a part for each in the order of the table.

    Attributes:
        fit: The fit; its families are sets of coefficients, named as by `runs.table.set_name`.
        drawn: Its draws.
        answer: What is said of it.
        parts: The strategies.
    """

    fit: Fit
    drawn: Bootstrap | None
    answer: FitAnswer
    parts: tuple[StrategyPart, ...]


def fit_strategies(runs: Runs, job: FitJob, schedules: Mapping[str, Schedule | None]) -> StrategiesFit:
    """Fit runs of several strategies, which `schedules` has by name: when they prune, None where nobody said.

    Laws are called after the job and their strategy.

    Raises:
        FitError: if the runs are of one strategy or repeat data, or the options contradict them.
    """
    if runs.strategies is None:
        raise FitError(f"{runs.source or 'the runs'}: expected sparse runs of several strategies, found one.")
    if job.form in (AUTO, AVERAGE):
        raise FitError(f"`form` {job.form}: strategies are compared in one form. Name a `form`.")
    if repeats_data(runs).any():
        raise FitError("runs that repeat data (data_seen above unique_data) are fitted one strategy at a time.")
    named = replace(
        runs, family=tuple(set_name(one, family) for one, family in zip(runs.strategies, runs.family, strict=True))
    )
    base = base_of(job) or _dense_base(runs, job)
    fit = _fit(named, job, base)
    opened = open_sets(fit)
    drawn = None
    if job.draws > 0 and opened is not None:
        drawn = bootstrap(fit, job.draws, np.random.default_rng([job.seed, 0]))
        drawn = drawn if len(drawn.theta) >= 2 else None
    prediction = None if drawn is None else run_error([Part(fit=fit, drawn=drawn, weight=1.0)], seed=job.seed)
    naming = replace(metadata(job, runs, base), schedule_assumed=False)
    answer = diagnose(fit, drawn, naming=naming, holdout=None, prediction=prediction, one_schedule=False, seed=job.seed)
    if answer.intervals is not None and opened:
        known = {name: one for name, one in answer.intervals.items() if name.rpartition(".")[0] not in opened}
        answer = msgspec.structs.replace(answer, intervals=known)
    parts = []
    for name, schedule in schedules.items():
        own, own_draws = _part(fit, drawn, runs, name)
        left = frozenset(one for one in own.design.families if set_name(name, one) in (opened or ()))
        if opened and not left:
            own = replace(own, certificate=replace(own.certificate, status="converged", flat=(), explanation=_OTHERS))
        called = replace(naming, name=f"{job.name}-{name}", schedule=schedule or Schedule())
        law = to_law(own, None if left else own_draws, called, travelling(answer.warnings), prediction)
        law = msgspec.structs.replace(law, provenance=law.provenance | {"strategy": name})
        parts.append(StrategyPart(name=name, fit=own, drawn=own_draws, schedule=schedule, law=law, open=left))
    return StrategiesFit(fit=fit, drawn=drawn, answer=answer, parts=tuple(parts))


def open_sets(fit: Fit) -> frozenset[str] | None:
    """The sets of sparsity coefficients that the runs leave open by themselves; None where there is no minimum, or more
    than that is open.
    """
    names = [name for direction in fit.certificate.flat for name in direction]
    sets = frozenset(name.rpartition(".")[0] for name in names)
    if fit.certificate.status == "converged":
        return frozenset()
    return sets if fit.certificate.status == "flat direction" and sets and sets <= {*fit.design.families} else None


def schedules_of(runs: Runs, chosen: str, schedule: Schedule | None) -> dict[str, Schedule | None]:
    """When each strategy of a table prunes: the chosen one as given, else each as its name implies.

    None where the name leaves it to settings.
    """
    assert runs.strategies is not None
    names = dict.fromkeys(one for one, S in zip(runs.strategies, runs.sparsity, strict=True) if S > 0)
    return {name: schedule if name == chosen and schedule is not None else _implied(name) for name in names}


def _implied(name: str) -> Schedule | None:
    try:
        return schedule_of(name)
    except ValueError:  # it cuts at a moment that the table does not tell
        return None


def _dense_base(runs: Runs, job: FitJob) -> DenseBase | None:
    """The dense base of the dense runs alone, so that no strategy's misfit bends it; None where they are too few."""
    dense = runs.take(runs.sparsity == 0)
    if len(dense) == 0:
        return None
    made = make_law(dense, replace(job, name=f"{job.name}-dense", form=job.form or next(iter(SPARSE))))
    return DenseBase(law=made.law([]), tied=True) if made.fit.certificate.status == "converged" else None


def _fit(runs: Runs, job: FitJob, base: DenseBase | None) -> Fit:
    """The fit of all sets of coefficients, from where each of them ends with the dense runs alone."""

    def fit(some: Runs, alone: dict[str, Fit]) -> Fit:
        return fit_law(
            some,
            form=job.form,
            objective=objective_of(job),
            base=base,
            prior=bool(job.prior),
            starts=job.starts,
            seed=job.seed,
            alone=alone,
        )

    dense = runs.sparsity == 0
    names = np.array(runs.family)
    return fit(runs, {name: fit(runs.take(dense | (names == name)), {}) for name in set(names[~dense].tolist())})


def _part(fit: Fit, drawn: Bootstrap | None, runs: Runs, strategy: str) -> tuple[Fit, Bootstrap | None]:
    """The fit and its draws as of one strategy's runs and the dense ones."""
    rows = of_strategy(runs, strategy)
    own = runs.take(rows)
    families = tuple(dict.fromkeys(name for name, S in zip(own.family, own.sparsity, strict=True) if S > 0))
    sets = [fit.design.families.index(set_name(strategy, family)) for family in families]
    columns = np.array([*range(len(BASE)), *(kappa_of(index) + k for index in sets for k in (0, 1))], dtype=np.intp)
    place = make_design(
        own.sparsity, own.nonzero_params, own.data_seen, own.family, like=replace(fit.design, families=families)
    )
    free = tuple(position for position, parameter in enumerate(columns.tolist()) if parameter in fit.free)
    part = replace(
        fit,
        runs=own,
        problem=Problem.plain(fit.objective, place, free, own.loss),
        theta=fit.theta[columns],
        value=float(np.mean(fit.objective.penalty.value(fit.residuals[rows]))),
    )
    return part, None if drawn is None else replace(drawn, theta=drawn.theta[:, columns])
