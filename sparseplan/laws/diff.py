"""What separates two laws: coefficients, and what they change in predictions over the range that both cover."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.laws.forms.base import Coefficient, Form, Theta
from sparseplan.laws.forms.budget import flops_budget, schedule_budget
from sparseplan.laws.law import Law, coefficients, form_of, members, weights
from sparseplan.laws.multipliers import SHOWN_SPARSITIES
from sparseplan.laws.repetition import NAMES, Repetition

Bounds = tuple[float, float]
_POINTS = 12
_NO_RANGE: dict[str, Bounds] = {"nonzero_params": (1e6, 1e10), "data_seen": (1e9, 1e12)}


class Change(Struct, frozen=True, kw_only=True):
    """One number under both laws; None where a law has no such number."""

    name: str
    first: float | None
    second: float | None


class LawDiff(Struct, frozen=True, kw_only=True):
    """The difference between two laws.

    Attributes:
        coefficients: Of the two laws' form where they share one, else of the sparse form, natural units.
        nonzero_params, data_seen: The region compared; None for data that two units count.
        region: Whether both laws cover it, only either does (they share none), or one doesn't say what it covers.
        loss_difference: Second minus first, nats, over that region: smallest, median, largest; None where the laws
            count different data, whose losses can't be compared.
        sparsity_difference: The same for S_opt at fixed N and C under sparse FLOPs; None for dense-only laws too.
        plans: What follows: size multipliers, best sparsity with the size free.
    """

    first: str
    second: str
    coefficients: list[Change]
    nonzero_params: Bounds
    data_seen: Bounds | None
    region: Literal["both", "either", "unknown"]
    loss_difference: tuple[float, float, float] | None
    sparsity_difference: tuple[float, float, float] | None
    plans: list[Change]


@np.errstate(all="ignore")  # what overflows is shown as infinite
def diff_laws(first: Law, second: Law, *, family: str | None = None) -> LawDiff:
    """Compare two laws over the range they share; a dense-only law is compared where S = 0.

    `family` is a pattern family; without it each law answers from its main one.
    """
    laws = first, second
    thetas = _theta(first, family), _theta(second, family)
    sparse = all(form_of(law).knows_sparsity for law in laws)
    comparable = first.data_unit == second.data_unit
    regions = [_region(first, second, axis) for axis in ("nonzero_params", "data_seen")]
    (sizes, of_sizes), (data, of_data) = regions
    N, D = np.geomspace(*sizes, _POINTS)[:, None, None], np.geomspace(*data, _POINTS)[:, None]
    S = np.asarray([0.0, *SHOWN_SPARSITIES] if sparse else [0.0])
    differences = thetas[1].loss(S, N, D) - thetas[0].loss(S, N, D)
    shared = {of_sizes, of_data}
    middle = float(np.sqrt(sizes[0] * sizes[1]))
    return LawDiff(
        first=first.name,
        second=second.name,
        coefficients=[*_coefficients(laws, thetas), *_rates(laws)],
        nonzero_params=sizes,
        data_seen=data if comparable else None,
        region="unknown" if "unknown" in shared else "either" if "either" in shared else "both",
        loss_difference=_summary(differences) if comparable else None,
        sparsity_difference=_sparsity_difference(first, second, thetas, N, D) if sparse and comparable else None,
        plans=_plans(laws, thetas, middle, float(np.sqrt(data[0] * data[1])) * middle),
    )


def _theta(law: Law, family: str | None) -> Theta:
    return coefficients(law, family if form_of(law).knows_sparsity else None)


def _coefficients(laws: tuple[Law, Law], thetas: tuple[Theta, Theta]) -> list[Change]:
    """The coefficients of the form that both laws share; of two forms, those of a sparse one that both can write.

    Where a law says what the other cannot, a coefficient has no partner.
    """
    forms = [form_of(law) for law in laws]
    if any(law.forms for law in laws):
        return _by_form(laws)
    sparse = [index for index in (0, 1) if forms[index].knows_sparsity] or [0, 1]
    index = next((one for one in sparse if forms[one].takes_base_of(forms[1 - one])), None)
    if index is None:
        return _side_by_side(forms, thetas)
    shown, lender = forms[index], thetas[index]
    written = [theta if form is shown else lender.on_base(theta) for form, theta in zip(forms, thetas, strict=True)]

    def value(index: int, one: Coefficient) -> float | None:
        known = forms[index] is shown or not one.per_family
        return float(getattr(written[index], one.name)) if known else None

    rows = [Change(name=one.name, first=value(0, one), second=value(1, one)) for one in shown.coefficients]
    if not shown.per_family or shown.numerator_words in [one.name for one in shown.coefficients]:
        return rows
    at_zero = [float(theta.reducible(0.0, 1.0, np.inf)) for theta in thetas]
    dense = Change(name=f"f(0) = {shown.numerator_words}", first=at_zero[0], second=at_zero[1])
    count = len(shown.per_family)
    return [*rows[:count], dense, *rows[count:]]


def _by_form(laws: tuple[Law, Law]) -> list[Change]:
    """Weights and coefficients of every form, where one of the laws is averaged over forms: each by its form's name."""
    values: list[dict[str, float]] = []
    for law in laws:
        found: dict[str, float] = {}
        for one, weight in zip(members(law), weights(law), strict=True):
            found[f"{one.form} weight"] = weight
            found |= {f"{one.form} {name}": float(v) for name, v in coefficients(one).as_dict().items()}
        values.append(found)
    names = list(dict.fromkeys(name for found in values for name in found))
    names.sort(key=lambda name: name.split()[0])  # stable: the rows of a form stay together, in its own order
    return [Change(name=name, first=values[0].get(name), second=values[1].get(name)) for name in names]


def _rates(laws: tuple[Law, Law]) -> list[Change]:
    """How repeated data and size count, at S = 0 and, where that changes them, at the sparsities shown."""
    blocks = [law.repetition for law in laws]

    def value(block: Repetition | None, name: str, S: float) -> float | None:
        return None if block is None else float(block.rate(name).at(S))

    rows = []
    for name in NAMES if any(blocks) else ():
        varies = any(block is not None and block.rate(name).varies for block in blocks)
        for S in (0.0, *SHOWN_SPARSITIES) if varies else (0.0,):
            first, second = (value(block, name, S) for block in blocks)
            at = f" at {100 * S:g}%" if varies else ""
            rows.append(Change(name=f"repetition.{name}{at}", first=first, second=second))
    return rows


def _side_by_side(forms: list[Form], thetas: tuple[Theta, Theta]) -> list[Change]:
    """The coefficients of both laws, each in the letters of its own form."""
    values = [{name: float(value) for name, value in theta.as_dict().items()} for theta in thetas]
    names = dict.fromkeys(one.name for form in forms for one in form.coefficients)
    return [Change(name=name, first=values[0].get(name), second=values[1].get(name)) for name in names]


def _region(first: Law, second: Law, axis: str) -> tuple[Bounds, Literal["both", "either", "unknown"]]:
    """What both laws cover on an axis; where that is nothing, what spans both."""
    spans = [span for law in (first, second) if (span := getattr(law.range, axis)) is not None]
    if not spans:
        return _NO_RANGE[axis], "unknown"
    inner = (max(low for low, _ in spans), min(high for _, high in spans))
    if inner[0] <= inner[1]:
        return inner, "both" if len(spans) == 2 else "unknown"
    return (min(low for low, _ in spans), max(high for _, high in spans)), "either"


def _sparsity_difference(
    first: Law, second: Law, thetas: tuple[Theta, Theta], N: NDArray[np.float64], D: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Over the budgets of dense runs in the region; a budget is N D in parameters times units."""
    found = [
        theta.best_sparsity(schedule_budget(N * D, law.schedule), N=N)
        for law, theta in zip((first, second), thetas, strict=True)
    ]
    return _summary(found[1] - found[0])


def _plans(laws: tuple[Law, Law], thetas: tuple[Theta, Theta], size: float, tokens: float) -> list[Change]:
    """What follows from two laws, at a size and a token budget in the middle of the region where it depends on them."""

    def row(name: str, value: Callable[[Law, Theta], float]) -> Change:
        both = [
            value(law, theta) if form_of(law).knows_sparsity else None for law, theta in zip(laws, thetas, strict=True)
        ]
        return Change(name=name, first=both[0], second=both[1])

    def multiplier_row(S: float) -> Change:
        return row(f"size multiplier at {100 * S:g}%", lambda _, theta: float(theta.size_multiplier(S, size)))

    def best(law: Law, theta: Theta) -> float:
        return float(theta.best_sparsity(schedule_budget(tokens, law.schedule)))

    def best_if_zeros_cost(_: Law, theta: Theta) -> float:
        return float(theta.best_sparsity(flops_budget(tokens, 0.0)))

    return [
        *(multiplier_row(S) for S in SHOWN_SPARSITIES),
        row("best sparsity, size free, sparse cost", best),
        row("best sparsity, size free, dense cost", best_if_zeros_cost),
    ]


def _summary(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())
