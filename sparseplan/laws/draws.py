"""Draws of a law's coefficients, packed so that they travel in its file."""

import base64
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

_ENCODINGS: dict[str, np.dtype[Any]] = {"float32-base64": np.dtype("<f4"), "float64-base64": np.dtype("<f8")}
_FLOAT32_HOLDS = (1e-35, 1e35)


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
            raise ValueError(f"draws.data: expected base64 text, found text that is not ({problem})") from None
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
