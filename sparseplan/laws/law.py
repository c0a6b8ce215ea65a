"""A scaling law as a typed value: what a law file holds, and its coefficients for a pattern family.

A law has one dense base and, for each pattern family, one sparsity set; draws of all of them may travel along.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct, field

from sparseplan.errors import LawError
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.draws import Draws
from sparseplan.laws.forms import FORMS
from sparseplan.laws.forms.base import AverageForm, Coefficient, Form, Theta
from sparseplan.laws.forms.budget import Floats
from sparseplan.laws.forms.mean import Mean
from sparseplan.laws.forms.mixture import Mixture
from sparseplan.laws.repetition import Repetition, column_coefficients
from sparseplan.laws.run_error import RunError
from sparseplan.sparsity.schedule import Schedule

LAW_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
LONGEST_NAME = 100
AVERAGE = "average"
"""What a law file says for its form where it is averaged over several."""
_FAMILY = r"^(unstructured|n:([2-9]|[1-5][0-9]|6[0-4]))$"

_WIDE_GAP, _WIDE_DENSITY, _EDGE = 0.3, 3.0, 0.1

Positive = Annotated[float, Meta(gt=0)]
Family = Annotated[str, Meta(pattern=_FAMILY, description="A pattern family: unstructured, n:4, n:8, ...")]


class Range(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the runs behind a law covered, per axis as [smallest, largest]; None where unknown."""

    sparsity: tuple[Annotated[float, Meta(ge=0, lt=1)], Annotated[float, Meta(ge=0, lt=1)]] | None = None
    nonzero_params: tuple[Positive, Positive] | None = None
    data_seen: tuple[Positive, Positive] | None = None
    unique_data: tuple[Positive, Positive] | None = None
    epochs: tuple[Positive, Positive] | None = None

    def __post_init__(self) -> None:
        for axis in self.__struct_fields__:
            bounds = getattr(self, axis)
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"{axis}: expected [smallest, largest], found [{bounds[0]:g}, {bounds[1]:g}]")


class Levels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was really run, so that a gap within the range is seen."""

    sparsity: Annotated[
        tuple[Annotated[float, Meta(ge=0, lt=1)], ...],
        Meta(min_length=1, max_length=100, description="Every sparsity among the runs, ascending."),
    ]

    def __post_init__(self) -> None:
        if any(low >= high for low, high in pairwise(self.sparsity)):
            raise ValueError("levels.sparsity: expected every sparsity once, in ascending order, found another order")

    def gap(self, S: float) -> tuple[float, float] | None:
        """The neighbouring levels of a wide gap that S lies inside of, None where there is none.

        A gap is wide over 0.3 of S or a factor of 3 in density; a tenth of it at either end still counts as run.
        """
        for low, high in pairwise(self.sparsity):
            wide = high - low > _WIDE_GAP or (1.0 - low) / (1.0 - high) > _WIDE_DENSITY
            edge = _EDGE * (high - low)
            if wide and low + edge < S < high - edge:
                return low, high
        return None


class HeldOutError(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a law missed runs that it was not fitted to, in nats, where that is published and no draws are."""

    mean: Annotated[float, Meta(gt=0, description="Mean absolute error.")]
    worst: Annotated[float, Meta(gt=0, description="Largest absolute error.")]
    runs: Annotated[int, Meta(ge=1, description="How many runs.")]

    def __post_init__(self) -> None:
        if self.worst < self.mean:
            raise ValueError(f"held_out: expected worst at least mean ({self.mean:g}), found {self.worst:g}")


class PretrainedStart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That the runs behind a law started from dense checkpoints: D and C count what came after those."""

    dense_data_seen: Annotated[
        tuple[Positive, Positive],
        Meta(description="Data that the dense weights had been trained on before, as [smallest, largest]."),
    ]

    def __post_init__(self) -> None:
        low, high = self.dense_data_seen
        if low > high:
            raise ValueError(f"dense_data_seen: expected [smallest, largest], found [{low:g}, {high:g}]")


class FormBlock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One form of a law that is averaged over forms.

    Attributes:
        form: Its name.
        weight: How much its losses count; over all blocks weights add up to 1.
        coefficients, sparsity, draws: As in a law of that form alone.
    """

    form: str
    weight: float
    coefficients: dict[str, float]
    sparsity: dict[str, dict[str, float]] = field(default_factory=dict)
    draws: Draws | None = None


class Head(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What laws of every form hold besides their coefficients."""

    format: Annotated[Literal["sparseplan-law/1"], Meta(description="This file's format.")]
    name: Annotated[str, Meta(pattern=f"^{LAW_NAME}$", max_length=LONGEST_NAME)]
    description: str = ""
    data_unit: Annotated[str, Meta(min_length=1, description="What D counts: token, image, byte, ...")]
    tokens_per_unit: Annotated[
        float,
        Meta(gt=0, description="Tokens that the model processes per data unit; 196 for ViT/16 at 224 px."),
    ] = 1
    counts_embeddings: Annotated[
        bool, Meta(description="Whether N counts embeddings too, as it does in most dense laws.")
    ] = False
    loss: Annotated[str, Meta(description="What the loss is, as in: next-token loss on C4, nats per token.")] = ""
    range: Range = field(default_factory=Range)
    start: Annotated[
        PretrainedStart | None, Meta(description="Where the runs started from dense checkpoints; absent from scratch.")
    ] = None
    repetition: Annotated[
        Repetition | None, Meta(description="How data seen more than once, and parameters beyond them, count.")
    ] = None
    levels: Levels | None = None
    held_out: HeldOutError | None = None
    prediction: Annotated[RunError | None, Meta(description="How far a measured run lies from the law's mean.")] = None
    fit: Annotated[dict[str, Any], Meta(description="How the law was fitted: loss, objective, runs, status.")] = field(
        default_factory=dict
    )
    draws: Draws | None = None
    provenance: Annotated[dict[str, Any], Meta(description="Source or runs hash, versions, hardware, date.")] = field(
        default_factory=dict
    )


class Law(Head, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A law of any form.

    Attributes:
        form: Name of its functional form, one of `laws.forms.FORMS`, or "average".
        coefficients: Of the dense base, by name.
        sparsity: Of each pattern family, by name; empty for a form that knows nothing of sparsity.
        schedule: The ramp that its runs were pruned with.
        forms: The forms of an averaged law, which has coefficients and draws in these blocks alone, and of whose
            `sparsity` only the names of the families stand; empty for a law of one form.
    """

    form: str
    coefficients: dict[str, float] = field(default_factory=dict)
    sparsity: dict[str, dict[str, float]] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    forms: tuple[FormBlock, ...] = ()


def members(law: Law) -> tuple[Law, ...]:
    """The laws of one form each that an averaged law is made of; a law of one form is its own and only one."""
    if not law.forms:
        return (law,)
    facts = {name: getattr(law, name) for name in law.__struct_fields__} | {"forms": ()}
    return tuple(
        Law(
            **facts
            | {
                "form": one.form,
                "coefficients": one.coefficients,
                "sparsity": one.sparsity,
                "draws": one.draws,
            }
        )
        for one in law.forms
    )


def weights(law: Law) -> tuple[float, ...]:
    """The weights of an averaged law's members, which add up to 1."""
    if not law.forms:
        return (1.0,)
    total = sum(one.weight for one in law.forms)
    return tuple(one.weight / total for one in law.forms)


def form_of(law: Law) -> Form:
    """The law's functional form."""
    if not law.forms:
        return FORMS[law.form]
    own = [FORMS[one.form] for one in law.forms]
    shares = ", ".join(f"{100 * share:.0f}% {form.name}" for share, form in zip(weights(law), own, strict=True))
    return AverageForm(
        name=AVERAGE,
        title="a law averaged over forms",
        formula=f"L(S, N, D) = the mean of {shares}",
        source="weights by what each form predicted of runs that were set aside",
        coefficients=(),
        theta=Mean,
        numerator_words="each form's numerator",
        inputs=own[0].inputs,
        dense_form=AVERAGE,
        sparse=own[0].knows_sparsity,
    )


def require_one_form(law: Law, what: str) -> Law:
    """Return the law if it has one form.

    Raises:
        LawError: if it is averaged over several; `what` says what can't be done with it.
    """
    if law.forms:
        names = " and ".join(one.form for one in law.forms)
        raise LawError(
            f"the law {law.name!r} is averaged over the forms {names}: {what} needs a law of one form. "
            "Fit that again with `form`, or take another law."
        )
    return law


_POOR_FITS = ("not converged", "flat direction", "too few levels", "contradicted")


def poor_fit(law: Law) -> str | None:
    """How the law's own fit ended where that was not with a law to plan with, in words after "this law's"; else None.

    `fit` writes such laws all the same: answers from them are numbers, and no sentence rests on them.
    """
    if law.fit.get("status") not in _POOR_FITS:
        return None
    return f"fit ended with '{law.fit['status']}': {law.fit.get('explanation', 'see `fit`')}"


def is_transferred(law: Law) -> bool:
    """Whether the law's sparsity set was taken from another law rather than measured."""
    return law.fit.get("status") == "transferred"


def family_used(law: Law, family: str) -> str:
    """The law's coefficient set for a pattern family: its own, else the unstructured one.

    Raises:
        LawError: if the law has neither.
    """
    require_sparse(law)
    if family in law.sparsity:
        return family
    if "unstructured" in law.sparsity:
        return "unstructured"
    what = family if family == "unstructured" else f"{family}, nor for unstructured sparsity"
    raise LawError(
        f"the law {law.name!r} has no coefficients for {what}; "
        f"it has {', '.join(law.sparsity)}. Choose one of these with `pattern`."
    )


def main_family(law: Law) -> str | None:
    """The pattern family that speaks for the law where none is asked for: unstructured, else the first it has.

    None for a form that knows nothing of sparsity.
    """
    return "unstructured" if "unstructured" in law.sparsity else next(iter(law.sparsity), None)


def coefficients(law: Law, family: str | None = None) -> Theta:
    """The law's coefficients for a pattern family; without one those that answer for dense models.

    Raises:
        LawError: if the law is dense only, or has no set that serves the family.
    """
    if law.forms:
        return Mean(tuple(coefficients(one, family) for one in members(law)), weights(law))
    chosen = main_family(law) if family is None else family_used(law, family)
    return _theta(law, law.coefficients | (law.sparsity[chosen] if chosen is not None else {}))


def _theta(law: Law, values: Mapping[str, Floats]) -> Theta:
    form = form_of(law)
    return form.theta(*(values[one.name] for one in form.coefficients))


def require_sparse(law: Law) -> Law:
    """Return the law if it has a sparsity term.

    Raises:
        LawError: if it has none; the message says how to give it one.
    """
    if not form_of(law).knows_sparsity:
        raise LawError(
            f"the law {law.name!r} is dense only: it says nothing of sparse models. "
            f"Take a sparse `law` such as {DEFAULT_LAW}, or lend it the sparsity term of one with `laws.compose`."
        )
    return law


def coefficient_draws(law: Law, family: str | None = None) -> Theta | None:
    """Bootstrap draws of the coefficients, each of shape (K,); None where none of them was drawn.

    Coefficients that were not drawn (a frozen base, say) keep their one value. `family` as in `coefficients`.
    """
    if law.forms:
        return _mixed_draws(law, family)
    if law.draws is None:
        return None
    columns = _columns(law, family)
    if not any(column in law.draws.columns for _, column, _ in columns):
        return None
    table = dict(zip(law.draws.columns, law.draws.table().T, strict=True))
    return _theta(law, {name: table.get(column, np.full(law.draws.count, value)) for name, column, value in columns})


def _mixed_draws(law: Law, family: str | None) -> Theta | None:
    """Draws of all the forms, as many of each as its weight says; None unless all have some."""
    found = [coefficient_draws(one, family) for one in members(law)]
    drawn = [theta for theta in found if theta is not None]
    if len(drawn) < len(found):
        return None
    counts = [theta.count or 1 for theta in drawn]
    shares = weights(law)
    total = min(count / share for count, share in zip(counts, shares, strict=True))
    taken = [min(round(share * total), count) for share, count in zip(shares, counts, strict=True)]
    parts = [(theta.rows(slice(0, count)), count) for theta, count in zip(drawn, taken, strict=True) if count]
    return Mixture(tuple(theta for theta, _ in parts), tuple(count for _, count in parts))


def draw_count(law: Law) -> int:
    """How many draws the law carries; 0 without any."""
    if not law.forms:
        return 0 if law.draws is None else law.draws.count
    drawn = coefficient_draws(law)
    return 0 if drawn is None else drawn.count or 0


def undrawn(law: Law, family: str | None = None) -> list[str]:
    """The coefficients, named as draws are, that the law's draws hold at one value; empty without draws.

    A place of reference was never uncertain.
    """
    if law.forms:
        return list(dict.fromkeys(column for one in members(law) for column in undrawn(one, family)))
    if law.draws is None:
        return []
    places = {one.name for one in form_of(law).coefficients if one.reference}
    columns = [column for name, column, _ in _columns(law, family) if name not in places]
    return [column for column in columns if column not in law.draws.columns]


def _columns(law: Law, family: str | None) -> list[tuple[str, str, float]]:
    """Name, column of draws and value of the coefficients that answer for a family."""
    chosen = main_family(law) if family is None else family_used(law, family)
    own = [] if chosen is None else [(name, f"{chosen}.{name}", value) for name, value in law.sparsity[chosen].items()]
    return own + [(name, name, value) for name, value in law.coefficients.items()]


def axes(law: Law) -> tuple[str, ...]:
    """What the law's runs are described by, as the axes of `Range` are called."""
    form = form_of(law)
    return form.inputs if law.repetition is None else (*form.inputs, "unique_data", "epochs")


def repetition_columns(law: Law) -> dict[str, Coefficient]:
    """The further columns that the law's draws may have: those of its `repetition`."""
    return column_coefficients(law.repetition)


def draw_columns(law: Law) -> dict[str, Coefficient]:
    """Every column of the form's coefficients that the law's draws may have, with the coefficient that it holds."""
    form = form_of(law)
    own = {f"{family}.{one.name}": one for family in law.sparsity for one in form.per_family}
    return {one.name: one for one in form.base} | own


def law_block(form: Form, theta: Theta, *, per_family: bool) -> dict[str, float]:
    """Values of a block of a law's file: the dense base, or what a pattern family has of its own."""
    chosen = form.per_family if per_family else form.base
    return {one.name: float(np.asarray(getattr(theta, one.name))) for one in chosen}


def draw_table(form: Form, theta: Theta, family: str | None) -> dict[str, Floats]:
    """Draws of the coefficients by column name, the dense base first, without places of reference; of a
    dense law, `family` is None."""
    return {
        one.name if family is None or not one.per_family else f"{family}.{one.name}": getattr(theta, one.name)
        for one in (*form.base, *form.per_family)
        if not one.reference
    }
