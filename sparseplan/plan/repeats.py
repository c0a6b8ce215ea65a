"""What an answer says of repeated data: how it counts, under whose rates, how far outside what those covered."""

from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.common.units import format_count
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.repeated import Repeated
from sparseplan.laws.unique_data import UniqueData
from sparseplan.plan.caveats import ROUNDING, Distance, factor_words


class Repetition(Struct, frozen=True, kw_only=True):
    """How the repeats of one run count.

    Attributes:
        law: Whose rates these are; `borrowed` where it is not the law that answers.
        R_N, R_D: The rates at the run's sparsity.
        effective_data, effective_params: What D and N count as, in unique data and in parameters that those are enough
            for.
    """

    law: str
    borrowed: bool
    R_N: float
    R_D: float
    effective_data: float
    effective_params: float


def passes(data_seen: float, unique_data: float) -> float:
    """Epochs: how often each of the unique data is seen; 1 where they are more than are seen."""
    return max(data_seen / unique_data, 1.0)


def repetition(theta: Theta, unique: UniqueData, *, S: float, N: float, D: float) -> Repetition:
    """How a run's repeats count; `theta` are the law's values under these unique data."""
    assert isinstance(theta, Repeated)
    return Repetition(
        law=unique.lender.name,
        borrowed=unique.borrowed,
        R_N=float(theta.R_N.at(S)),
        R_D=float(theta.R_D.at(S)),
        effective_data=float(theta.effective_data(S, D)),
        effective_params=float(theta.effective_size(S, N)),
    )


def repeat_distances(unique: UniqueData, *, data_seen: float, data_unit: str, of: str = "plan") -> list[Distance]:
    """How far a run that repeats data lies outside what the runs behind the rates covered, in U and epochs."""
    epochs = passes(data_seen, unique.amount)
    if epochs <= ROUNDING:
        return []
    covered, whose = unique.lender.range, f"the runs behind {unique.lender.name}'s rates of repetition"
    found = []
    for axis, value, bounds, words in (
        ("unique_data", unique.amount, covered.unique_data, f"unique {data_unit}s"),
        ("epochs", epochs, covered.epochs, "epochs"),
    ):
        if bounds is None or bounds[0] / ROUNDING <= value <= bounds[1] * ROUNDING:
            continue
        beyond = value > bounds[1]
        factor = value / bounds[1] if beyond else bounds[0] / value
        text = (
            f"{factor_words(factor)} {'more' if beyond else 'fewer'} {words} than {whose} "
            f"({format_count(bounds[beyond])})"
        )
        found.append(
            Distance(of=of, axis=axis, value=value, low=bounds[0], high=bounds[1], factor=factor, message=text)
        )
    return found


def repeat_caveats(unique: UniqueData, *, epochs: float, data_unit: str, drawn: bool) -> list[Caveat]:
    """What rates of repetition can't vouch for; nothing where no data is repeated.

    `drawn` says whether the answer has intervals.
    """
    if epochs <= ROUNDING:
        return []
    found = []
    if unique.borrowed:
        whose = unique.lender.name
        unit = f", on {unique.lender.data_unit}s" if unique.lender.data_unit != data_unit else ""
        message = f"this law says nothing of repeated data: the rates are {whose}'s, of other models{unit}"
        found.append(Caveat(code="repetition-borrowed", message=message))
    if drawn and not unique.rates_drawn:
        message = "the intervals take the rates of repetition as exactly known; compare the published ones"
        found.append(Caveat(code="repetition-undrawn", message=message))
    return found
