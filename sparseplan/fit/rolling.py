"""Fits without the larger and the longer runs, all of them at once: what a form says of runs that it has not seen.

All cuts of a table are solved in one batch, in the coordinates of the fit to the whole table, in which a run that is
held out weighs nothing: the minimum of the whole is one starting point of each, random ones are the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sparseplan.errors import FitError
from sparseplan.fit.certificate import certify
from sparseplan.fit.derivatives import evaluate
from sparseplan.fit.fitting import Fit, choose, fit_law, on_base, one_point, prior_at
from sparseplan.fit.levels import level_of
from sparseplan.fit.objective import Problem
from sparseplan.fit.solver import Solution, solve
from sparseplan.laws.forms.fitting.coordinates import Array, make_design
from sparseplan.laws.law import coefficients
from sparseplan.runs.table import Runs

STARTS = 8
_DEAREST = (0.5, 0.4, 0.3, 0.2, 0.1)

Mask = NDArray[np.bool_]


def held_out(runs: Runs, cost: Array) -> Iterator[tuple[str, Mask]]:
    """Kind and mask of what to hold out: the dearest runs, the one or two largest dense sizes, the longest runs."""
    for share in _DEAREST:
        yield "dearest", cost > np.quantile(cost, 1.0 - share)
    for kind, axis in (("largest", runs.nonzero_params / (1.0 - runs.sparsity)), ("longest", runs.data_seen)):
        levels = level_of(np.log(axis))
        most = int(levels.max())
        yield from ((kind, levels > most - count) for count in (1, 2) if most - count >= 1)


def fits_without(
    whole: Fit, held: Sequence[Mask], *, seed: int, bare: Sequence[Fit | None] | None = None
) -> list[Fit | None]:
    """Fit the form of a fit to what each mask leaves of its runs.

    Args:
        whole: the fit to all runs.
        held: which runs to leave out, shape (n,) each.
        seed: of the starting points.
        bare: where `whole` has the prior, the same fits without it, if they are known.

    Returns:
        A fit for each mask; None where a pattern family has no run left, or where the best fit makes no sense.
    """
    possible = [mask for mask in held if _families(whole.runs.take(mask)) <= _families(whole.runs.take(~mask))]
    if not possible:
        return [None] * len(held)
    if whole.joint is not None:
        found = [_alone(whole, mask, seed) for mask in possible]
    else:
        known = None if bare is None else [fit for fit, mask in zip(bare, held, strict=True) if _is_in(mask, possible)]
        found = _together(whole, possible, seed, known)
    by_mask = {id(mask): fit for mask, fit in zip(possible, found, strict=True)}
    return [by_mask.get(id(mask)) for mask in held]


def determined(fit: Fit | None) -> bool:
    """Whether there is a fit, and its runs determine every coefficient, the minimum reached or not."""
    return fit is not None and fit.certificate.status in ("converged", "not converged")


def _is_in(mask: Mask, masks: list[Mask]) -> bool:
    return any(mask is one for one in masks)


def _families(runs: Runs) -> set[str]:
    return {name for name, S in zip(runs.family, runs.sparsity, strict=True) if S > 0}


def _alone(whole: Fit, held: Mask, seed: int) -> Fit | None:
    """One of the fits in which repeats count, each of which has an effective size and data of its own."""
    try:
        return fit_law(
            whole.runs.take(~held), form=whole.form.name, objective=whole.objective, starts=STARTS, seed=seed
        )
    except FitError:
        return None


def _together(whole: Fit, held: list[Mask], seed: int, bare: list[Fit | None] | None) -> list[Fit | None]:
    design, rng = whole.design, np.random.default_rng(seed)
    points = whole.fitted.starts(design, whole.runs.loss, STARTS - 1, rng)
    if whole.base is not None:
        points = on_base(points, whole.fitted, design, whole.base, coefficients(whole.base.law))
    points = np.concatenate([whole.theta[None], points])
    problems = [_problem(whole, mask) for mask in held]
    if whole.problem.prior is None:
        return _solved(whole, held, problems, np.tile(points, (len(held), 1)))
    without = bare or _solved(whole, held, problems, np.tile(points, (len(held), 1)))
    problems = [
        replace(one, prior=prior_at(whole.fitted, one, whole.theta if fit is None else fit.theta))
        for one, fit in zip(problems, without, strict=True)
    ]
    own = [points if fit is None else np.concatenate([fit.theta[None], points[:-1]]) for fit in without]
    return _solved(whole, held, problems, np.concatenate(own))


def _problem(whole: Fit, held: Mask) -> Problem:
    """The problem of the runs that are left, about the centre of all."""
    rest = whole.runs.take(~held)
    design = make_design(rest.sparsity, rest.nonzero_params, rest.data_seen, rest.family, like=whole.design)
    return Problem.plain(whole.objective, design, whole.free, rest.loss)


def _solved(whole: Fit, held: list[Mask], problems: list[Problem], starts: Array) -> list[Fit | None]:
    """Solve C problems from as many starts each, (C m, P)."""
    count, each = len(held), len(starts) // len(held)
    kept = ~np.stack(held)
    weights = np.repeat(kept / kept.sum(axis=1, keepdims=True), each, axis=0)
    batch = replace(whole.problem, weights=weights, prior=None)
    priors = [one.prior for one in problems if one.prior is not None]
    if priors:
        batch = replace(
            batch,
            prior=replace(
                priors[0],
                centre=np.repeat([one.centre for one in priors], each, axis=0),
                strength=np.repeat([float(one.strength) for one in priors], each),
            ),
        )
    solution = solve(batch, starts, rivals=np.repeat(np.arange(count), each))
    return [
        _fit(whole, mask, problem, solution.take(slice(index * each, (index + 1) * each)))
        for index, (mask, problem) in enumerate(zip(held, problems, strict=True))
    ]


def _fit(whole: Fit, held: Mask, problem: Problem, solution: Solution) -> Fit | None:
    best = choose(solution)
    theta = solution.theta[best]
    if not whole.fitted.makes_sense(problem.design, theta):
        return None
    unasked = one_point(problem.design, whole.base)
    return Fit(
        runs=whole.runs.take(~held),
        fitted=whole.fitted,
        problem=problem,
        value=float(evaluate(replace(problem, prior=None), theta[None]).value[0]),
        theta=theta,
        certificate=certify(whole.fitted, problem, solution, best, unasked=unasked),
        base=whole.base,
    )
