"""What a calibration would do, before it is done: its runs, FLOPs and time, and what its grid could tell of a law."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from sparseplan.calibration.fit_runs import open_families
from sparseplan.calibration.noise import ASSUMED, Noise, origins
from sparseplan.calibration.recipe import Fitting
from sparseplan.calibration.setup import Setup, kind_of
from sparseplan.calibration.strategies import describe_named, name_of
from sparseplan.calibration.verify_forecast import VerifyForecast
from sparseplan.common.intervals import LEVEL, Bounds, bounds
from sparseplan.errors import NoTorchError
from sparseplan.fit.bootstrap import refit
from sparseplan.fit.choose_form import AUTO, AVERAGE
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import PENALTIES
from sparseplan.laws.file import load_law
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import schedule_budget
from sparseplan.laws.forms.chinchilla import dense_through
from sparseplan.laws.law import coefficients
from sparseplan.runs.facts import RunFacts
from sparseplan.runs.spec import RunSpec
from sparseplan.runs.strategies import Strategy
from sparseplan.runs.table import Runs, set_name
from sparseplan.sparsity.pattern import UNSTRUCTURED
from sparseplan.sweep.estimate import expected_seconds
from sparseplan.sweep.executors import Executor

_DRAWS = 200
_SHARE, _EXPONENT = 0.3, 0.25
_TYPICAL_LAW = "frantar2023-t5-c4"


class GridForecast(Struct, frozen=True, kw_only=True):
    """What runs on this grid could tell, if their losses strayed from a law of a typical shape as earlier ones did.

    Attributes:
        status, explanation: Whether they would determine every coefficient.
        intervals: What fits to such runs would span, of each exponent of the dense base and of `free_size_sparsity`;
            empty where they don't determine every coefficient.
        noise: How far the losses stray; an assumption, not measured on this data.
        origins: Dense sizes times seeds: how often the part that they share is drawn.
        assumed: The values behind them.
    """

    status: str
    explanation: str
    level: float
    noise: Noise
    origins: int
    assumed: dict[str, float]
    intervals: dict[str, Bounds]


class DryRun(Struct, frozen=True, kw_only=True):
    """The answer of `calibrate --dry-run`, key for key its JSON.

    Attributes:
        device, workers: Of the workers; None where there is no torch to ask.
        expected_seconds, tokens_per_second: By a short probe; None where there is none.
        unknown_because: Why the time is unknown; None where it is known.
        verify: What would put the law to the test; None where nothing does.
    """

    recipe: str
    data: str
    executor: str
    pruning: str
    device: str | None
    workers: int | None
    runs: list[RunFacts]
    train_flops: float
    train_flops_with_trunks: float
    saved_by_trunks: float
    expected_seconds: float | None
    tokens_per_second: dict[str, float] | None
    unknown_because: str | None
    law: GridForecast
    verify: VerifyForecast | None = None
    format: Literal["sparseplan-calibration-plan/1"] = "sparseplan-calibration-plan/1"

    def with_test(self, verify: VerifyForecast) -> "DryRun":
        """The same with what would put the law to the test."""
        return msgspec.structs.replace(self, verify=verify)


def dry_run(setup: Setup, executor: Executor) -> DryRun:
    """Work out what a calibration would take and tell; the time only where the executor can measure a speed.

    Without torch nothing can be trained here, so devices and time stay unknown; all else is the same.

    Raises:
        SweepError: if the devices that are asked for aren't there, or a probe fails.
    """
    seconds = rates = device = workers = unknown = None
    try:
        places, speed = executor.placements(), executor.measure_speed(setup.runs)
    except NoTorchError as problem:
        unknown = str(problem)
    else:
        device, workers = places[0].device, len(places)
        if speed.known:
            seconds = expected_seconds(setup.plan.segments, speed, workers=workers)
            rates = {_size(run): speed.tokens_per_second[run.shape] for run in setup.runs}
        else:
            unknown = "the workers' devices can't be probed from here."
    recipe = setup.loaded.recipe
    # runs on cuts say how repeats count, and stand where others do
    whole = [run for run in setup.runs if run.data.train == setup.data.train]
    return DryRun(
        recipe=recipe.name,
        data=setup.data_description,
        executor=kind_of(recipe.executor),
        pruning="; ".join(describe_named(*one) for one in recipe.pruned_by.items()),
        device=device,
        workers=workers,
        runs=[_facts(run, recipe.strategies) for run in setup.runs],
        train_flops=setup.plan.unshared_flops,
        train_flops_with_trunks=setup.plan.shared_flops,
        saved_by_trunks=setup.plan.saved,
        expected_seconds=seconds,
        tokens_per_second=rates,
        unknown_because=unknown,
        law=identifiability(whole or setup.runs, recipe.fit, strategies=recipe.strategies),
    )


def _facts(run: RunSpec, strategies: Mapping[str, Strategy]) -> RunFacts:
    """A run's facts, its strategy by the name that a recipe with several gives it."""
    named = {"strategy": name_of(strategies, run.pruning)} if strategies else {}
    return msgspec.structs.replace(run.facts(), **named)


def identifiability(
    runs: Sequence[RunSpec],
    fitting: Fitting,
    noise: Noise = ASSUMED,
    strategies: Mapping[str, Strategy] = MappingProxyType({}),
) -> GridForecast:
    """What the grid could tell of a law: fits, as the recipe asks for them, to losses of a typical law with noise.

    Several strategies have a set of coefficients each, here of one and the same law.
    """
    objective = Objective(residual=fitting.residual, penalty=PENALTIES[fitting.loss].with_delta(fitting.huber_delta))
    # Forms are told apart by losses, and there are none yet.
    form = None if fitting.form in (AUTO, AVERAGE) else fitting.form
    S = np.array([run.pruning.sparsity for run in runs])
    N = np.array([float(run.nonzero_params) for run in runs])
    D = np.array([float(run.data_seen) for run in runs])
    assumed = _typical(N, D, runs[0].shape.loss_of_a_guess)
    table = Runs(
        sparsity=S,
        nonzero_params=N,
        data_seen=D,
        loss=assumed.loss(S, N, D),
        family=tuple(
            set_name(name_of(strategies, run.pruning) if strategies else None, run.pruning.parsed.family)
            for run in runs
        ),
        run_id=tuple(run.run_id for run in runs),
    )
    fit = fit_law(table, form=form, objective=objective, starts=32)
    aside = open_families(fit)
    kept = np.array([S == 0 or family not in aside for S, family in zip(table.sparsity, table.family, strict=True)])
    if aside:
        table = table.take(kept)
        fit = fit_law(table, form=form, objective=objective, starts=32)
    budget = schedule_budget(1.0, runs[0].pruning.strategy.schedule)
    intervals: dict[str, Bounds] = {}
    if fit.certificate.identified:
        strays = noise.draw(runs, _DRAWS, np.random.default_rng(0))[:, kept]
        noisy = table.loss * np.exp(strays)
        starts = np.tile(fit.theta, (_DRAWS, 1))
        theta = refit(replace(fit.problem, measured=noisy), starts).theta
        drawn = fit.coefficients(next(iter(fit.design.families), None), theta)
        intervals = {one.name: bounds(np.asarray(drawn.as_dict()[one.name])) for one in fit.form.exponents}
        if (best := drawn.free_size_sparsity(budget)) is not None:
            intervals["free_size_sparsity"] = bounds(best)
    true = {one.name: _EXPONENT for one in fit.form.exponents}
    if (best := assumed.free_size_sparsity(budget)) is not None:
        true["free_size_sparsity"] = float(best)
    return GridForecast(
        status=fit.certificate.status if not fit.certificate.identified else "identified",
        explanation=_explanation(fit, aside),
        level=LEVEL,
        noise=noise,
        origins=origins(runs),
        assumed=true,
        intervals=intervals,
    )


def _explanation(fit: Fit, aside: set[str]) -> str:
    if not fit.certificate.identified:
        return fit.certificate.explanation
    if not aside:
        return "the grid determines every coefficient."
    return (
        f"the grid determines every coefficient, but gives {', '.join(sorted(aside))} too few sparsities for a set of "
        "its own: these runs will be left aside and compared with the unstructured ones."
    )


def _typical(
    N: "np.ndarray[tuple[int], np.dtype[np.float64]]", D: "np.ndarray[tuple[int], np.dtype[np.float64]]", uniform: float
) -> Theta:
    """A law whose capacity and data terms are each 30 % of the loss at the centre of the grid, exponents 0.25.

    f(S) has the shape of the paper's T5 law.
    """
    t5 = coefficients(load_law(_TYPICAL_LAW), str(UNSTRUCTURED))
    centre = 0.45 * uniform
    N0, D0 = float(np.exp(np.mean(np.log(N)))), float(np.exp(np.mean(np.log(D))))
    terms = {"size_term": _SHARE * centre, "data_term": _SHARE * centre, "floor": (1.0 - 2.0 * _SHARE) * centre}
    return t5.on_base(dense_through(N0, D0, exponents=(_EXPONENT, _EXPONENT), **terms))


def _size(run: RunSpec) -> str:
    return f"{run.shape.layers}x{run.shape.width}"


def to_json(result: DryRun) -> str:
    """The dry run as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
