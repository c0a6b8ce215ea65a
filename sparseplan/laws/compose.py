"""Lend a dense law the sparsity term of another.

Only the sparsity term separates a sparse law from a dense one, so its shape f(S)/f(0) can be carried over; f(0) is the
dense law's own. What comes out was measured by nobody, and says so.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Floats
from sparseplan.laws.law import (
    Draws,
    Law,
    Range,
    coefficient_draws,
    coefficients,
    draw_table,
    form_of,
    law_block,
    require_sparse,
)
from sparseplan.laws.repetition import Repetition, with_dense_value
from sparseplan.version import __version__


def compose(dense: Law, sparse: Law, *, name: str, seed: int = 0) -> Law:
    """Keep the dense base of one law and transfer the other's f(S)/f(0), for every pattern family it has.

    Draws are paired at random where both laws carry them (their errors are independent), else the one that has none
    stands still. The range of N and D is the dense law's, that of S the sparse one's.

    Raises:
        LawError: if `sparse` has no sparsity term.
    """
    lender = require_sparse(sparse)
    form, base = form_of(lender), coefficients(dense)
    mixed = {family: coefficients(lender, family).on_base(base) for family in lender.sparsity}
    return Law(
        format="sparseplan-law/1",
        name=name,
        description=f"Dense base of {dense.name} with the sparsity term of {lender.name}: transferred, not measured.",
        form=lender.form,
        data_unit=dense.data_unit,
        tokens_per_unit=dense.tokens_per_unit,
        coefficients=law_block(form, next(iter(mixed.values())), per_family=False),
        sparsity={family: law_block(form, theta, per_family=True) for family, theta in mixed.items()},
        schedule=lender.schedule,
        range=Range(
            sparsity=lender.range.sparsity,
            nonzero_params=dense.range.nonzero_params,
            data_seen=dense.range.data_seen,
            unique_data=(dense if dense.repetition is not None else lender).range.unique_data,
            epochs=(dense if dense.repetition is not None else lender).range.epochs,
        ),
        fit={"status": "transferred"},
        repetition=_repetition(dense, lender),
        counts_embeddings=dense.counts_embeddings,
        draws=_draws(dense, lender, np.random.default_rng(seed)),
        provenance={
            "dense": dense.name,
            "sparsity": lender.name,
            "note": "f(S)/f(0) was measured on the second law's setup; parameters are counted as in the first",
            "sparseplan": __version__,
        },
    )


def _repetition(dense: Law, lender: Law) -> Repetition | None:
    """The dense law's own rates, changing with sparsity as the lender's do; of one that has none, the lender's."""
    if dense.repetition is None or lender.repetition is None:
        return dense.repetition or lender.repetition
    return with_dense_value(lender.repetition, dense.repetition)


def _draws(dense: Law, lender: Law, random: np.random.Generator) -> Draws | None:
    if dense.draws is None and lender.draws is None:
        return None
    count = min(law.draws.count for law in (dense, lender) if law.draws is not None)
    order = random.permutation(lender.draws.count)[:count] if lender.draws is not None else slice(0, count)
    base = _some(coefficient_draws(dense) or coefficients(dense), slice(0, count))
    table: dict[str, Any] = {}
    for family in lender.sparsity:
        theta = _some(coefficient_draws(lender, family) or coefficients(lender, family), order).on_base(base)
        table |= draw_table(form_of(lender), theta, family)
    table |= _drawn_rates(dense, lender, order, count)
    rows = np.stack([np.broadcast_to(value, count) for value in table.values()], axis=1)
    return Draws.pack(list(table), rows, method="composed")


def _drawn_rates(
    dense: Law, lender: Law, order: slice | NDArray[np.int64], count: int
) -> dict[str, NDArray[np.float64]]:
    """Draws of the rates that the composed law has; where both laws carry some, the dense law's stand."""
    block = _repetition(dense, lender)
    found: dict[str, NDArray[np.float64]] = {}
    for law, chosen in ((lender, order), (dense, slice(0, count))):
        if block is not None and law.draws is not None:
            drawn = dict(zip(law.draws.columns, law.draws.table().T, strict=True))
            found |= {name: drawn[name][chosen] for name, _ in block.columns() if name in drawn}
    return found


def _some(theta: Theta, rows: slice | NDArray[np.int64]) -> Theta:
    """Some of the draws; a coefficient that was not drawn is the same in all."""

    def chosen(value: Floats) -> Floats:
        return np.asarray(value)[rows] if np.ndim(value) else value

    return type(theta)(*(chosen(value) for value in theta))
