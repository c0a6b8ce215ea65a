"""The demand for inference at which sparsity begins to pay, or ceases to."""

from dataclasses import replace
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.cost.inference import CountedIn
from sparseplan.laws.forms.budget import Array
from sparseplan.plan.question import Question, objective
from sparseplan.plan.sides import Sides, plan_sides

Pays = Literal["always", "never", "above", "below"]

_POINTS = 25
_ROUNDS = 4
_SPAN = (1e-4, 1e5)
"""Demands that are looked at, against the data that the dense plan sees."""


class Serving(Struct, frozen=True, kw_only=True):
    """What the answer says of inference.

    Attributes:
        tokens: The demand T.
        inference: What zeros cost in inference: sparse, dense, or a hardware profile's name.
        kind: Which speed-ups of the profile count; None where it is none.
        weight: What a FLOP of inference costs against one of training.
        counted_in: What the weighed total is: flops, hours of devices, or money.
        pays: Whether some allowed sparsity beats the best dense model at any demand that the budget pays for
            (`always`), at none (`never`), or from, or up to, `break_even_tokens`, the rest of the question as it is.
        break_even_tokens: That demand; None for always and never.
    """

    tokens: float
    inference: str
    kind: Literal["decoding", "prefill"] | None
    weight: float
    counted_in: CountedIn
    pays: Pays
    break_even_tokens: float | None


def serving(sides: Sides, question: Question, dense_data: float) -> Serving:
    """The demand of a question and the one at which its answer turns; `dense_data` is what the dense plan sees."""
    inference = question.inference
    assert inference is not None
    tokens = np.concatenate([[0.0], dense_data * np.geomspace(*_SPAN, 2 * _POINTS)])
    pays, possible = _pays(sides, question, tokens)
    pays = pays[possible]  # a budget does not pay for every demand
    turns = np.flatnonzero(pays[1:] != pays[:-1])
    side: Pays = "always" if pays[0] else "never"
    found = None
    if len(turns):
        at = int(turns[0])
        low, high = max(float(tokens[at]), 1e-3 * float(tokens[1])), float(tokens[at + 1])
        for _ in range(_ROUNDS):
            finer = np.geomspace(low, high, _POINTS)
            same = _pays(sides, question, finer)[0] == pays[at]
            last = int(np.flatnonzero(same)[-1]) if np.any(same) else 0
            low, high = float(finer[last]), float(finer[min(last + 1, _POINTS - 1)])
        side, found = ("below" if pays[0] else "above"), high
    return Serving(
        tokens=float(inference.tokens),
        inference=inference.name,
        kind=inference.kind,
        weight=inference.weight,
        counted_in=inference.counted_in,
        pays=side,
        break_even_tokens=found,
    )


def _pays(sides: Sides, question: Question, tokens: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether sparsity pays, for each of some demands, and whether any plan meets it at all."""
    assert question.inference is not None
    if (
        question.spending.depends_on_size and tokens.size > 1
    ):  # sizes are searched on a grid, which has no room for them
        alone = [_pays(sides, question, one) for one in tokens.reshape(-1, 1)]
        return np.concatenate([one[0] for one in alone]), np.concatenate([one[1] for one in alone])
    asked = replace(question, inference=replace(question.inference, tokens=tokens))
    planned = plan_sides(sides, asked)
    best, dense = objective(asked, planned.best), objective(asked, planned.dense)
    pays, possible = (planned.best.sparsity > 0.0) & (best < dense), np.isfinite(np.minimum(best, dense))
    return np.broadcast_to(pays, tokens.shape), np.broadcast_to(possible, tokens.shape)
