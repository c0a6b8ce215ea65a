"""Which runs to train next for a target: those that say most about the decision there for their cost."""

import math
from dataclasses import replace
from itertools import product
from typing import Literal

import numpy as np
from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.common.intervals import LEVEL
from sparseplan.errors import PlanError
from sparseplan.laws.forms.budget import Array
from sparseplan.laws.law import Law, form_of
from sparseplan.plan.answer import Given, Plan, answering_family, given_of, plan_of
from sparseplan.plan.candidates import Candidates, Span, Trainable, grid, spans, trainable
from sparseplan.plan.caveats import law_caveats
from sparseplan.plan.choose_runs import FormError, choose_runs
from sparseplan.plan.decision import Decision, Targets, decide
from sparseplan.plan.form_error import form_errors, places
from sparseplan.plan.intervals import Regret
from sparseplan.plan.law_name import LawName, law_name
from sparseplan.plan.question import Question
from sparseplan.plan.scatter import Scatter, scatter_of
from sparseplan.plan.sides import Planned, Sides, draw_sides, law_sides, plan_sides

DEFAULT_SHARE = 0.01
"""The budget of all runs together where none is given, as a share of the target."""
MOST_RUNS = 24
LEAST_GAIN = 0.002
_MOST_DRAWS = 2000
_ONE_RATIO = 1.25
_FEWEST_FOR_RATIO = 4


class NextRun(Struct, frozen=True, kw_only=True):
    """A run to train.

    Attributes:
        gain: What it is expected to take off the targets' variances when it comes after those above it, as a share of
            what they are now, the mean over the targets.
        predicted: The loss that the law predicts, nats.
        layers: Blocks and `width` of the model, and optimizer updates, `steps`, where a recipe says what is trained.
    """

    pattern: str
    sparsity: float
    nonzero_params: float
    dense_params: float
    data_seen: float
    data_unit: str
    train_flops: float
    gain: float
    predicted: float
    layers: int | None = None
    width: int | None = None
    steps: int | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether the decision is made, as far as the law's draws know.

    Attributes:
        choice: sparse or dense where all draws agree on which reaches the lower loss; None where they don't.
        settled: Whether also the plan loses less than a run's scatter against each draw's optimum, in 95 % of draws.
        scatter: That scatter at the target, nats.
        draws: How many draws were asked.
    """

    choice: Literal["sparse", "dense"] | None
    settled: bool
    scatter: float
    draws: int


class NextRuns(Struct, frozen=True, kw_only=True):
    """Everything `next` says; the JSON of `sparseplan next --json`, key for key.

    Attributes:
        given: The target.
        plan: What the law would do there today.
        against: The sparsity of the sparse side of `loss_gap`.
        budget: What the runs may cost together; `cost_of_runs` what they do.
        candidates: How many runs they were chosen from.
        before: Intervals of the decision's targets today.
        after: Those to be expected once the runs are trained, if they come out as the law predicts.
        p_sparse_better: Share of draws in which the sparse side has the lower loss.
        regret: What the plan loses against each draw's own optimum.
    """

    format: Literal["sparseplan-next/1"] = "sparseplan-next/1"
    law: LawName
    cost: str
    pattern: str
    given: Given
    plan: Plan
    against: float | None
    budget: float
    cost_of_runs: float
    candidates: int
    runs: list[NextRun]
    level: float
    before: Targets
    after: Targets
    p_sparse_better: float | None
    regret: Regret
    decision: Verdict
    scatter: Scatter
    warnings: list[Caveat]


@np.errstate(all="ignore")  # draws that overflow are left out
def next_runs(
    law: Law,
    question: Question,
    *,
    budget: float | None = None,
    params: Span | None = None,
    data: Span | None = None,
    most: int = MOST_RUNS,
    noise: float | None = None,
    known: Array | None = None,
    models: Trainable | None = None,
) -> NextRuns:
    """Choose the runs that say most, for their cost, about the plan at a target.

    Args:
        law: A law with draws.
        question: The target.
        budget: Training FLOPs of all runs together; a hundredth of the target unless given.
        params: Non-zero parameters to choose from; by default around the law's runs.
        data: Data to choose from, likewise.
        most: How many runs at most.
        noise: Relative scatter of a run about the law; by default from the law's fit.
        known: Places of the runs behind the law, shape (m, 3) as of `form_error.places`; by default the corners and the
            middle of what they covered.
        models: What can be trained; any size and length unless given.

    Raises:
        PlanError: if the law has no draws that answer, or the budget pays for no run.
    """
    family = answering_family(law, question.pattern)
    sides, draws = law_sides(law, family), _few(draw_sides(law, family))
    if draws is None:
        raise PlanError(
            f"`law`: {law.name} carries no draws for this question, so nothing says what is uncertain. "
            "Give a law with draws, or the runs behind it as `runs`."
        )
    point = plan_sides(sides, question)
    decision = decide(draws, question, point, plan_sides(draws, question))
    if decision is None:
        raise PlanError(f"`law`: the draws of {law.name} leave the numbers a computer has at this target.")
    target = float(point.best.train_flops)
    allowed = DEFAULT_SHARE * target if budget is None else budget
    cap = min(question.max_sparsity, question.pattern_cap)
    where = law, question.pattern, cap, question.cost, allowed
    ends = spans(law, params, data)
    candidates = grid(*where, *ends) if models is None else trainable(*where, models, *ends)
    scatter = scatter_of(law, noise)
    predicted = _losses(sides, candidates)[0]
    losses = _losses(draws, candidates)[decision.rows]
    choice = choose_runs(
        decision.values,
        losses,
        noise=scatter.of(predicted),
        cost=candidates.train_flops,
        budget=allowed,
        most=most,
        least_gain=LEAST_GAIN,
        form_error=_form_error(law, decision, point, candidates, predicted, scatter, known),
    )
    chosen = candidates.take(choice.index)
    runs = [
        _run(question, law.data_unit, chosen, i, gain, loss)
        for i, (gain, loss) in enumerate(zip(choice.gain.tolist(), predicted[choice.index].tolist(), strict=True))
    ]
    return NextRuns(
        law=law_name(law),
        cost=question.cost.name,
        pattern=str(question.pattern),
        given=given_of(question),
        plan=plan_of(point.best, law, question),
        against=decision.against,
        budget=allowed,
        cost_of_runs=float(chosen.train_flops.sum()),
        candidates=len(candidates),
        runs=runs,
        level=LEVEL,
        before=decision.intervals(),
        after=decision.intervals(choice.remaining),
        p_sparse_better=decision.p_sparse_better,
        regret=decision.regret,
        decision=_verdict(decision, float(scatter.of(np.asarray(float(point.best.loss))))),
        scatter=scatter,
        warnings=[*law_caveats(law, family), *_ratio_caveats(known, chosen)],
    )


def _few(draws: Sides | None) -> Sides | None:
    """At most `_MOST_DRAWS` of the draws, evenly: more don't change a choice."""
    if draws is None:
        return None
    count = next(theta.count for theta in draws if theta.count is not None)
    if count <= _MOST_DRAWS:
        return draws
    rows = np.linspace(0, count - 1, _MOST_DRAWS).astype(np.intp)
    return Sides(*(type(theta)(*(np.broadcast_to(value, count)[rows] for value in theta)) for theta in draws))


def _losses(sides: Sides, runs: Candidates) -> Array:
    """Losses by draw, (K, X), or (1, X) for single values; the law's dense model answers where S is 0."""
    count = max(theta.count or 1 for theta in sides)
    found = np.empty((count, len(runs)))
    for theta, rows in ((sides.dense, runs.sparsity == 0), (sides.sparse, runs.sparsity > 0)):
        if np.any(rows):
            some = runs.take(rows)
            found[:, rows] = theta.expanded().loss(some.sparsity, some.nonzero_params, some.data_seen)
    return found


def _form_error(
    law: Law,
    decision: Decision,
    point: Planned,
    candidates: Candidates,
    predicted: Array,
    scatter: Scatter,
    known: Array | None,
) -> FormError | None:
    """What the draws leave out of the gap and the loss at the target; of a best size or sparsity it isn't known."""
    known = _corners(law) if known is None else known
    if known is None:
        return None
    plans = (point.best, point.dense)
    at = places(*(np.array([float(getattr(plan, key)) for plan in plans]) for key in _PLACE))
    where = np.concatenate([at, places(candidates.sparsity, candidates.nonzero_params, candidates.data_seen)])
    loss = np.concatenate([[float(plan.loss) for plan in plans], predicted])
    relative = scatter.value if scatter.relative else scatter.value / float(np.median(predicted))
    errors = form_errors(where, known, relative) * loss
    of_target = {"loss_gap": errors[:, 0] - errors[:, 1], "loss": errors[:, 0]}
    targets = np.stack([of_target.get(name, np.zeros(len(errors))) for name in decision.names], axis=1)
    return FormError(targets=targets, losses=errors[:, 2:])


_PLACE = ("sparsity", "nonzero_params", "data_seen")


def _corners(law: Law) -> Array | None:
    """Corners and middle of what the law's runs covered, as places; None where it doesn't say."""
    covered = law.range
    if covered.nonzero_params is None or covered.data_seen is None:
        return None
    sparsity = covered.sparsity if covered.sparsity is not None and form_of(law).knows_sparsity else (0.0, 0.0)
    ends = [
        places(np.array([S]), np.array([N]), np.array([D]))[0]
        for S, N, D in zip(sparsity, covered.nonzero_params, covered.data_seen, strict=True)
    ]
    low, high = ends
    axes = [(a, 0.5 * (a + b), b) for a, b in zip(low, high, strict=True)]
    return np.unique(np.array(list(product(*axes))), axis=0)


def _verdict(decision: Decision, scatter: float) -> Verdict:
    share = decision.p_sparse_better
    choice: Literal["sparse", "dense"] | None = None
    if share is not None and share in (0.0, 1.0):
        choice = "sparse" if share else "dense"
    settled = decision.regret.p95 < scatter and (choice is not None or share is None)
    return Verdict(choice=choice, settled=settled, scatter=scatter, draws=len(decision.values))


def _run(question: Question, unit: str, chosen: Candidates, i: int, gain: float, predicted: float) -> NextRun:
    S, N = float(chosen.sparsity[i]), float(chosen.nonzero_params[i])
    pattern = question.pattern
    if S == 0.0 or pattern.group is None:
        name = "unstructured"
    else:
        name = str(replace(pattern, kept=round((1.0 - S) * pattern.group)))
    return NextRun(
        pattern=name,
        sparsity=S,
        nonzero_params=N,
        dense_params=N / (1.0 - S),
        data_seen=float(chosen.data_seen[i]),
        data_unit=unit,
        train_flops=float(chosen.train_flops[i]),
        gain=gain,
        predicted=predicted,
    )


def _ratio_caveats(known: Array | None, chosen: Candidates) -> list[Caveat]:
    """Whether all runs have about one ratio of data to parameters, which leaves size and data hard to tell apart."""
    ratios = np.log(chosen.data_seen) - np.log(chosen.nonzero_params)
    if known is not None:
        present = known[:, 1] - known[:, 0]
        if len(present) >= _FEWEST_FOR_RATIO and np.ptp(present) < math.log(_ONE_RATIO):
            ratio = math.exp(float(np.median(present)))
            message = (
                f"the runs all have about {ratio:.3g} units of data per parameter: size and data can hardly be told "
                "apart by such a fit (arXiv:2605.08541), and its draws may say too little of what is uncertain"
            )
            return [Caveat(code="one-ratio", message=message)]
        ratios = np.concatenate([ratios, present])
    if len(ratios) >= _FEWEST_FOR_RATIO and np.ptp(ratios) < math.log(_ONE_RATIO):
        message = (
            f"all runs here have about {math.exp(float(np.median(ratios))):.3g} units of data per parameter: size and "
            "data can hardly be told apart by such a fit (arXiv:2605.08541); widen `sizes` or `data`"
        )
        return [Caveat(code="one-ratio", message=message)]
    return []
