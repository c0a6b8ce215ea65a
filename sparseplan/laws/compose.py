"""Lend a dense law the sparsity term of another.

Only the sparsity term separates a sparse law from a dense one, so its shape f(S)/f(0) can be carried over; f(0) is the
dense law's own A. What comes out was measured by nobody, and says so.
"""

import numpy as np
from numpy.typing import NDArray

from sparseplan import __version__
from sparseplan.laws.forms.frantar2023 import Coefficients
from sparseplan.laws.law import (
    Draws,
    FrantarBase,
    Law,
    Range,
    SparseLaw,
    SparsitySet,
    coefficient_draws,
    dense_coefficients,
    require_sparse,
)

_COLUMNS = ("a_S", "b_S", "c_S", "b_N", "a_D", "b_D", "c")


def compose(dense: Law, sparse: Law, *, name: str, seed: int = 0) -> SparseLaw:
    """Keep the dense base of one law and transfer the other's f(S)/f(0), for every pattern family it has.

    Draws are paired at random where both laws carry them (their errors are independent), else the one that has none
    stands still. The range of N and D is the dense law's, that of S the sparse one's.

    Raises:
        LawError: if `sparse` has no sparsity term.
    """
    lender = require_sparse(sparse)
    base = dense_coefficients(dense)
    sets = {family: _scaled(chosen, float(base.c_S + base.a_S)) for family, chosen in lender.sparsity.items()}
    return SparseLaw(
        format="sparseplan-law/1",
        name=name,
        description=f"Dense base of {dense.name} with the sparsity term of {lender.name}: transferred, not measured.",
        data_unit=dense.data_unit,
        tokens_per_unit=dense.tokens_per_unit,
        coefficients=FrantarBase(b_N=float(base.b_N), a_D=float(base.a_D), b_D=float(base.b_D), c=float(base.c)),
        sparsity=sets,
        schedule=lender.schedule,
        range=Range(
            sparsity=lender.range.sparsity,
            nonzero_params=dense.range.nonzero_params,
            data_seen=dense.range.data_seen,
        ),
        fit={"status": "transferred"},
        draws=_draws(dense, lender, np.random.default_rng(seed)),
        provenance={
            "dense": dense.name,
            "sparsity": lender.name,
            "note": "f(S)/f(0) was measured on the second law's setup; parameters are counted as in the first",
            "sparseplan": __version__,
        },
    )


def _scaled(chosen: SparsitySet, numerator: float) -> SparsitySet:
    """The set with the same f(S)/f(0) and another f(0)."""
    factor = numerator / (chosen.a_S + chosen.c_S)
    return SparsitySet(a_S=chosen.a_S * factor, b_S=chosen.b_S, c_S=chosen.c_S * factor)


def _draws(dense: Law, lender: SparseLaw, random: np.random.Generator) -> Draws | None:
    if dense.draws is None and lender.draws is None:
        return None
    count = min(law.draws.count for law in (dense, lender) if law.draws is not None)

    def chosen(law: Law, family: str | None) -> Coefficients:
        drawn = coefficient_draws(law, family) or dense_coefficients(law)
        rows = order if law is lender else slice(0, count)
        return Coefficients(*(_rows(value, rows, count) for value in drawn))

    order = random.permutation(lender.draws.count)[:count] if lender.draws is not None else slice(0, count)
    base = chosen(dense, None)
    numerator = base.a_S + base.c_S
    table = {name: getattr(base, name) for name in _COLUMNS[3:]}
    for family, point in lender.sparsity.items():
        drawn = chosen(lender, family) if lender.draws is not None else None
        a_S, b_S, c_S = (drawn.a_S, drawn.b_S, drawn.c_S) if drawn is not None else (point.a_S, point.b_S, point.c_S)
        factor = numerator / (a_S + c_S)
        table |= {f"{family}.a_S": a_S * factor, f"{family}.b_S": b_S + 0 * factor, f"{family}.c_S": c_S * factor}
    columns = list(table)
    return Draws.pack(
        columns, np.stack([_rows(table[name], slice(0, count), count) for name in columns], axis=1), method="composed"
    )


def _rows(value: NDArray[np.float64] | float, rows: slice | NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Some rows of a column of draws; a coefficient that wasn't drawn is the same in all."""
    array = np.asarray(value, dtype=np.float64)
    return np.full(count, float(array)) if array.ndim == 0 else array[rows]
