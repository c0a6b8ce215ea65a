"""The best pattern for a question: every kind of pattern that can be had plans under it, and the lowest wins."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.laws.law import Law, family_used, require_sparse
from sparseplan.plan.objective import Objective, planned
from sparseplan.plan.question import Plans, Question, objective
from sparseplan.plan.sides import Sides, best_allowed
from sparseplan.sparsity.pattern import TWO_OF_FOUR, UNSTRUCTURED, Pattern, parse_pattern

if TYPE_CHECKING:
    from sparseplan.hardware.profile import Profile


class Contender(Struct, frozen=True, kw_only=True):
    """What one kind of pattern makes of a question.

    Attributes:
        pattern: `unstructured`, or a family such as `n:4`, of whose sparsities it takes the best.
        makes: The single pattern that it then is, as `2:4`; `dense` where it wants no zeros.
        coefficients: The set of the law that answers, where another stands in for its own.
        loss_gain: The dense plan's loss less this one, nats; NaN where there is no dense plan.
    """

    pattern: str
    makes: str
    coefficients: str
    sparsity: float
    nonzero_params: float
    dense_params: float
    data_seen: float
    train_flops: float
    loss: float
    loss_gain: float


def contending_patterns(law: Law, profile: "Profile | None") -> list[Pattern]:
    """The kinds of pattern that can be had: those that the law has a set for; on a device unstructured sparsity, which
    every device trains, and the families of which the device runs some faster, where a set of the law speaks for them.

    Raises:
        LawError: if the law knows nothing of sparsity.
    """
    require_sparse(law)
    known = {parse_pattern(family) for family in law.sparsity}
    if profile is not None:
        from sparseplan.hardware.acceleration import WORKS, acceleration  # noqa: PLC0415  only where a device is named

        if UNSTRUCTURED in known:  # whose set takes the place of those that the law lacks
            listed = [parse_pattern(row.pattern).group for row in profile.kernels]
            known |= {Pattern(group=group) for group in (TWO_OF_FOUR.group, *listed)}
        fast = {one for one in known if any(acceleration(profile, one, work) for work in WORKS)}
        known = fast | (known & {UNSTRUCTURED}) or known
    return sorted(known, key=lambda one: one.group or 0)


def best_of(entries: Sequence[tuple[Sides, Question]]) -> tuple[Plans, NDArray[np.intp]]:
    """The best plan of several patterns, and which one makes it: the first of those that are as good.

    Args:
        entries: the coefficients of each pattern, and the question with that pattern and its cost; numbers broadcast.
    """
    plans = [Plans(*np.broadcast_arrays(*best_allowed(sides, asked))) for sides, asked in entries]
    first = _lowest([asked for _, asked in entries], plans)
    return Plans(*(np.choose(first, column) for column in zip(*plans, strict=True))), first


def contest(law: Law, questions: Sequence[Question], wanted: Objective) -> tuple[Question, list[Contender]]:
    """The question with the best pattern, and what each makes of it, the best first; questions of scalars.

    Args:
        law: Which law answers.
        questions: One for each kind of pattern, with its cost.
        wanted: What is made lowest.
    """
    with np.errstate(all="ignore"):  # what overflows loses here, and is refused by name if all do
        found = [planned(law, asked.pattern.family, asked, wanted) for asked in questions]
        values = [float(objective(asked, one.best)) for asked, one in zip(questions, found, strict=True)]
    order = sorted(range(len(questions)), key=values.__getitem__)
    rows = [
        _contender(law, questions[index].pattern, found[index].best, float(found[index].dense.loss)) for index in order
    ]
    return questions[order[0]], rows


def _lowest(questions: Sequence[Question], plans: Sequence[Plans]) -> NDArray[np.intp]:
    values = [objective(asked, plan) for asked, plan in zip(questions, plans, strict=True)]
    return np.asarray(np.argmin(np.stack(np.broadcast_arrays(*values)), axis=0))


def _contender(law: Law, pattern: Pattern, plan: Plans, dense_loss: float) -> Contender:
    S = float(plan.sparsity)
    return Contender(
        pattern=str(pattern),
        makes=_makes(pattern, S),
        coefficients=family_used(law, pattern.family),
        sparsity=S,
        nonzero_params=float(plan.nonzero_params),
        dense_params=float(plan.dense_params),
        data_seen=float(plan.data_seen),
        train_flops=float(plan.train_flops),
        loss=float(plan.loss),
        loss_gain=dense_loss - float(plan.loss),
    )


def _makes(pattern: Pattern, S: float) -> str:
    """A family's pattern of one sparsity.

    >>> _makes(Pattern(group=4), 0.5), _makes(Pattern(group=8), 0.0), _makes(UNSTRUCTURED, 0.3)
    ('2:4', 'dense', 'unstructured')
    """
    if S == 0.0:
        return "dense"
    return str(pattern if pattern.group is None else replace(pattern, kept=round((1.0 - S) * pattern.group)))
