"""What a law is put to the test by: the plan it recommends, its best dense plan, and rivals that cost the same.

All of them spend one budget, beyond that of every run of the grid, so that the law must say which is best where it
hasn't seen. Rivals lie as far from each other, and from the two plans, as the recipe's shapes and data allow: each next
one is the farthest from those before it, in the logarithms of dense size and density.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from sparseplan.calibration.further_runs import reach
from sparseplan.calibration.recipe import Verifying, shape_of_size
from sparseplan.calibration.setup import Setup
from sparseplan.calibration.starts import FromFile
from sparseplan.common.units import format_count, format_scientific
from sparseplan.cost.flops import flops_cost
from sparseplan.errors import PlanError
from sparseplan.laws.law import Law, main_family
from sparseplan.laws.unique_data import limited
from sparseplan.plan.answer import answer
from sparseplan.plan.candidates import STEP, Span
from sparseplan.plan.caveats import sparsity_cap
from sparseplan.plan.question import Question
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.spec import RunSpec
from sparseplan.shapes.families import Shape
from sparseplan.sparsity.pattern import UNSTRUCTURED, Pattern, parse_pattern

Kind = Literal["plan", "dense", "rival"]
_SPAN = 4.0
"""Rivals have dense sizes within this factor of the plan's."""
_FINE = 1.05
"""Steps of dense size in which the size nearest to a plan's is looked for."""
_ROUNDS = 4
"""Of matching a run's length to the budget: FLOPs are all but proportional to it."""
_ANY_EPOCHS = 1e12


class Contender(NamedTuple):
    """A plan that is trained, as its run of the recipe's first seed."""

    kind: Kind
    run: RunSpec


class Contest(NamedTuple):
    """Plans of one budget.

    Attributes:
        train_flops: The budget.
        most_data: Data that a run may see, by the corpus and `max_epochs`.
        limited: Whether the law would see more, if there were more.
        contenders: The plan; the best dense plan, unless that is the plan; the rivals in the order of choice.
    """

    train_flops: float
    most_data: float
    limited: bool
    contenders: tuple[Contender, ...]


def contest(setup: Setup, law: Law, verifying: Verifying) -> Contest:
    """Choose what to train.

    Raises:
        PlanError: if the law has no plan for the budget, or recipe and data allow for too few runs of it.
    """
    if isinstance(setup.loaded.recipe.start, FromFile):
        raise PlanError(
            "`verify`: expected runs from scratch or from dense runs of their own, found weights from a file: plans of "
            "other sizes have none to start from."
        )
    budget = verifying.times * max(run.train_flops for run in setup.runs)
    unique = _whole_data(setup).unique_data
    most_data = unique * setup.data.max_epochs
    pattern = parse_pattern(main_family(law) or str(UNSTRUCTURED))
    question = Question(
        train_flops=budget,
        cost=flops_cost("sparse", law.schedule, tokens_per_unit=law.tokens_per_unit),
        pattern=pattern,
        max_sparsity=sparsity_cap(law),
        unique_data=None if law.repetition is None else limited(law, unique),
    )
    planned = answer(law, question)
    wants_more = max(planned.plan.data_seen, planned.dense.data_seen) > most_data
    if wants_more:
        planned = answer(law, replace(question, max_data=most_data))
    # To the percent: a law fitted on another machine differs by less, and asks for the same trainings.
    S = planned.plan.sparsity
    best = _pruned(setup, pattern, min(round(S, 2), question.max_sparsity) if pattern == UNSTRUCTURED else S)
    dense = _pruned(setup, pattern, 0.0)
    at = Contestants(setup, budget)
    plan = at.nearest(planned.plan.dense_params, best)
    beside = at.nearest(planned.dense.dense_params, dense)
    around = Span(low=plan.shape.dense_params / _SPAN, high=plan.shape.dense_params * _SPAN)
    levels = sorted({0.0, *(run.pruning.sparsity for run in setup.runs if run.pruning.parsed.family == pattern.family)})
    others = [run for S in levels for run in at.within(around, _pruned(setup, pattern, S))]
    taken = [plan] if beside.run_id == plan.run_id else [plan, beside]
    rivals = _spread(others, taken, verifying.rivals)
    if len(rivals) < verifying.rivals:
        raise PlanError(
            f"{setup.loaded.recipe.name}: expected {verifying.rivals} rivals of {format_scientific(budget)} FLOPs that "
            f"see at most {format_count(most_data)} {setup.data.unit}s, found {len(rivals)}; lower `verify.times` or "
            "`verify.rivals`, bring more data, or raise max_epochs."
        )
    kinds: list[Kind] = ["plan", "dense"]
    own = [Contender(kind, run) for kind, run in zip(kinds, taken, strict=False)]
    return Contest(budget, most_data, wants_more, (*own, *(Contender("rival", run) for run in rivals)))


class Contestants:
    """Runs of one budget that a recipe could train.

    Args:
        setup: The recipe.
        budget: Their training FLOPs, met to half an update.
    """

    def __init__(self, setup: Setup, budget: float) -> None:
        self._setup, self._budget = setup, budget
        self._shortest = min(run.steps for run in setup.runs)
        self._known = {run.run_id for run in setup.runs}

    def nearest(self, dense_params: float, pruning: Pruning) -> RunSpec:
        """The run whose dense size is nearest to a wanted one, among those that the data suffice for.

        Raises:
            PlanError: if there is none.
        """
        around = Span(low=dense_params / _SPAN, high=dense_params * _SPAN)
        runs = list(self._of(around, pruning, step=_FINE))
        if not runs:
            raise PlanError(
                f"{self._setup.loaded.recipe.name}: expected a model of {format_count(around.low)} to "
                f"{format_count(around.high)} dense parameters that spends {format_scientific(self._budget)} FLOPs on "
                f"the recipe's data, found none: bring more data, raise max_epochs, or lower `verify.times`."
            )
        return min(runs, key=lambda run: abs(np.log(run.shape.dense_params / dense_params)))

    def within(self, around: Span, pruning: Pruning) -> Iterator[RunSpec]:
        """Runs of dense sizes in a span, by factors of two: none of the grid, none shorter than all of the grid's."""
        for run in self._of(around, pruning, step=STEP):
            if run.steps >= self._shortest and run.run_id not in self._known:
                yield run

    def _of(self, around: Span, pruning: Pruning, *, step: float) -> Iterator[RunSpec]:
        model, inputs = self._setup.loaded.recipe.model, self._setup.inputs
        for params, size in reach(self._setup, around, step=step).sizes.items():
            if around.low <= params <= around.high:
                run = self._at_budget(shape_of_size(model, size, inputs), pruning)
                if run is not None:
                    yield run

    def _at_budget(self, shape: Shape, pruning: Pruning) -> RunSpec | None:
        """The run of a shape that spends the budget; None where there are too few data for it."""
        data = self._setup.data
        run = msgspec.structs.replace(_whole_data(self._setup), shape=shape, pruning=pruning)
        for _ in range(_ROUNDS):
            steps = max(1, round(run.steps * self._budget / run.train_flops))
            run = msgspec.structs.replace(run, steps=steps)
        return None if run.epochs > data.max_epochs else msgspec.structs.replace(run, data=data)


def _whole_data(setup: Setup) -> RunSpec:
    """A run of the recipe on its whole corpus, of which it may see any number of passes."""
    endless = msgspec.structs.replace(setup.data, max_epochs=_ANY_EPOCHS)
    return msgspec.structs.replace(setup.runs[0], data=endless)


def _pruned(setup: Setup, pattern: Pattern, S: float) -> Pruning:
    """What a recipe prunes to at a sparsity of a family."""
    made = pattern
    if S == 0.0:
        made = UNSTRUCTURED
    elif pattern.group is not None:
        made = Pattern(kept=round(pattern.group * (1.0 - S)), group=pattern.group)
    first, *_ = setup.loaded.recipe.pruned_by.values()  # whose law is the calibration's own
    return Pruning(sparsity=S, pattern=str(made), strategy=first)


def _spread(runs: Sequence[RunSpec], taken: Sequence[RunSpec], count: int) -> list[RunSpec]:
    """Up to `count` of some runs, each the farthest from what was taken before it."""
    chosen: list[RunSpec] = []
    places = _places(runs)
    distance = np.min(np.linalg.norm(places[:, None] - _places(taken), axis=2), axis=1, initial=np.inf)
    while len(chosen) < count and len(runs) and distance.max() > 0.0:
        next_one = int(np.argmax(distance))
        chosen.append(runs[next_one])
        distance = np.minimum(distance, np.linalg.norm(places - places[next_one], axis=1))
    return chosen


def _places(runs: Sequence[RunSpec]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Where runs lie, shape (n, 2)."""
    rows = [(np.log(run.shape.dense_params), np.log1p(-run.pruning.sparsity)) for run in runs]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)
