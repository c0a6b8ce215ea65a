"""What a page holds of laws and costs: plain structs that become its JSON.

The page computes plans itself, from coefficients and draws (`web/src`): nothing here is an answer. What needs Python's
knowledge of files travels along: warnings that the law's file causes, its hash, the speed-ups of devices.
"""

from msgspec import Struct

from sparseplan.common.caveat import Caveat
from sparseplan.figures import palette as colors
from sparseplan.laws.law import HeldOutError, Range


class Values(Struct, frozen=True, kw_only=True):
    """Values of one form's coefficients, and what its losses weigh."""

    form: str
    weight: float
    values: dict[str, float]


class Rows(Struct, frozen=True, kw_only=True):
    """Draws of one form's coefficients, packed as in law files."""

    form: str
    count: int
    columns: list[str]
    encoding: str
    data: str


class CoefficientSet(Struct, frozen=True, kw_only=True):
    """What answers for one pattern family: a block a form, and their draws one after the other."""

    values: list[Values]
    draws: list[Rows]


class Ramp(Struct, frozen=True, kw_only=True):
    """A pruning schedule, and the share of a step that a zero in force saves."""

    kind: str
    start: float
    end: float
    share: float | None
    zeros_save: float


class Rates(Struct, frozen=True, kw_only=True):
    """How repeats count, each R(S) as [dense, linear, quadratic]."""

    R_N: tuple[float, float, float]
    R_D: tuple[float, float, float]


class LentRates(Rates, frozen=True, kw_only=True):
    """The rates that answer for a law, and whose they are; draws of them, paired with the law's, where it has some."""

    lender: str
    lender_unit: str
    range: Range
    borrowed: bool
    draws: list[Rates] | None


class PackedLaw(Struct, frozen=True, kw_only=True):
    """One law.

    Attributes:
        argument: What names it on a command line, quoted for a shell.
        mainSet: The set that answers for dense models.
        cap: The highest sparsity that is planned, as for `optimal`.
        caveats: Warnings that hold for every plan, by pattern family; families that nothing answers for are missing.
        drawn: How many draws the law has; the page may hold fewer.
        sizes, flops: Ends of what the page offers; `budget` is where it begins.
    """

    name: str
    argument: str
    hash: str
    date: str | None
    data_unit: str
    tokens_per_unit: float
    counts_embeddings: bool
    loss: str
    held_out: HeldOutError | None
    poor_fit: str | None
    schedule: Ramp
    range: Range
    cap: float
    levels: list[float] | None
    sets: dict[str, CoefficientSet]
    mainSet: str
    repetition: LentRates
    caveats: dict[str, list[Caveat]]
    drawn: int
    sizes: tuple[float, float]
    flops: tuple[float, float]
    budget: float


class ByDenseParams(Struct, frozen=True, kw_only=True):
    """A speed-up of 2:4 by parameters before pruning: linear in their logarithm, one value where that is None."""

    log_dense_params: list[float] | None
    values: list[float]


class PackedAcceleration(Struct, frozen=True, kw_only=True):
    """A pattern's speed-ups over dense weights: `hardware.acceleration.Acceleration`, medians alone.

    Attributes:
        as_2to4: Sparsities that run as 2:4, as `curve` says; None where nothing does.
        exact: Pairs of a single sparsity and its speed-up.
        sparsities, speeds: Of unstructured kernels.
    """

    as_2to4: list[float]
    curve: ByDenseParams | None
    exact: list[tuple[float, float]]
    sparsities: list[float]
    speeds: list[float]


class PackedCost(Struct, frozen=True, kw_only=True):
    """What zeros cost: nothing, as much as weights, or what a device makes of them in training and inference.

    Attributes:
        training, inference: What a device accelerates, by pattern; those that it does not are missing.
        widths: Ends of the widths that were measured in training; None where all are alike.
        width_offset: 3 ln(width) of a model of one parameter before pruning.
    """

    name: str
    argument: str
    zeros_free: bool
    training: dict[str, PackedAcceleration]
    inference: dict[str, PackedAcceleration]
    widths: tuple[float, float] | None
    width_offset: float
    caveats: list[Caveat]


class Palette(Struct, frozen=True, kw_only=True):
    """The colours of sparsities: that of dense models, and a ramp over so many halvings of the density."""

    dense: str
    ramp: list[str]
    halvings: float


class PageData(Struct, frozen=True, kw_only=True):
    """Everything a page holds; `gravest` are codes of warnings in the order of how grave they are."""

    format: str = "sparseplan-explore/1"
    version: str
    laws: list[PackedLaw]
    costs: list[PackedCost]
    patterns: list[str]
    published: list[LentRates]
    gravest: list[str]
    palette: Palette


def palette() -> Palette:
    """Those of all pictures."""
    return Palette(dense=colors.DENSE, ramp=list(colors.RAMP), halvings=colors.HALVINGS)
