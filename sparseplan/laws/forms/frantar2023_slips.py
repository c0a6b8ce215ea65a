"""Slips in the letters of the sparse law: coefficients that were written in another's place, or in another's meaning.

What they are held against are the laws that come with this package and its calibrations.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from sparseplan.laws.forms.power_terms import PowerTerms
from sparseplan.laws.forms.slip import FREE, SCALES, Ends, Slip

_LEAST_SHARE, _ORDINARY_SHARE = 0.2, (0.25, 0.99)


def slips(theta: Any, ends: Ends) -> list[Slip]:
    """Those of a form with a_S, c_S and the base b_N, a_D, b_D."""
    return [*weights_in_each_others_place(theta, ends), *numerator_for_scale(theta, ends)]


def weights_in_each_others_place(theta: Any, ends: Ends) -> list[Slip]:
    """a_S and c_S swapped: pruning would improve dense models as they stand, and would not if they changed places.

    Over our laws a_S is 0.26 to 0.63 of c_S, but in one of tiny vision models, where pruning does improve them.
    """
    if not theta.a_S > theta.c_S:
        return []
    as_written = _best_free(theta, ends)
    changed = _best_free(replace(theta, a_S=theta.c_S, c_S=theta.a_S), ends)
    if not (as_written > FREE and changed <= FREE):
        return []
    message = (
        f"a_S = {theta.a_S:.4g} is above c_S = {theta.c_S:.4g}: so what pruning leaves of a dense model counts "
        f"for up to {as_written:.3g} times the model, with the two swapped for at most {changed:.3g} times. a_S weighs "
        "the part that falls with sparsity, c_S the rest; are they in each other's place?"
    )
    return [Slip(coefficient="a_S", code="swapped-weights", message=message)]


def _best_free(theta: PowerTerms, ends: Ends) -> float:
    """The largest m(S) (1 - S) at the sparsities to judge, above S = 0."""
    S = ends.sparsity[ends.sparsity > 0]
    return float(np.max(theta.size_multiplier(S, ends.middle_size) * (1.0 - S), initial=0.0))


def numerator_for_scale(theta: Any, ends: Ends) -> list[Slip]:
    """a_D given as the numerator B of B / D^b_D rather than as the scale of (a_D / D)^b_D.

    The data term is then too small: even in the run with the largest model and the least data it is a sliver of
    both terms. Over our laws it is 28 to 96 % there. Reading the number as a numerator mends that.
    """
    given = float(theta.a_D)
    meant = float(np.asarray(given) ** (1.0 / np.asarray(theta.b_D)))
    if not ends.is_usual(meant):
        return []
    share = _data_share(theta, ends)
    if share is None:
        odd, words = given < SCALES[0], ""
    else:
        read_so = _data_share(replace(theta, a_D=meant), ends)
        odd = share < _LEAST_SHARE and read_so is not None and _ORDINARY_SHARE[0] <= read_so <= _ORDINARY_SHARE[1]
        words = f"the data term would be at most {100 * share:.2g}% of both terms within the range. "
    if not odd:
        return []
    message = (
        f"a_D = {given:.4g} is small: {words}Is it the numerator B of B / D^b_D? Then write the scale of "
        f"(a_D / D)^b_D, B^(1/b_D) = {meant:.4g}."
    )
    return [Slip(coefficient="a_D", code="numerator", message=message)]


def _data_share(theta: PowerTerms, ends: Ends) -> float | None:
    """The data term's share of both terms for the largest dense model on the least data; None without a range."""
    if ends.nonzero_params is None or ends.data_seen is None:
        return None
    data = theta.data_term(0.0, ends.data_seen[0])
    return float(data / (data + theta.size_term(0.0, ends.nonzero_params[1])))
