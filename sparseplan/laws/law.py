"""A scaling law as a typed value: what a law file holds, and its coefficients for a pattern family.

A law has one dense base and, for each pattern family, one sparsity set; draws of all of them may travel along.
"""

import base64
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct, field
from numpy.typing import NDArray

from sparseplan.errors import LawError
from sparseplan.laws.forms import chinchilla
from sparseplan.laws.forms.frantar2023 import Coefficients
from sparseplan.sparsity.schedule import Schedule

DEFAULT_LAW = "frantar2023-t5-c4"
LAW_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_FAMILY = r"^(unstructured|n:([2-9]|[1-5][0-9]|6[0-4]))$"

_ENCODINGS: dict[str, np.dtype[Any]] = {"float32-base64": np.dtype("<f4"), "float64-base64": np.dtype("<f8")}
_FLOAT32_HOLDS = (1e-35, 1e35)

Positive = Annotated[float, Meta(gt=0)]
Family = Annotated[str, Meta(pattern=_FAMILY, description="A pattern family: unstructured, n:4, n:8, ...")]


class SparsitySet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """f(S) = a_S (1 - S)^b_S + c_S of one pattern family."""

    a_S: Annotated[float, Meta(ge=0, description="Weight of the term that falls with sparsity.")]
    b_S: Annotated[float, Meta(gt=0, description="Exponent of the density.")]
    c_S: Annotated[float, Meta(ge=0, description="What remains of the capacity term as S nears 1.")]


class FrantarBase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The coefficients of the sparse law that don't depend on sparsity."""

    b_N: Annotated[float, Meta(gt=0, description="Exponent of the non-zero parameters.")]
    a_D: Annotated[float, Meta(gt=0, description="Scale of the data term, in the law's data unit.")]
    b_D: Annotated[float, Meta(gt=0, description="Exponent of the data.")]
    c: Annotated[float, Meta(ge=0, description="Irreducible loss in nats.")]


class ChinchillaBase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The coefficients of the dense law E + A / N^alpha + B / D^beta."""

    E: Annotated[float, Meta(ge=0, description="Irreducible loss in nats.")]
    A: Annotated[float, Meta(gt=0, description="Numerator of the capacity term.")]
    B: Annotated[float, Meta(gt=0, description="Numerator of the data term.")]
    alpha: Annotated[float, Meta(gt=0, description="Exponent of the parameters.")]
    beta: Annotated[float, Meta(gt=0, description="Exponent of the data.")]


class Range(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the runs behind a law covered, per axis as [smallest, largest]; None where unknown."""

    sparsity: tuple[Annotated[float, Meta(ge=0, lt=1)], Annotated[float, Meta(ge=0, lt=1)]] | None = None
    nonzero_params: tuple[Positive, Positive] | None = None
    data_seen: tuple[Positive, Positive] | None = None

    def __post_init__(self) -> None:
        for axis in ("sparsity", "nonzero_params", "data_seen"):
            bounds = getattr(self, axis)
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"{axis}: expected [smallest, largest], found [{bounds[0]:g}, {bounds[1]:g}]")


class Draws(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bootstrap draws of the coefficients, so that intervals travel with the law.

    Columns are named as in the file: `b_N`, `a_D`, ... of the base, `unstructured.a_S`, `n:4.a_S`, ... of the sets.
    """

    count: Annotated[int, Meta(ge=2, le=1_000_000, description="Number of draws, the rows of the table.")]
    columns: Annotated[list[str], Meta(min_length=1, max_length=1000, description="Coefficient names, in order.")]
    data: Annotated[str, Meta(description="Row-major little-endian floats, in base64.")]
    encoding: Literal["float32-base64", "float64-base64"] = "float32-base64"
    method: Annotated[str, Meta(description="How the draws were made.")] = ""

    def __post_init__(self) -> None:
        table = self.table()
        if not np.all(np.isfinite(table)):
            raise ValueError("draws.data: expected finite numbers only, found others; write the draws again")

    def table(self) -> NDArray[np.float64]:
        """The draws as an array of shape (count, len(columns))."""
        try:
            raw = base64.b64decode(self.data, validate=True)
        except ValueError as problem:
            raise ValueError(f"draws.data: expected base64 text, found what isn't ({problem})") from None
        kind = _ENCODINGS[self.encoding]
        size = kind.itemsize * self.count * len(self.columns)
        if len(raw) != size:
            shape = f"{self.count} draws of {len(self.columns)} columns"
            raise ValueError(f"draws.data: expected {size} bytes for {shape}, found {len(raw)}")
        return np.frombuffer(raw, dtype=kind).reshape(self.count, len(self.columns)).astype(np.float64)

    @classmethod
    def pack(cls, columns: list[str], table: NDArray[np.float64], *, method: str) -> "Draws":
        """Pack a table of draws, shape (count, len(columns)), for a law file; in float32 where that holds them."""
        sizes = np.abs(table[table != 0.0])
        small = sizes.size == 0 or (sizes.max() < _FLOAT32_HOLDS[1] and sizes.min() > _FLOAT32_HOLDS[0])
        encoding: Literal["float32-base64", "float64-base64"] = "float32-base64" if small else "float64-base64"
        raw = np.ascontiguousarray(table, dtype=_ENCODINGS[encoding]).tobytes()
        data = base64.b64encode(raw).decode("ascii")
        return cls(count=len(table), columns=columns, data=data, encoding=encoding, method=method)


class _Common(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="form"):
    format: Annotated[Literal["sparseplan-law/1"], Meta(description="This file's format.")]
    name: Annotated[str, Meta(pattern=f"^{LAW_NAME}$", max_length=100)]
    description: str
    data_unit: Annotated[str, Meta(min_length=1, description="What D counts: token, image, byte, ...")]
    tokens_per_unit: Annotated[
        float,
        Meta(gt=0, description="Tokens that the model processes per data unit; 196 for ViT/16 at 224 px."),
    ] = 1
    range: Range = field(default_factory=Range)
    fit: Annotated[dict[str, Any], Meta(description="How the law was fitted: loss, objective, runs, status.")] = field(
        default_factory=dict
    )
    draws: Draws | None = None
    provenance: Annotated[dict[str, Any], Meta(description="Source or runs hash, versions, hardware, date.")] = field(
        default_factory=dict
    )


class SparseLaw(_Common, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="form", tag="frantar2023"):
    """A law with sparsity: f(S) N^(-b_N) + (a_D / D)^b_D + c."""

    coefficients: FrantarBase
    sparsity: Annotated[dict[Family, SparsitySet], Meta(min_length=1)]
    schedule: Schedule = field(default_factory=Schedule)


class DenseLaw(_Common, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="form", tag="chinchilla"):
    """A law without sparsity: E + A / N^alpha + B / D^beta."""

    coefficients: ChinchillaBase


Law = SparseLaw | DenseLaw


def form(law: Law) -> str:
    """The name of the law's functional form, as in its file."""
    return "frantar2023" if isinstance(law, SparseLaw) else "chinchilla"


def is_transferred(law: Law) -> bool:
    """Whether the law's sparsity set was taken from another law rather than measured."""
    return law.fit.get("status") == "transferred"


def family_used(law: SparseLaw, family: str) -> str:
    """The law's coefficient set for a pattern family: its own, else the unstructured one.

    Raises:
        LawError: if the law has neither.
    """
    if family in law.sparsity:
        return family
    if "unstructured" in law.sparsity:
        return "unstructured"
    what = family if family == "unstructured" else f"{family}, nor for unstructured sparsity"
    raise LawError(
        f"the law {law.name!r} has no coefficients for {what}; "
        f"it has {', '.join(law.sparsity)}. Choose one of these with --pattern."
    )


def dense_coefficients(law: Law) -> Coefficients:
    """The law's coefficients for dense models; a sparse law answers from `main_family`."""
    if isinstance(law, DenseLaw):
        return chinchilla.as_coefficients(*_values(law.coefficients))
    return coefficients(law, main_family(law))


def main_family(law: SparseLaw) -> str:
    """The pattern family that speaks for the law where none is asked for: unstructured, else the first it has."""
    return "unstructured" if "unstructured" in law.sparsity else next(iter(law.sparsity))


def coefficients(law: Law, family: str) -> Coefficients:
    """The law's seven coefficients for a pattern family.

    Raises:
        LawError: if the law is dense only, or has no set that serves the family.
    """
    sparse = require_sparse(law)
    return Coefficients(*_values(sparse.sparsity[family_used(sparse, family)]), *_values(sparse.coefficients))


def require_sparse(law: Law) -> SparseLaw:
    """Return the law if it has a sparsity term.

    Raises:
        LawError: if it hasn't; the message says how to give it one.
    """
    if isinstance(law, DenseLaw):
        raise LawError(
            f"the law {law.name!r} is dense only: it says nothing of sparse models. "
            f"Take a sparse law (--law {DEFAULT_LAW}), or lend it a sparsity term: "
            f"sparseplan laws compose --dense {law.name} --sparsity {DEFAULT_LAW} --out {law.name}-sparse.yaml"
        )
    return law


def coefficient_draws(law: Law, family: str | None) -> Coefficients | None:
    """Bootstrap draws of the seven coefficients, each of shape (K,); None where none of them was drawn.

    Coefficients that were not drawn (a frozen base, say) keep their one value. `family` None asks for the dense law.
    """
    if law.draws is None:
        return None
    columns = _columns(law, family)
    if not any(column in law.draws.columns for column in columns):
        return None
    table = dict(zip(law.draws.columns, law.draws.table().T, strict=True))
    values = [table.get(column, np.full(law.draws.count, value)) for column, value in columns.items()]
    return chinchilla.as_coefficients(*values) if isinstance(law, DenseLaw) else Coefficients(*values)


def undrawn(law: Law, family: str | None) -> list[str]:
    """The coefficients, named as draws are, that the law's draws hold at one value; empty without draws."""
    if law.draws is None:
        return []
    return [column for column in _columns(law, family) if column not in law.draws.columns]


def _columns(law: Law, family: str | None) -> dict[str, float]:
    """The coefficients that answer for a family, by column name, in the order of the form."""
    if isinstance(law, DenseLaw):
        return dict(_items(law.coefficients))
    chosen = main_family(law) if family is None else family_used(law, family)
    own = {f"{chosen}.{name}": value for name, value in _items(law.sparsity[chosen])}
    return own | dict(_items(law.coefficients))


def _items(struct: Struct) -> list[tuple[str, float]]:
    return [(name, getattr(struct, name)) for name in struct.__struct_fields__]


def _values(struct: Struct) -> list[float]:
    return [value for _, value in _items(struct)]


def draw_columns(law: Law) -> list[str]:
    """Every column name that the law's draws may have."""
    names = [name for name, _ in _items(law.coefficients)]
    if isinstance(law, SparseLaw):
        names += [f"{family}.{name}" for family, chosen in law.sparsity.items() for name, _ in _items(chosen)]
    return names
